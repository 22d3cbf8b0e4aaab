/* Characters: the distinct Unicode code points of a corpus, numbered in code point order. */
#include "data/bytelevel.h"
#include "data/tokenizer_kind.h"

#include <stdio.h>
#include <string.h>

typedef struct Characters {
    LsTokenizer base;
    uint32_t *code; /* code: (vocabulary), ascending */
    int32_t *id;    /* id: (codes), -1 where the character has none */
    uint32_t codes; /* one more than the largest code point */
} Characters;

static void free_tokenizer(LsTokenizer *tokenizer)
{
    Characters *characters = (Characters *)tokenizer;
    ls_free(characters->code);
    ls_free(characters->id);
    ls_free(characters);
}

/* From ascending code points. */
static LsStatus new_from_codes(const uint32_t *code, int64_t count, LsTokenizer **tokenizer)
{
    Characters *characters = ls_alloc(sizeof *characters);
    if (!characters)
        return LS_RESOURCE;
    characters->base = (LsTokenizer){&ls_tokenizer_kind_characters, count, -1, -1, -1, -1};
    characters->codes = code[count - 1] + 1;
    characters->code = ls_alloc_array(count, sizeof *characters->code);
    characters->id = ls_alloc_array(characters->codes, sizeof *characters->id);
    if (!characters->code || !characters->id) {
        free_tokenizer(&characters->base);
        return LS_RESOURCE;
    }
    memset(characters->id, 0xFF, characters->codes * sizeof *characters->id);
    for (int64_t i = 0; i < count; i++) {
        characters->code[i] = code[i];
        characters->id[code[i]] = (int32_t)i;
    }
    *tokenizer = &characters->base;
    return LS_OK;
}

/* Marks the characters of one part of the corpus in seen: (LS_CODE_POINTS). */
static LsStatus mark(const LsCorpusPart *part, unsigned char *seen)
{
    LsEncoder place = {.line = 1};
    for (int64_t at = 0; at < part->bytes;) {
        uint32_t code;
        int length = ls_utf8_decode(part->text + at, part->bytes - at, &code);
        if (length <= 0) {
            LsStatus status = ls_encoder_fail_malformed(&place, part->text, part->bytes, at);
            return part->name ? ls_fail_in(status, "%s", part->name) : status;
        }
        seen[code] = 1;
        at += length;
    }
    return LS_OK;
}

static LsStatus make(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer)
{
    (void)options;
    LsStatus status = LS_OK;
    int64_t count = 0;
    unsigned char *seen = ls_alloc(LS_CODE_POINTS);
    uint32_t *code = NULL;
    if (!seen)
        return LS_RESOURCE;
    for (int i = 0; i < parts; i++)
        LS_TRY_CLEANUP(mark(&part[i], seen));
    for (uint32_t c = 0; c < LS_CODE_POINTS; c++)
        count += seen[c];
    if (count == 0) {
        status = ls_fail(LS_DATA, "the tokenizer characters takes its vocabulary from a text, and this one is empty");
        goto cleanup;
    }
    code = ls_alloc_array(count, sizeof *code);
    if (!code) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    count = 0;
    for (uint32_t c = 0; c < LS_CODE_POINTS; c++)
        if (seen[c])
            code[count++] = c;
    status = new_from_codes(code, count, tokenizer);
cleanup:
    ls_free(seen);
    ls_free(code);
    return status;
}

static json_t *describe(const LsTokenizer *tokenizer)
{
    const Characters *characters = (const Characters *)tokenizer;
    json_t *codes = json_array();
    for (int64_t i = 0; i < tokenizer->vocabulary; i++)
        json_array_append_new(codes, json_integer(characters->code[i]));
    return json_pack("{s:o}", "characters", codes);
}

static LsStatus parse(const json_t *object, LsTokenizer **tokenizer)
{
    const json_t *codes = json_object_get(object, "characters");
    size_t count = json_array_size(codes); /* 0 where it is no array */
    if (count == 0)
        return ls_fail(LS_DATA, "the tokenizer's JSON has no array \"characters\" of code points");
    uint32_t *code = ls_alloc_array((int64_t)count, sizeof *code);
    if (!code)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    for (size_t i = 0; i < count && status == LS_OK; i++) {
        const json_t *entry = json_array_get(codes, i);
        json_int_t value = json_integer_value(entry);
        if (!json_is_integer(entry) || value < 0 || value >= LS_CODE_POINTS || (value >= 0xD800 && value < 0xE000))
            status = ls_fail(LS_DATA, "the tokenizer's JSON: \"characters\"[%zu] is not a code point of Unicode", i);
        else if (i > 0 && value <= code[i - 1])
            status = ls_fail(LS_DATA, "the tokenizer's JSON: \"characters\"[%zu] does not ascend", i);
        else
            code[i] = (uint32_t)value;
    }
    if (status == LS_OK)
        status = new_from_codes(code, (int64_t)count, tokenizer);
    ls_free(code);
    return status;
}

static bool is_shown(uint32_t code) { return code > 0x20 && (code < 0x7F || code > 0xA0); }

static LsStatus feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used)
{
    const Characters *characters = (const Characters *)encoder->tokenizer;
    LS_TRY(ls_tokens_reserve(tokens, bytes));
    int32_t *id = tokens->id + tokens->count;
    int64_t at = 0, count = 0;
    while (at < bytes) {
        uint32_t code;
        int length = ls_utf8_decode(text + at, bytes - at, &code);
        if (length < 0 && !last)
            break;
        if (length <= 0)
            return ls_encoder_fail_malformed(encoder, text, bytes, at);
        int32_t found = code < characters->codes ? characters->id[code] : -1;
        if (found < 0)
            return ls_encoder_fail(
                encoder, text, at,
                "the character U+%04X%s%.*s is not one of the %lld of the vocabulary; a model of data "
                "prepared with --tokenizer bytes reads every text",
                code, is_shown(code) ? " " : "", is_shown(code) ? length : 0, text + at,
                (long long)characters->base.vocabulary);
        id[count++] = found;
        at += length;
    }
    tokens->count += count;
    *used = at;
    return LS_OK;
}

static const char *token(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes)
{
    *bytes = ls_utf8_encode(((const Characters *)tokenizer)->code[id], room);
    return room;
}

static LsStatus write_folder(const LsTokenizer *tokenizer, const char *folder)
{
    return ls_bytelevel_write_plain(tokenizer, ((const Characters *)tokenizer)->code, false, folder);
}

const LsTokenizerKind ls_tokenizer_kind_characters = {
    .name = "characters",
    .summary = "one token a Unicode character, those that occur in the text; UTF-8",
    .closed = true,
    .make = make,
    .describe = describe,
    .parse = parse,
    .free = free_tokenizer,
    .feed = feed,
    .token = token,
    .write_folder = write_folder,
};
