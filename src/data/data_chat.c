/* Conversations as a kind of data set: preparing and describing. */
#include "data/chat.h"
#include "data/escapes.h"
#include "data/text_write.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const LsSetting settings[] = {
    LS_SETTING_STRING(LsChatSettings, messages, "messages",
                      "the member of each JSON line that is the list of messages, each with a role (system, user or "
                      "assistant) and a content that is a text"),
    LS_SETTING_STRING(LsChatSettings, system, NULL,
                      "what stands before a message of the role system, with \\n, \\t and \\\\ for a new line, a tab "
                      "and a backslash (default: as --like has it, else <|system|>\\n); a chat template of the model's "
                      "own (chat_template, *.jinja) is not read"),
    LS_SETTING_STRING(LsChatSettings, user, NULL,
                      "the same of the role user (default: as --like has it, else <|user|>\\n)"),
    LS_SETTING_STRING(LsChatSettings, assistant, NULL,
                      "the same of the role assistant (default: as --like has it, else <|assistant|>\\n)"),
    LS_SETTING_STRING(LsChatSettings, end, NULL,
                      "what stands behind every message; behind an answer it is learnt too (default: as --like has it, "
                      "else <|end|>\\n)"),
    LS_TOKENIZER_SETTINGS(LsChatSettings, tokens, "bytes", "split"),
    LS_SETTING_INT(LsChatSettings, longest, "0", 0, 1 << 30,
                   "conversations of more tokens are passed over; 0: none, what is too long is cut when it is read"),
    LS_HELD_OUT_SETTINGS(LsChatSettings, held_out, "conversations", "files", "0.1", ""),
    {0}};

typedef struct Job {
    const void *asked;       /* the options as they were given */
    LsChats part[LS_SPLITS]; /* as the options name them: of the first, some conversations are held out */
    LsHeldOut held_out;
    LsTokenizer *tokenizer;
    LsSpecials specials;
    int64_t too_long;
} Job;

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static LsStatus read_parts(const LsChatSettings *o, int sources, char *const *source, const char *output, Job *job)
{
    LsChats *train = &job->part[LS_SPLIT_TRAIN];
    LsRawFiles *raw[LS_SPLITS];
    for (int split = 0; split < LS_SPLITS; split++)
        raw[split] = &job->part[split].raw;
    LS_TRY(ls_split_files_open(&o->held_out, sources, source, output, raw));
    for (int split = 0; split < LS_SPLITS; split++)
        LS_TRY(ls_chats_read(o, &job->part[split]));
    if (train->first.count == 0)
        return ls_fail(LS_DATA, "%s: has no conversations", source[0]);
    return ls_held_out_new(&o->held_out, train->first.count, &job->held_out);
}

static int64_t end_of(const LsChats *part, int64_t conversation)
{
    return conversation + 1 < part->first.count ? part->first.id[conversation + 1] : part->piece.count;
}

