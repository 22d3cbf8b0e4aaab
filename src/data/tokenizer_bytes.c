/* Bytes: token b is byte b. Any file is a text. */
#include "data/bytelevel.h"
#include "data/tokenizer_kind.h"

#include <string.h>

static LsStatus make(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer)
{
    (void)part, (void)parts, (void)options;
    LsTokenizer *made = ls_alloc(sizeof *made);
    if (!made)
        return LS_RESOURCE;
    *made = (LsTokenizer){&ls_tokenizer_kind_bytes, 256, -1, -1, -1, -1};
    *tokenizer = made;
    return LS_OK;
}

static json_t *describe(const LsTokenizer *tokenizer)
{
    (void)tokenizer;
    return json_object();
}

static LsStatus parse(const json_t *object, LsTokenizer **tokenizer)
{
    (void)object;
    return make(NULL, 0, NULL, tokenizer);
}

static void free_tokenizer(LsTokenizer *tokenizer) { ls_free(tokenizer); }

static LsStatus feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used)
{
    (void)encoder, (void)last;
    LS_TRY(ls_tokens_reserve(tokens, bytes));
    int32_t *id = tokens->id + tokens->count;
    for (int64_t i = 0; i < bytes; i++)
        id[i] = (unsigned char)text[i];
    tokens->count += bytes;
    *used = bytes;
    return LS_OK;
}

static const char *token(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes)
{
    (void)tokenizer;
    room[0] = (char)id;
    *bytes = 1;
    return room;
}

static LsStatus write_folder(const LsTokenizer *tokenizer, const char *folder)
{
    uint32_t code[256];
    for (int byte = 0; byte < 256; byte++)
        code[byte] = ls_bytelevel_code((unsigned char)byte);
    return ls_bytelevel_write_plain(tokenizer, code, true, folder);
}

const LsTokenizerKind ls_tokenizer_kind_bytes = {
    .name = "bytes",
    .summary = "256 tokens, one a byte; any file",
    .make = make,
    .describe = describe,
    .parse = parse,
    .free = free_tokenizer,
    .feed = feed,
    .token = token,
    .write_folder = write_folder,
};
