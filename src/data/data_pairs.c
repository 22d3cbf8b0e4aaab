/* Texts with their translations as a kind of data set: preparing and describing. */
#include "data/pairs.h"

#include <stdio.h>
#include <string.h>

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(LsPairsSettings, format, "auto", "auto|tsv|jsonl|files",
                      "of the sources: columns between tabs, JSON objects a line, or two files whose lines belong "
                      "together (source texts, then targets); auto: jsonl by the name's ending, else tsv"),
    LS_SETTING_STRING(LsPairsSettings, source, NULL,
                      "where the text to translate stands: column number from 1, or a name in the first line (default "
                      "1); jsonl: name of the member (default source)"),
    LS_SETTING_STRING(LsPairsSettings, target, NULL, "the same of its translation (default 2; jsonl: target)"),
    LS_TOKENIZER_SETTINGS(LsPairsSettings, tokens, "words", "split"),
    {.name = "target_tokenizer",
     .type = LS_SETTING_TYPE_STRING,
     .offset = offsetof(LsPairsSettings, target_tokenizer),
     .help = "the tokenizer of the translations (default: as --tokenizer)"},
    LS_SETTING_BOOL(LsPairsSettings, shared_vocabulary, "false", "one vocabulary, of both sides"),
    LS_SETTING_INT(LsPairsSettings, longest, "0", 0, 1 << 24,
                   "pairs of which a side has more tokens are passed over; 0: none"),
    LS_HELD_OUT_SETTINGS(LsPairsSettings, held_out, "pairs", "files", "0.1",
                         "; pairs to train on whose source text is held out too are passed over"),
    {0}};

static const char *const roles[LS_PAIR_SIDES] = {"source_tokenizer", "tokenizer"};
static const char *const arrays[LS_PAIR_SIDES] = {"source", "target"};

typedef struct Job {
    LsPairs part[LS_SPLITS]; /* as the options name them: of the first, some pairs are held out */
    unsigned char *split;    /* of each pair of the first part: LsSplit, or LS_SPLITS where it is passed over */
    LsTokenizer *tokenizer[LS_PAIR_SIDES];
    int64_t overlap, too_long;
} Job;

/* ---- Which pairs ------------------------------------------------------------------------------------------------- */

static LsSpan source_text(const LsPairs *part, int64_t at)
{
    const LsCorpusPart *text = &part->side[LS_PAIR_SOURCE].text[at];
    return (LsSpan){text->text, text->bytes};
}

/* Passes over pairs to train on whose source text is also one of those held out. */
static LsStatus drop_overlap(Job *job)
{
    LsClasses held = {0};
    const LsPairs *train = &job->part[LS_SPLIT_TRAIN];
    int64_t pairs = train->side[LS_PAIR_SOURCE].count, failed = 0;
    for (int64_t i = 0; i < pairs; i++)
        if (job->split[i] == LS_SPLIT_VALIDATION)
            failed += ls_classes_add(&held, source_text(train, i)) < 0;
    for (int split = LS_SPLIT_VALIDATION; split < LS_SPLITS; split++)
        for (int64_t i = 0; i < job->part[split].side[LS_PAIR_SOURCE].count; i++)
            failed += ls_classes_add(&held, source_text(&job->part[split], i)) < 0;
    for (int64_t i = 0; i < pairs && !failed; i++)
        if (job->split[i] == LS_SPLIT_TRAIN && ls_classes_find(&held, source_text(train, i)) >= 0) {
            job->split[i] = LS_SPLITS;
            job->overlap++;
        }
    ls_classes_free(&held);
    return failed ? LS_RESOURCE : LS_OK;
}