static LsStatus choose_tokenizer(const LsTokenizerSettings *tokens, Job *job)
{
    int64_t room = 0;
    for (int split = 0; split < LS_SPLITS; split++)
        room += job->part[split].piece.count;
    LsTokenizerTexts texts;
    LS_TRY(ls_tokenizer_texts_new(room, &texts));
    for (int split = 0; split < LS_SPLITS; split++) {
        const LsChats *part = &job->part[split];
        for (int64_t i = 0; i < part->first.count; i++)
            for (int64_t piece = part->first.id[i]; piece < end_of(part, i); piece++)
                ls_tokenizer_texts_add(&texts, &part->piece.text[piece],
                                       split == LS_SPLIT_TRAIN && !ls_is_held_out(&job->held_out, i));
    }
    job->tokenizer = ls_tokenizer_choose(tokens, NULL, &texts, "tokenizer");
    ls_tokenizer_texts_free(&texts);
    return job->tokenizer ? ls_specials_of(job->tokenizer, &job->specials) : ls_message_status();
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

typedef struct Writer {
    LsNumbers *ids, *offsets, *answers;
    LsTokens id, answer; /* of one conversation */
    int64_t total;
} Writer;

/* What was appended to `id` since, as answer or not. */
static LsStatus mark(Writer *writer, bool answer)
{
    int64_t more = writer->id.count - writer->answer.count;
    LS_TRY(ls_tokens_reserve(&writer->answer, more));
    for (int64_t i = 0; i < more; i++)
        writer->answer.id[writer->answer.count++] = answer;
    return LS_OK;
}

/* Its pieces, each by itself, and the tokenizer's token of an end, where it has one, which is learnt. */
static LsStatus encode(const Job *job, const LsChats *part, int64_t conversation, Writer *writer)
{
    writer->id.count = writer->answer.count = 0;
    for (int64_t piece = part->first.id[conversation]; piece < end_of(part, conversation); piece++) {
        const LsCorpusPart *text = &part->piece.text[piece];
        int kind = part->kind.id[piece];
        LsStatus status = ls_chat_encode(job->tokenizer, &job->specials, text->text, text->bytes, kind, &writer->id);
        if (status != LS_OK)
            return ls_fail_in(status, "%s: line %lld", text->name, (long long)part->piece.line[piece]);
        LS_TRY(mark(writer, kind & LS_CHAT_LEARNT));
    }
    int32_t end = (int32_t)ls_tokenizer_end(job->tokenizer);
    if (end < 0)
        return LS_OK;
    LS_TRY(ls_tokens_reserve(&writer->id, 1));
    writer->id.id[writer->id.count++] = end;
    return mark(writer, true);
}

static LsStatus write_conversations(const LsChatSettings *o, Job *job, Writer *writer, const LsChats *part,
                                    LsSplit split)
{
    for (int64_t i = 0; i < part->first.count; i++) {
        if (!ls_is_in_split(&job->held_out, split, i))
            continue;
        LS_TRY(encode(job, part, i, writer));
        if (o->longest > 0 && writer->id.count > o->longest) {
            job->too_long++;
            continue;
        }
        writer->total += writer->id.count;
        LS_TRY(ls_numbers_add(writer->ids, writer->id.id, writer->id.count));
        LS_TRY(ls_numbers_add(writer->answers, writer->answer.id, writer->answer.count));
        LS_TRY(ls_numbers_add_one(writer->offsets, writer->total));
    }
    return LS_OK;
}

static LsNumbers *new_numbers(LsSealed *file, LsSplit split, const char *array, LsFileType type)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%s", ls_split_names[split], array);
    return ls_numbers_new(file, name, type);
}

static LsStatus write_split(const LsChatSettings *o, LsSealed *file, Job *job, LsSplit split)
{
    const LsChats *part = &job->part[ls_part_of_split(&job->held_out, split)];
    if (part->first.count == 0)
        return LS_OK;
    Writer writer = {.ids = new_numbers(file, split, "ids", ls_id_type(ls_tokenizer_vocabulary(job->tokenizer)))};
    writer.offsets = writer.ids ? new_numbers(file, split, "ids_offsets", LS_FILE_INT64) : NULL;
    writer.answers = writer.offsets ? new_numbers(file, split, "answers", LS_FILE_UINT8) : NULL;
    LsStatus status = writer.answers ? ls_numbers_add_one(writer.offsets, 0) : ls_message_status();
    if (status == LS_OK)
        status = write_conversations(o, job, &writer, part, split);
    if (status == LS_OK && writer.total == 0)
        status = ls_fail(LS_DATA, "no conversations are left in the %s part: all are longer than --longest %lld",
                         ls_split_names[split], (long long)o->longest);
    status = ls_numbers_end(writer.ids, status);
    status = ls_numbers_end(writer.answers, status);
    status = ls_numbers_end(writer.offsets, status);
    ls_free(writer.id.id);
    ls_free(writer.answer.id);
    return status;
}

