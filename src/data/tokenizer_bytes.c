/* Bytes: token b is byte b. Any file is a text. */
#include "data/bytelevel.h"
#include "data/tokenizer_kind.h"

#include <string.h>

static LsStatus make(const LsCorpusPart *part, int parts, const char *folder, LsTokenizer **tokenizer)
{
    (void)part, (void)parts, (void)folder;
    LsTokenizer *made = ls_alloc(sizeof *made);
    if (!made)
        return LS_RESOURCE;
    *made = (LsTokenizer){&ls_tokenizer_kind_bytes, 256, -1};
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

/* For other programs: byte-pair encoding without merges over the 256 bytes. */
static json_t *other_programs_form(void)
{
    json_t *vocabulary = json_object();
    for (int byte = 0; byte < 256; byte++) {
        char name[4];
        int length = ls_utf8_encode(ls_bytelevel_code((unsigned char)byte), name);
        json_object_setn_new(vocabulary, name, (size_t)length, json_integer(byte));
    }
    return ls_bytelevel_json(vocabulary, json_array(), &(LsBytelevelForm){.level = true});
}

static LsStatus write_folder(const LsTokenizer *tokenizer, const char *folder)
{
    (void)tokenizer;
    json_t *own = json_pack("{s:s}", "kind", "bytes"), *other = other_programs_form();
    LsStatus status = ls_json_file_write(folder, "lockstep_tokenizer.json", own);
    if (status == LS_OK)
        status = ls_json_file_write(folder, "tokenizer.json", other);
    if (status == LS_OK)
        status = ls_bytelevel_write_config(folder, "PreTrainedTokenizerFast", NULL);
    json_decref(own);
    json_decref(other);
    return status;
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