static LsStatus read_parts(const LsPairsSettings *o, int sources, char *const *source, const char *output, Job *job)
{
    LsPairs *train = &job->part[LS_SPLIT_TRAIN];
    LsHeldOut held_out;
    LsRawFiles *raw[LS_SPLITS];
    for (int split = 0; split < LS_SPLITS; split++)
        raw[split] = &job->part[split].raw;
    LS_TRY(ls_split_files_open(&o->held_out, sources, source, output, raw));
    for (int split = 0; split < LS_SPLITS; split++)
        LS_TRY(ls_pairs_read(o, &job->part[split]));
    int64_t pairs = train->side[LS_PAIR_SOURCE].count;
    if (pairs == 0)
        return ls_fail(LS_DATA, "%s: has no pairs", source[0]);
    LS_TRY(ls_held_out_new(&o->held_out, pairs, &held_out));
    job->split = ls_alloc((size_t)pairs);
    if (!job->split)
        return LS_RESOURCE;
    for (int64_t i = 0; i < pairs; i++)
        job->split[i] = ls_is_held_out(&held_out, i) ? LS_SPLIT_VALIDATION : LS_SPLIT_TRAIN;
    return drop_overlap(job);
}

/* ---- Tokenizers -------------------------------------------------------------------------------------------------- */

static void add_side(const Job *job, int side, LsTokenizerTexts *texts)
{
    for (int split = 0; split < LS_SPLITS; split++) {
        const LsTexts *list = &job->part[split].side[side];
        for (int64_t i = 0; i < list->count; i++)
            ls_tokenizer_texts_add(texts, &list->text[i], split == LS_SPLIT_TRAIN && job->split[i] == LS_SPLIT_TRAIN);
    }
}

