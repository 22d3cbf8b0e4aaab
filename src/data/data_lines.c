/* Labels and texts as a kind of data set: preparing and describing. */
#include "data/lines.h"

#include <stdio.h>
#include <string.h>

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(
        LsLinesSettings, format, "auto", "auto|tsv|jsonl|files",
        "of the sources: columns between tabs, JSON objects a line, or files of one class each with a text "
        "a line; auto: jsonl by the name's ending, else tsv"),
    LS_SETTING_STRING(LsLinesSettings, label, NULL,
                      "where the label stands: column number from 1, or a name in the first line (default 1); jsonl: "
                      "name of the member (default label)"),
    LS_SETTING_STRING(LsLinesSettings, text, NULL, "the same of the text (default 2; jsonl: text)"),
    LS_SETTING_STRING(
        LsLinesSettings, second, NULL,
        "the same of a second text of each sample, for tokenizers that know where a text ends (wordpiece); "
        "none by default"),
    LS_SETTING_STRING(LsLinesSettings, classes, NULL,
                      "labels that may occur, with commas, in the order of their numbers; of files: the class of each "
                      "(default: all labels of the sources, sorted; of files from their names)"),
    LS_TOKENIZER_SETTINGS(LsLinesSettings, tokens, "words", "split"),
    LS_HELD_OUT_SETTINGS(LsLinesSettings, held_out, "samples", "files", "0.1", ""),
    {0}};

typedef struct Job {
    LsLabelled part[LS_SPLITS]; /* as the options name them: of the first, some samples are held out */
    LsClasses classes;
    LsHeldOut held_out;
    LsTokenizer *tokenizer;
} Job;

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static LsStatus read_parts(const LsLinesSettings *o, int sources, char *const *source, const char *output, Job *job)
{
    LsLabelled *train = &job->part[LS_SPLIT_TRAIN];
    LsRawFiles *raw[LS_SPLITS];
    for (int split = 0; split < LS_SPLITS; split++)
        raw[split] = &job->part[split].raw;
    LS_TRY(ls_split_files_open(&o->held_out, sources, source, output, raw));
    if (o->classes)
        LS_TRY(ls_classes_from_list(&job->classes, o->classes));
    LS_TRY(ls_labelled_read(o, &job->classes, train));
    if (train->texts.count == 0)
        return ls_fail(LS_DATA, "%s: has no samples", source[0]);
    if (!o->classes && strcmp(o->format, "files") != 0)
        LS_TRY(ls_classes_sort_labels(&job->classes, train->label.id, train->label.count));
    job->classes.fixed = true;
    LS_TRY(ls_labelled_read(o, &job->classes, &job->part[LS_SPLIT_VALIDATION]));
    LS_TRY(ls_labelled_read(o, &job->classes, &job->part[LS_SPLIT_TEST]));
    return ls_held_out_new(&o->held_out, train->texts.count, &job->held_out);
}

