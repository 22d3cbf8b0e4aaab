/* Words with a tag each as a kind of data set: preparing and describing. */
#include "data/columns.h"

#include <stdio.h>
#include <string.h>

static const LsSetting settings[] = {
    LS_SETTING_STRING(LsColumnsSettings, word, "1", "the column of words: 1 is the first, -1 the last"),
    LS_SETTING_STRING(LsColumnsSettings, tag, "-1", "the column of tags"),
    LS_SETTING_STRING(LsColumnsSettings, classes, NULL,
                      "tags that may occur, with commas, in the order of their numbers (default: those of the sources, "
                      "sorted)"),
    LS_TOKENIZER_SETTINGS(LsColumnsSettings, tokens, "words", "attached"),
    LS_HELD_OUT_SETTINGS(LsColumnsSettings, held_out, "sentences", "files", "0.1", ""),
    {0}};

typedef struct Job {
    LsSentences part[LS_SPLITS]; /* as the options name them: of the first, some sentences are held out */
    LsClasses tags;
    LsHeldOut held_out;
    LsTokenizer *tokenizer;
} Job;

static LsStatus read_parts(const LsColumnsSettings *o, int sources, char *const *source, const char *output, Job *job)
{
    LsSentences *train = &job->part[LS_SPLIT_TRAIN];
    LsRawFiles *raw[LS_SPLITS];
    for (int split = 0; split < LS_SPLITS; split++)
        raw[split] = &job->part[split].raw;
    LS_TRY(ls_split_files_open(&o->held_out, sources, source, output, raw));
    if (o->classes)
        LS_TRY(ls_classes_from_list(&job->tags, o->classes));
    LS_TRY(ls_sentences_read(o, &job->tags, train));
    if (train->length.count == 0)
        return ls_fail(LS_DATA, "%s: has no sentences", source[0]);
    if (!o->classes)
        LS_TRY(ls_classes_sort_labels(&job->tags, train->tag.id, train->tag.count));
    LS_TRY(ls_sentences_read(o, &job->tags, &job->part[LS_SPLIT_VALIDATION]));
    LS_TRY(ls_sentences_read(o, &job->tags, &job->part[LS_SPLIT_TEST]));
    return ls_held_out_new(&o->held_out, train->length.count, &job->held_out);
}