static LsStatus write_file(const LsChatSettings *o, Job *job, int sources, char *const *source, const char *output)
{
    LsSealed *file = ls_sealed_create(output, "chat", LS_CHAT_VERSION, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = LS_OK;
    int64_t blank = 0;
    for (int split = 0; split < LS_SPLITS && status == LS_OK; split++) {
        status = write_split(o, file, job, (LsSplit)split);
        blank += job->part[split].blank;
    }
    if (status == LS_OK) {
        json_t *info = json_pack("{s:s, s:o, s:{s:s*, s:s*, s:s*, s:s*}}", "kind", "chat", "tokenizer",
                                 ls_tokenizer_object(job->tokenizer), "template", "system", o->system, "user", o->user,
                                 "assistant", o->assistant, "end", o->end);
        json_t *notes = json_pack("{s:s*, s:s*, s:I, s:I}", "validation_file", o->held_out.validation_file, "test_file",
                                  o->held_out.test, "skipped_empty_lines", (json_int_t)blank,
                                  "skipped_conversations_too_long", (json_int_t)job->too_long);
        status = ls_sealed_write_notes(file, info, notes, &(LsAsked){settings, job->asked, sources, source});
    }
    return ls_sealed_finish(file, status);
}

typedef struct Marker {
    const char *role, *fallback;
    size_t offset; /* of the setting */
} Marker;

static const Marker markers[] = {{"system", "<|system|>\n", offsetof(LsChatSettings, system)},
                                 {"user", "<|user|>\n", offsetof(LsChatSettings, user)},
                                 {"assistant", "<|assistant|>\n", offsetof(LsChatSettings, assistant)},
                                 {"end", "<|end|>\n", offsetof(LsChatSettings, end)}};

static char **marker_of(LsChatSettings *o, const Marker *marker)
{
    return (char **)(void *)((char *)o + marker->offset);
}

/* The markers of --like: *info, the caller's to json_decref, has them as "template"; NULL where there is no --like, or
 * it is of another kind. */
static LsStatus read_like(const char *like, json_t **info)
{
    *info = NULL;
    LsSealed *file = like ? ls_sealed_open(like, NULL, LS_DATA, NULL) : NULL;
    if (!file)
        return like ? ls_message_status() : LS_OK;
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LsStatus status = ls_sealed_shape(file, "info", &exists, &type, &rank, dim);
    if (status == LS_OK && exists)
        status = ls_sealed_read_json(file, "info", info);
    ls_sealed_close(file);
    return status;
}

/* The option's text as it is meant, else that of --like, else the usual one: the caller's to free. */
static LsStatus choose_marker(const Marker *marker, const char *given, const char *like, const char *liked, char **read)
{
    char option[32];
    snprintf(option, sizeof option, "--%s", marker->role);
    if (given)
        LS_TRY(ls_escapes_read(option, given, read));
    else
        *read = ls_strdup(liked ? liked : marker->fallback);
    if (!*read)
        return LS_RESOURCE;
    if (!given || !liked || strcmp(*read, liked) == 0)
        return LS_OK;
    char *wanted = ls_escapes_write(liked);
    if (wanted)
        ls_warn("%s '%s': %s has '%s', which a model of it has learnt", option, given, like, wanted);
    ls_free(wanted);
    return wanted ? LS_OK : LS_RESOURCE;
}

/* The settings with their markers as they are meant; free_markers frees these. */
static LsStatus read_markers(LsChatSettings *o)
{
    json_t *info = NULL;
    LsStatus status = read_like(o->tokens.like, &info);
    const json_t *liked = json_object_get(info, "template");
    for (size_t i = 0; i < LS_COUNT_OF(markers); i++) {
        char **text = marker_of(o, &markers[i]), *read = NULL;
        if (status == LS_OK)
            status = choose_marker(&markers[i], *text, o->tokens.like,
                                   json_string_value(json_object_get(liked, markers[i].role)), &read);
        *text = read;
    }
    json_decref(info);
    return status;
}

static void free_markers(LsChatSettings *o)
{
    for (size_t i = 0; i < LS_COUNT_OF(markers); i++)
        ls_free(*marker_of(o, &markers[i]));
}

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    LsChatSettings own = *(const LsChatSettings *)table, *o = &own;
    Job job = {.asked = table};
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare chat needs at least one file");
    LsStatus status = read_markers(o);
    if (status == LS_OK)
        status = read_parts(o, sources, source, output, &job);
    if (status == LS_OK)
        status = choose_tokenizer(&o->tokens, &job);
    if (status == LS_OK)
        status = write_file(o, &job, sources, source, output);
    for (int split = 0; split < LS_SPLITS; split++)
        ls_chats_free(&job.part[split]);
    ls_specials_free(&job.specials);
    ls_tokenizer_free(job.tokenizer);
    free_markers(o);
    return status;
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

static LsStatus add_split(LsSealed *file, const char *split, json_t *object)
{
    char name[64];
    int32_t *answer = NULL;
    int64_t tokens = 0, learnt = 0, samples = 0;
    snprintf(name, sizeof name, "%s_samples", split);
    json_object_set_new(object, name, json_integer(0));
    LS_TRY(ls_describe_texts(file, split, "ids", object, &samples));
    json_object_set_new(object, name, json_integer(samples));
    snprintf(name, sizeof name, "%s/answers", split);
    LS_TRY(ls_numbers_read(file, name, 0, 2, &answer, &tokens));
    for (int64_t i = 0; answer && i < tokens; i++)
        learnt += answer[i];
    ls_free(answer);
    if (samples > 0) {
        snprintf(name, sizeof name, "%s_tokens", split);
        json_object_set_new(object, name, json_integer(tokens));
        snprintf(name, sizeof name, "%s_answer_tokens", split);
        json_object_set_new(object, name, json_integer(learnt));
    }
    return LS_OK;
}

/* The markers as the options take them. */
static LsStatus add_markers(LsSealed *file, json_t *object)
{
    json_t *info = NULL, *value;
    const char *role;
    LsStatus status = LS_OK;
    LS_TRY(ls_sealed_read_json(file, "info", &info));
    json_object_foreach(json_object_get(info, "template"), role, value)
    {
        char *key = ls_format("marker_%s", role);
        char *text = json_is_string(value) ? ls_escapes_write(json_string_value(value)) : NULL;
        if (!key || (json_is_string(value) && !text))
            status = LS_RESOURCE;
        else if (text)
            json_object_set_new(object, key, json_string(text));
        ls_free(key);
        ls_free(text);
    }
    json_decref(info);
    return status;
}

static LsStatus inspect(LsSealed *file, json_t *object)
{
    LS_TRY(ls_sealed_check_version(file, LS_CHAT_VERSION));
    LS_TRY(ls_describe_tokenizer(file, "tokenizer", object));
    LS_TRY(add_markers(file, object));
    for (int split = 0; split < LS_SPLITS; split++)
        LS_TRY(add_split(file, ls_split_names[split], object));
    return ls_describe_preparation(file, object);
}

static const char *const parts[] = {"info",      "preparation", "info.tokenizer", "*/ids", "*/ids_offsets",
                                    "*/answers", NULL};

const LsDataKind ls_data_kind_chat = {
    .name = "chat",
    .summary = "conversations as JSON lines, of which the answers are learnt",
    .example = "lockstep prepare chat talks.jsonl -o talks.h5 --like runs/base --validation 0.05\n"
               "lockstep prepare chat talks.jsonl -o talks.h5 --tokenizer published/ --system '<|im_start|>system\\n' "
               "--user '<|im_start|>user\\n' --assistant '<|im_start|>assistant\\n' --end '<|im_end|>\\n'",
    .settings = settings,
    .settings_bytes = sizeof(LsChatSettings),
    .use_settings = ls_chat_use_settings,
    .use_settings_bytes = sizeof(LsChatUse),
    .prepare = prepare,
    .open = ls_chat_open,
    .parts = parts,
    .inspect = inspect,
    .converse = ls_chat_converse,
};