static LsStatus choose_tokenizer(const LsTokenizerSettings *tokens, Job *job)
{
    int64_t room = 0;
    for (int split = 0; split < LS_SPLITS; split++)
        room += job->part[split].texts.count + job->part[split].second.count;
    LsTokenizerTexts texts;
    LS_TRY(ls_tokenizer_texts_new(room, &texts));
    for (int split = 0; split < LS_SPLITS; split++)
        for (int64_t i = 0; i < job->part[split].texts.count; i++) {
            const LsLabelled *part = &job->part[split];
            bool trained = split == LS_SPLIT_TRAIN && !ls_is_held_out(&job->held_out, i);
            ls_tokenizer_texts_add(&texts, &part->texts.text[i], trained);
            if (part->second.count > 0)
                ls_tokenizer_texts_add(&texts, &part->second.text[i], trained);
        }
    job->tokenizer = ls_tokenizer_choose(tokens, NULL, &texts, "tokenizer");
    ls_tokenizer_texts_free(&texts);
    if (!job->tokenizer)
        return ls_message_status();
    if (job->part[LS_SPLIT_TRAIN].second.count > 0 && !ls_tokenizer_frames(job->tokenizer))
        return ls_fail(LS_USAGE,
                       "--second: the tokenizer %s has no tokens to tell two texts apart; --tokenizer wordpiece has",
                       ls_tokenizer_kind(job->tokenizer));
    return LS_OK;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

typedef struct SplitWriter {
    LsTextWriter texts, second;
    LsNumbers *labels;
} SplitWriter;

static LsStatus write_text(LsTextWriter *writer, const LsTexts *texts, int64_t at)
{
    LS_TRY(ls_text_writer_encode(writer, texts, at));
    return ls_text_writer_add(writer);
}

static LsStatus write_samples(SplitWriter *writer, const LsLabelled *part, const LsHeldOut *held_out, LsSplit split)
{
    for (int64_t i = 0; i < part->texts.count; i++) {
        if (!ls_is_in_split(held_out, split, i))
            continue;
        LS_TRY(write_text(&writer->texts, &part->texts, i));
        if (part->second.count > 0)
            LS_TRY(write_text(&writer->second, &part->second, i));
        LS_TRY(ls_numbers_add_one(writer->labels, part->label.id[i]));
    }
    return LS_OK;
}

static LsStatus write_split(LsSealed *file, Job *job, LsSplit split)
{
    char name[64];
    const LsLabelled *part = &job->part[ls_part_of_split(&job->held_out, split)];
    if (part->texts.count == 0)
        return LS_OK;
    SplitWriter writer = {0};
    snprintf(name, sizeof name, "%s/labels", ls_split_names[split]);
    writer.labels = ls_numbers_new(file, name, LS_FILE_INT32);
    LsStatus status = writer.labels ? LS_OK : ls_message_status();
    if (status == LS_OK)
        status = ls_text_writer_open(&writer.texts, file, ls_split_names[split], "ids", job->tokenizer);
    if (status == LS_OK && part->second.count > 0)
        status = ls_text_writer_open(&writer.second, file, ls_split_names[split], "second", job->tokenizer);
    if (status == LS_OK)
        status = write_samples(&writer, part, &job->held_out, split);
    status = ls_numbers_end(writer.labels, status);
    status = ls_text_writer_end(&writer.second, status);
    return ls_text_writer_end(&writer.texts, status);
}

static LsStatus write_file(const LsLinesSettings *o, Job *job, int sources, char *const *source, const char *output)
{
    LsSealed *file = ls_sealed_create(output, "lines", LS_LINES_VERSION, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = LS_OK;
    int64_t blank = 0;
    for (int split = 0; split < LS_SPLITS && status == LS_OK; split++) {
        status = write_split(file, job, (LsSplit)split);
        blank += job->part[split].blank;
    }
    if (status == LS_OK) {
        json_t *info = json_pack("{s:s, s:o, s:o}", "kind", "lines", "classes", ls_classes_json(&job->classes),
                                 "tokenizer", ls_tokenizer_object(job->tokenizer));
        json_t *notes = json_pack("{s:s*, s:s*, s:I}", "validation_file", o->held_out.validation_file, "test_file",
                                  o->held_out.test, "skipped_empty_lines", (json_int_t)blank);
        status = ls_sealed_write_notes(file, info, notes, &(LsAsked){settings, o, sources, source});
    }
    return ls_sealed_finish(file, status);
}

LsStatus ls_lines_prepare(const LsLinesSettings *o, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare lines needs at least one file");
    Job job = {0};
    LsStatus status = read_parts(o, sources, source, output, &job);
    if (status == LS_OK)
        status = choose_tokenizer(&o->tokens, &job);
    if (status == LS_OK)
        status = write_file(o, &job, sources, source, output);
    for (int split = 0; split < LS_SPLITS; split++)
        ls_labelled_free(&job.part[split]);
    ls_classes_free(&job.classes);
    ls_tokenizer_free(job.tokenizer);
    return status;
}

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    return ls_lines_prepare(table, sources, source, output);
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

static LsStatus add_split(LsSealed *file, const char *split, const json_t *classes, json_t *object)
{
    char name[64];
    int32_t *label = NULL;
    int64_t count = 0, texts = 0;
    snprintf(name, sizeof name, "%s/labels", split);
    LS_TRY(ls_numbers_read(file, name, 0, (int64_t)json_array_size(classes), &label, &count));
    snprintf(name, sizeof name, "%s_samples", split);
    json_object_set_new(object, name, json_integer(label ? count : 0));
    if (!label)
        return LS_OK;
    snprintf(name, sizeof name, "%s_by_class", split);
    json_object_set_new(object, name, ls_describe_classes(label, count, classes));
    ls_free(label);
    LS_TRY(ls_describe_texts(file, split, "ids", object, &texts));
    if (texts == count)
        LS_TRY(ls_describe_texts(file, split, "second", object, &texts));
    return texts == count || texts == 0 ? LS_OK
                                        : ls_fail(LS_DATA, "%s: has %lld texts and %lld labels in %s",
                                                  ls_sealed_path(file), (long long)texts, (long long)count, split);
}

static LsStatus inspect(LsSealed *file, json_t *object)
{
    return ls_describe_classified(file, LS_LINES_VERSION, add_split, object);
}

static const char *const parts[] = {"info",  "preparation",   "info.classes", "info.tokenizer",
                                    "*/ids", "*/ids_offsets", "*/labels",     NULL};

const LsDataKind ls_data_kind_lines = {
    .name = "lines",
    .summary = "a label and a text a line: TSV, JSON lines, or a file a class",
    .example = "lockstep prepare lines reviews.tsv -o reviews.h5 --lowercase --least 2\n"
               "lockstep prepare lines negative.txt positive.txt -o reviews.h5 --format files",
    .settings = settings,
    .settings_bytes = sizeof(LsLinesSettings),
    .prepare = prepare,
    .open = ls_lines_open,
    .parts = parts,
    .inspect = inspect,
};