static LsStatus choose_tokenizer(const LsTokenizerSettings *tokens, Job *job)
{
    int64_t room = 0;
    for (int split = 0; split < LS_SPLITS; split++)
        room += job->part[split].words.count;
    LsTokenizerTexts texts;
    LS_TRY(ls_tokenizer_texts_new(room, &texts));
    for (int split = 0; split < LS_SPLITS; split++) {
        const LsSentences *part = &job->part[split];
        int64_t word = 0;
        for (int64_t i = 0; i < part->length.count; i++)
            for (int64_t end = word + part->length.id[i]; word < end; word++)
                ls_tokenizer_texts_add(&texts, &part->words.text[word],
                                       split == LS_SPLIT_TRAIN && !ls_is_held_out(&job->held_out, i));
    }
    job->tokenizer = ls_tokenizer_choose(tokens, NULL, &texts, "tokenizer");
    ls_tokenizer_texts_free(&texts);
    return job->tokenizer ? LS_OK : ls_message_status();
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* One sentence: words from `word` on. Of a word that is several tokens the first has its tag. */
static LsStatus write_sentence(LsTextWriter *writer, LsNumbers *tags, const LsSentences *part, int64_t word,
                               int64_t words)
{
    for (int64_t i = word; i < word + words; i++) {
        LS_TRY(ls_text_writer_encode_word(writer, &part->words, i));
        LS_TRY(ls_text_writer_add_ids(writer));
        for (int64_t token = 0; token < writer->tokens.count; token++)
            LS_TRY(ls_numbers_add_one(tags, token == 0 ? part->tag.id[i] : -1));
    }
    return ls_text_writer_end_text(writer);
}

static LsStatus write_sentences(LsTextWriter *writer, LsNumbers *tags, const LsSentences *part,
                                const LsHeldOut *held_out, LsSplit split)
{
    int64_t word = 0;
    for (int64_t i = 0; i < part->length.count; i++) {
        if (ls_is_in_split(held_out, split, i))
            LS_TRY(write_sentence(writer, tags, part, word, part->length.id[i]));
        word += part->length.id[i];
    }
    return LS_OK;
}

static LsStatus write_split(LsSealed *file, Job *job, LsSplit split)
{
    char name[64];
    const LsSentences *part = &job->part[ls_part_of_split(&job->held_out, split)];
    if (part->length.count == 0)
        return LS_OK;
    LsTextWriter writer = {0};
    snprintf(name, sizeof name, "%s/tags", ls_split_names[split]);
    LsNumbers *tags = ls_numbers_new(file, name, LS_FILE_INT32);
    LsStatus status =
        tags ? ls_text_writer_open(&writer, file, ls_split_names[split], "ids", job->tokenizer) : ls_message_status();
    if (status == LS_OK)
        status = write_sentences(&writer, tags, part, &job->held_out, split);
    status = ls_numbers_end(tags, status);
    return ls_text_writer_end(&writer, status);
}

static LsStatus write_file(const LsColumnsSettings *o, Job *job, int sources, char *const *source, const char *output)
{
    LsSealed *file = ls_sealed_create(output, "columns", LS_COLUMNS_VERSION, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = LS_OK;
    int64_t blank = 0, marks = 0;
    for (int split = 0; split < LS_SPLITS && status == LS_OK; split++) {
        status = write_split(file, job, (LsSplit)split);
        blank += job->part[split].blank;
        marks += job->part[split].marks;
    }
    if (status == LS_OK) {
        json_t *info = json_pack("{s:s, s:o, s:o}", "kind", "columns", "classes", ls_classes_json(&job->tags),
                                 "tokenizer", ls_tokenizer_object(job->tokenizer));
        json_t *notes = json_pack("{s:s*, s:s*, s:I, s:I}", "validation_file", o->held_out.validation_file, "test_file",
                                  o->held_out.test, "skipped_further_empty_lines", (json_int_t)blank,
                                  "skipped_marks_of_documents", (json_int_t)marks);
        status = ls_sealed_write_notes(file, info, notes, &(LsAsked){settings, o, sources, source});
    }
    return ls_sealed_finish(file, status);
}

LsStatus ls_columns_prepare(const LsColumnsSettings *o, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare columns needs at least one file");
    Job job = {0};
    LsStatus status = read_parts(o, sources, source, output, &job);
    if (status == LS_OK)
        status = choose_tokenizer(&o->tokens, &job);
    if (status == LS_OK)
        status = write_file(o, &job, sources, source, output);
    for (int split = 0; split < LS_SPLITS; split++)
        ls_sentences_free(&job.part[split]);
    ls_classes_free(&job.tags);
    ls_tokenizer_free(job.tokenizer);
    return status;
}

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    return ls_columns_prepare(table, sources, source, output);
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

static LsStatus add_split(LsSealed *file, const char *split, const json_t *classes, json_t *object)
{
    char name[64];
    int32_t *tag = NULL;
    int64_t count = 0, sentences = 0, words = 0;
    snprintf(name, sizeof name, "%s/tags", split);
    LS_TRY(ls_numbers_read(file, name, -1, (int64_t)json_array_size(classes), &tag, &count));
    for (int64_t i = 0; tag && i < count; i++)
        if (tag[i] >= 0)
            tag[words++] = tag[i];
    LsStatus status = LS_OK;
    snprintf(name, sizeof name, "%s_samples", split);
    json_object_set_new(object, name, json_integer(0));
    if (tag) {
        char key[64];
        snprintf(key, sizeof key, "%s_words", split);
        json_object_set_new(object, key, json_integer(words));
        snprintf(key, sizeof key, "%s_by_class", split);
        json_object_set_new(object, key, ls_describe_classes(tag, words, classes));
        status = ls_describe_texts(file, split, "ids", object, &sentences);
        json_object_set_new(object, name, json_integer(sentences));
    }
    ls_free(tag);
    return status;
}

static LsStatus inspect(LsSealed *file, json_t *object)
{
    return ls_describe_classified(file, LS_COLUMNS_VERSION, add_split, object);
}

static const char *const parts[] = {"info",  "preparation",   "info.classes", "info.tokenizer",
                                    "*/ids", "*/ids_offsets", "*/tags",       NULL};

const LsDataKind ls_data_kind_columns = {
    .name = "columns",
    .summary = "sentences with a tag for each word: CoNLL's columns",
    .example = "lockstep prepare columns train.conll -o names.h5 --validation-file dev.conll --test test.conll",
    .settings = settings,
    .settings_bytes = sizeof(LsColumnsSettings),
    .prepare = prepare,
    .open = ls_columns_open,
    .parts = parts,
    .inspect = inspect,
};
