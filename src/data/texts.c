/* Texts of samples, gathered and tokenized. */
#include "data/texts.h"

#include <stdio.h>
#include <string.h>

/* A larger copy of `count` elements of an array. */
static void *grow(void *array, int64_t count, int64_t *room, size_t size)
{
    int64_t larger = *room ? 2 * *room : 1024;
    void *grown = ls_alloc_array(larger, size);
    if (!grown)
        return NULL;
    if (count)
        memcpy(grown, array, (size_t)count * size);
    ls_free(array);
    *room = larger;
    return grown;
}

LsStatus ls_texts_add(LsTexts *texts, LsSpan text, const LsLines *lines)
{
    if (texts->count == texts->room) {
        int64_t room = texts->room;
        LsCorpusPart *grown = grow(texts->text, texts->count, &room, sizeof *grown);
        if (!grown)
            return LS_RESOURCE;
        texts->text = grown;
        room = texts->room;
        int64_t *line = grow(texts->line, texts->count, &room, sizeof *line);
        if (!line)
            return LS_RESOURCE;
        texts->line = line;
        texts->room = room;
    }
    texts->text[texts->count] = (LsCorpusPart){lines->part->name, text.text, text.bytes};
    texts->line[texts->count++] = lines->number;
    return LS_OK;
}

LsStatus ls_texts_add_copy(LsTexts *texts, LsSpan text, const LsLines *lines)
{
    if (texts->owns == texts->owned_room) {
        char **grown = grow(texts->owned, texts->owns, &texts->owned_room, sizeof *grown);
        if (!grown)
            return LS_RESOURCE;
        texts->owned = grown;
    }
    char *copy = ls_span_copy(text);
    if (!copy)
        return LS_RESOURCE;
    texts->owned[texts->owns++] = copy;
    return ls_texts_add(texts, (LsSpan){copy, text.bytes}, lines);
}

void ls_texts_free(LsTexts *texts)
{
    for (int64_t i = 0; i < texts->owns; i++)
        ls_free(texts->owned[i]);
    ls_free(texts->owned);
    ls_free(texts->text);
    ls_free(texts->line);
    *texts = (LsTexts){0};
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

LsStatus ls_text_writer_open(LsTextWriter *writer, LsSealed *file, const char *split, const char *name,
                             const LsTokenizer *tokenizer)
{
    char path[128];
    writer->tokenizer = tokenizer;
    snprintf(path, sizeof path, "%s/%s", split, name);
    writer->ids = ls_numbers_new(file, path, ls_id_type(ls_tokenizer_vocabulary(tokenizer)));
    snprintf(path, sizeof path, "%s/%s_offsets", split, name);
    writer->offsets = writer->ids ? ls_numbers_new(file, path, LS_FILE_INT64) : NULL;
    return writer->offsets ? ls_numbers_add_one(writer->offsets, 0) : ls_message_status();
}

static LsStatus encode(LsTextWriter *writer, const LsTexts *texts, int64_t at)
{
    const LsCorpusPart *text = &texts->text[at];
    int32_t *ids = NULL;
    int64_t count = 0;
    LsStatus status = ls_tokenizer_encode(writer->tokenizer, text->text, text->bytes, &ids, &count);
    ls_free(writer->tokens.id);
    writer->tokens = (LsTokens){ids, count, count};
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s: line %lld", text->name, (long long)texts->line[at]);
}

LsStatus ls_text_writer_encode(LsTextWriter *writer, const LsTexts *texts, int64_t at)
{
    LS_TRY(encode(writer, texts, at));
    return writer->tokens.count > 0 ? LS_OK
                                    : ls_fail(LS_DATA, "%s: line %lld: the text has no tokens", texts->text[at].name,
                                              (long long)texts->line[at]);
}

LsStatus ls_text_writer_encode_word(LsTextWriter *writer, const LsTexts *texts, int64_t at)
{
    if (ls_tokenizer_unknown(writer->tokenizer) < 0)
        return ls_text_writer_encode(writer, texts, at);
    LS_TRY(encode(writer, texts, at));
    if (writer->tokens.count > 0)
        return LS_OK;
    LS_TRY(ls_tokens_reserve(&writer->tokens, 1));
    writer->tokens.id[writer->tokens.count++] = (int32_t)ls_tokenizer_unknown(writer->tokenizer);
    return LS_OK;
}

LsStatus ls_text_writer_add_ids(LsTextWriter *writer)
{
    writer->total += writer->tokens.count;
    return ls_numbers_add(writer->ids, writer->tokens.id, writer->tokens.count);
}

LsStatus ls_text_writer_end_text(LsTextWriter *writer) { return ls_numbers_add_one(writer->offsets, writer->total); }

LsStatus ls_text_writer_add(LsTextWriter *writer)
{
    LS_TRY(ls_text_writer_add_ids(writer));
    return ls_text_writer_end_text(writer);
}

LsStatus ls_text_writer_end(LsTextWriter *writer, LsStatus status)
{
    status = ls_numbers_end(writer->ids, status);
    status = ls_numbers_end(writer->offsets, status);
    ls_free(writer->tokens.id);
    return status;
}

LsStatus ls_describe_classified(LsSealed *file, int newest, LsDescribeSplit add_split, json_t *object)
{
    json_t *info = NULL;
    LS_TRY(ls_sealed_check_version(file, newest));
    LS_TRY(ls_sealed_read_json(file, "info", &info));
    const json_t *classes = json_object_get(info, "classes");
    LsStatus status = ls_describe_tokenizer(file, "tokenizer", object);
    json_object_set_new(object, "classes", json_integer((json_int_t)json_array_size(classes)));
    for (int split = 0; split < LS_SPLITS && status == LS_OK; split++)
        status = add_split(file, ls_split_names[split], classes, object);
    json_decref(info);
    return status == LS_OK ? ls_describe_preparation(file, object) : status;
}