static LsStatus choose_tokenizers(const LsPairsSettings *o, Job *job)
{
    int64_t room = 0;
    for (int split = 0; split < LS_SPLITS; split++)
        room += 2 * job->part[split].side[LS_PAIR_SOURCE].count;
    for (int side = 0; side < LS_PAIR_SIDES; side++) {
        bool own = side == LS_PAIR_TARGET && !o->shared_vocabulary;
        LsTokenizerTexts texts;
        LS_TRY(ls_tokenizer_texts_new(room, &texts));
        for (int other = 0; other < LS_PAIR_SIDES; other++)
            if (other == side || o->shared_vocabulary)
                add_side(job, other, &texts);
        job->tokenizer[side] = ls_tokenizer_choose(&o->tokens, own ? o->target_tokenizer : NULL, &texts, roles[side]);
        ls_tokenizer_texts_free(&texts);
        if (!job->tokenizer[side])
            return ls_message_status();
    }
    return LS_OK;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static LsStatus write_pairs(const LsPairsSettings *o, Job *job, LsTextWriter *writer, const LsPairs *part, int wanted)
{
    for (int64_t i = 0; i < part->side[LS_PAIR_SOURCE].count; i++) {
        if (part == &job->part[LS_SPLIT_TRAIN] && job->split[i] != wanted)
            continue;
        bool fits = true;
        for (int side = 0; side < LS_PAIR_SIDES; side++) {
            LS_TRY(ls_text_writer_encode(&writer[side], &part->side[side], i));
            fits = fits && (o->longest == 0 || writer[side].tokens.count <= o->longest);
        }
        job->too_long += !fits;
        for (int side = 0; side < LS_PAIR_SIDES && fits; side++)
            LS_TRY(ls_text_writer_add(&writer[side]));
    }
    return LS_OK;
}

static LsStatus write_split(const LsPairsSettings *o, LsSealed *file, Job *job, int split)
{
    const LsPairs *part = &job->part[split];
    if (split == LS_SPLIT_VALIDATION && part->side[LS_PAIR_SOURCE].count == 0 && !o->held_out.validation_file &&
        o->held_out.validation > 0)
        part = &job->part[LS_SPLIT_TRAIN];
    if (part->side[LS_PAIR_SOURCE].count == 0)
        return LS_OK;
    LsTextWriter writer[LS_PAIR_SIDES] = {0};
    LsStatus status = LS_OK;
    for (int side = 0; side < LS_PAIR_SIDES && status == LS_OK; side++)
        status = ls_text_writer_open(&writer[side], file, ls_split_names[split], arrays[side], job->tokenizer[side]);
    if (status == LS_OK)
        status = write_pairs(o, job, writer, part, split);
    if (status == LS_OK && writer[LS_PAIR_SOURCE].total == 0)
        status = ls_fail(LS_DATA, "no pairs are left in the %s part: all are longer than --longest %lld, or held out",
                         ls_split_names[split], (long long)o->longest);
    for (int side = 0; side < LS_PAIR_SIDES; side++)
        status = ls_text_writer_end(&writer[side], status);
    return status;
}

static LsStatus write_file(const LsPairsSettings *o, Job *job, int sources, char *const *source, const char *output)
{
    LsSealed *file = ls_sealed_create(output, "pairs", LS_PAIRS_VERSION, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = LS_OK;
    int64_t blank = 0;
    for (int split = 0; split < LS_SPLITS && status == LS_OK; split++) {
        status = write_split(o, file, job, split);
        blank += job->part[split].blank;
    }
    if (status == LS_OK) {
        json_t *info = json_pack("{s:s, s:o, s:o}", "kind", "pairs", roles[LS_PAIR_SOURCE],
                                 ls_tokenizer_object(job->tokenizer[LS_PAIR_SOURCE]), roles[LS_PAIR_TARGET],
                                 ls_tokenizer_object(job->tokenizer[LS_PAIR_TARGET]));
        json_t *notes =
            json_pack("{s:s*, s:s*, s:I, s:I, s:I}", "validation_file", o->held_out.validation_file, "test_file",
                      o->held_out.test, "skipped_empty_lines", (json_int_t)blank, "skipped_pairs_too_long",
                      (json_int_t)job->too_long, "skipped_pairs_held_out_too", (json_int_t)job->overlap);
        status = ls_sealed_write_notes(file, info, notes, &(LsAsked){settings, o, sources, source});
    }
    return ls_sealed_finish(file, status);
}

LsStatus ls_pairs_prepare(const LsPairsSettings *o, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare pairs needs at least one file");
    if (o->shared_vocabulary && o->target_tokenizer)
        return ls_fail(LS_USAGE, "--shared-vocabulary and --target-tokenizer exclude each other");
    Job job = {0};
    LsStatus status = read_parts(o, sources, source, output, &job);
    if (status == LS_OK)
        status = choose_tokenizers(o, &job);
    if (status == LS_OK)
        status = write_file(o, &job, sources, source, output);
    for (int split = 0; split < LS_SPLITS; split++)
        ls_pairs_free(&job.part[split]);
    for (int side = 0; side < LS_PAIR_SIDES; side++)
        ls_tokenizer_free(job.tokenizer[side]);
    ls_free(job.split);
    return status;
}

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    return ls_pairs_prepare(table, sources, source, output);
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

static LsStatus inspect(LsSealed *file, json_t *object)
{
    LS_TRY(ls_sealed_check_version(file, LS_PAIRS_VERSION));
    for (int side = 0; side < LS_PAIR_SIDES; side++)
        LS_TRY(ls_describe_tokenizer(file, roles[side], object));
    for (int split = 0; split < LS_SPLITS; split++) {
        char name[64];
        int64_t texts[LS_PAIR_SIDES] = {0};
        snprintf(name, sizeof name, "%s_samples", ls_split_names[split]);
        json_object_set_new(object, name, json_integer(0));
        for (int side = 0; side < LS_PAIR_SIDES; side++)
            LS_TRY(ls_describe_texts(file, ls_split_names[split], arrays[side], object, &texts[side]));
        if (texts[LS_PAIR_SOURCE] != texts[LS_PAIR_TARGET])
            return ls_fail(LS_DATA, "%s: has %lld source texts and %lld targets in %s", ls_sealed_path(file),
                           (long long)texts[LS_PAIR_SOURCE], (long long)texts[LS_PAIR_TARGET], ls_split_names[split]);
        json_object_set_new(object, name, json_integer(texts[LS_PAIR_SOURCE]));
    }
    return ls_describe_preparation(file, object);
}

static const char *const parts[] = {"info",           "preparation",      "info.source_tokenizer",
                                    "info.tokenizer", "*/source",         "*/source_offsets",
                                    "*/target",       "*/target_offsets", NULL};

const LsDataKind ls_data_kind_pairs = {
    .name = "pairs",
    .summary = "texts and their translations: TSV, JSON lines, two files",
    .example = "lockstep prepare pairs fra-eng.tsv -o french.h5 --words 10000 --longest 24 --validation 1000",
    .settings = settings,
    .settings_bytes = sizeof(LsPairsSettings),
    .prepare = prepare,
    .open = ls_pairs_open,
    .parts = parts,
    .inspect = inspect,
};
