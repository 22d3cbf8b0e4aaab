/* Shared by all tokenizers: the list, JSON, whole texts, folders. */
#include "data/tokenizer_kind.h"
#include "data/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const LsTokenizerKind *const kinds[] = {
#define TOKENIZER(name) &ls_tokenizer_kind_##name,
#include "data/tokenizers.def"
#undef TOKENIZER
    NULL};

const LsTokenizerKind *const *ls_tokenizer_kinds(void) { return kinds; }
const char *ls_tokenizer_kind_name(const LsTokenizerKind *kind) { return kind->name; }
const char *ls_tokenizer_kind_summary(const LsTokenizerKind *kind) { return kind->summary; }

const char *ls_tokenizer_kind(const LsTokenizer *tokenizer) { return tokenizer->kind->name; }
int64_t ls_tokenizer_vocabulary(const LsTokenizer *tokenizer) { return tokenizer->vocabulary; }
int64_t ls_tokenizer_end(const LsTokenizer *tokenizer) { return tokenizer->end; }

bool ls_tokenizer_ends(const LsTokenizer *tokenizer, int64_t id)
{
    bool ends = id >= 0 && id == tokenizer->end;
    for (int64_t i = 0; i < tokenizer->more_ends; i++)
        ends |= id == tokenizer->ends[i];
    return ends;
}
int64_t ls_tokenizer_begin(const LsTokenizer *tokenizer) { return tokenizer->begin; }
int64_t ls_tokenizer_mask(const LsTokenizer *tokenizer) { return tokenizer->mask; }
int64_t ls_tokenizer_unknown(const LsTokenizer *tokenizer) { return tokenizer->unknown; }
bool ls_tokenizer_frames(const LsTokenizer *tokenizer) { return tokenizer->frames; }

int64_t ls_tokenizer_special(const LsTokenizer *tokenizer, const int32_t **special)
{
    *special = tokenizer->special;
    return tokenizer->specials;
}

bool ls_tokenizer_takes_special(const LsTokenizer *tokenizer) { return tokenizer->kind->takes_special; }

int64_t ls_tokenizer_more_ends(const LsTokenizer *tokenizer, const int32_t **ends)
{
    *ends = tokenizer->ends;
    return tokenizer->more_ends;
}

int64_t ls_tokenizer_before(const LsTokenizer *tokenizer, const int32_t **before)
{
    *before = tokenizer->before;
    return tokenizer->befores;
}

int64_t ls_tokenizer_after(const LsTokenizer *tokenizer, const int32_t **after)
{
    *after = tokenizer->after;
    return tokenizer->afters;
}

static const LsTokenizerKind *find_kind(const char *name)
{
    char names[256] = "";
    for (const LsTokenizerKind *const *kind = kinds; *kind; kind++) {
        if (strcmp((*kind)->name, name) == 0)
            return *kind;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", (*kind)->name);
    }
    ls_fail(LS_DATA, "there is no tokenizer '%s'; there are: %s", name, names);
    return NULL;
}

bool ls_tokenizer_is_kind(const char *name)
{
    for (const LsTokenizerKind *const *kind = kinds; *kind; kind++)
        if (strcmp((*kind)->name, name) == 0)
            return true;
    return false;
}

LsTokenizer *ls_tokenizer_make(const char *kind_name, const LsCorpusPart *part, int parts,
                               const LsTokenizerOptions *options)
{
    const LsTokenizerKind *kind = find_kind(kind_name);
    LsTokenizer *tokenizer = NULL;
    if (!kind || kind->make(part, parts, options, &tokenizer) != LS_OK)
        return NULL;
    return tokenizer;
}

LsTokenizer *ls_tokenizer_new_parts(const char *kind, const LsCorpusPart *part, int parts, const char *folder)
{
    return ls_tokenizer_make(kind, part, parts, &(LsTokenizerOptions){.folder = folder});
}

bool ls_tokenizer_kind_is_closed(const char *name)
{
    const LsTokenizerKind *kind = find_kind(name);
    return kind && kind->closed;
}

const char *ls_tokenizer_kind_folder(const char *name)
{
    const LsTokenizerKind *kind = find_kind(name);
    return kind ? kind->folder : NULL;
}

LsTokenizer *ls_tokenizer_new(const char *kind, const char *corpus, int64_t bytes, const char *folder)
{
    LsCorpusPart part = {NULL, corpus, bytes};
    return ls_tokenizer_new_parts(kind, &part, corpus ? 1 : 0, folder);
}

void ls_tokenizer_free(LsTokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    json_decref(tokenizer->files);
    tokenizer->kind->free(tokenizer);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

char *ls_tokenizer_to_json(const LsTokenizer *tokenizer)
{
    json_t *object = tokenizer->kind->of_files ? json_object() : tokenizer->kind->describe(tokenizer),
           *root = json_object();
    char *text = NULL;
    /* "kind" goes first, so that a reader of the file sees at once what it is */
    if (object && root && json_object_set_new(root, "kind", json_string(tokenizer->kind->name)) == 0 &&
        json_object_update(root, object) == 0 &&
        (!tokenizer->files || json_object_set(root, "files", tokenizer->files) == 0))
        text = json_dumps(root, JSON_COMPACT);
    if (!text)
        ls_fail(LS_RESOURCE, "out of memory while writing the tokenizer as JSON");
    json_decref(object);
    json_decref(root);
    return text;
}

LsTokenizer *ls_tokenizer_from_json(const char *json)
{
    json_error_t error;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    LsTokenizer *tokenizer = NULL;
    const char *name = root ? json_string_value(json_object_get(root, "kind")) : NULL;
    if (!root && ls_tokenizer_is_kind(json))
        ls_fail(LS_DATA,
                "the tokenizer is '%s', but is to be its JSON, an object: {\"kind\": \"%s\"} and what that kind has",
                json, json);
    else if (!root)
        ls_fail(LS_DATA, "the tokenizer's JSON, line %d: %s", error.line, error.text);
    else if (!name)
        ls_fail(LS_DATA, "the tokenizer's JSON has no \"kind\"");
    else {
        const LsTokenizerKind *kind = find_kind(name);
        if (kind && kind->parse(root, &tokenizer) != LS_OK)
            tokenizer = NULL;
        json_t *files = json_object_get(root, "files");
        if (tokenizer && json_is_object(files))
            tokenizer->files = json_incref(files);
    }
    json_decref(root);
    return tokenizer;
}

LsStatus ls_tokenizer_digest(const LsTokenizer *tokenizer, char digest[LS_TOKENIZER_DIGEST])
{
    json_t *object = tokenizer->kind->describe(tokenizer);
    char *text = object && json_object_set_new(object, "kind", json_string(tokenizer->kind->name)) == 0
                     ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS)
                     : NULL;
    json_decref(object);
    if (!text)
        return ls_fail(LS_RESOURCE, "out of memory for the digest of a tokenizer");
    XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
    snprintf(digest, LS_TOKENIZER_DIGEST, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
    free(text);
    return LS_OK;
}

LsStatus ls_tokenizer_check_same(const char *name, const LsTokenizer *tokenizer, const char *other_name,
                                 const LsTokenizer *other, const char *cure)
{
    char digest[LS_TOKENIZER_DIGEST], other_digest[LS_TOKENIZER_DIGEST];
    LS_TRY(ls_tokenizer_digest(tokenizer, digest));
    LS_TRY(ls_tokenizer_digest(other, other_digest));
    if (strcmp(digest, other_digest) == 0)
        return LS_OK;
    return ls_fail(
        LS_DATA,
        "%s has another tokenizer (%s, %lld tokens, digest %.12s) than %s (%s, %lld tokens, digest %.12s): the "
        "same ids would mean other texts; %s",
        name, tokenizer->kind->name, (long long)tokenizer->vocabulary, digest, other_name, other->kind->name,
        (long long)other->vocabulary, other_digest, cure);
}

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

LsStatus ls_tokens_reserve(LsTokens *tokens, int64_t more)
{
    if (more <= tokens->room - tokens->count)
        return LS_OK;
    int64_t room = tokens->room + tokens->room / 2;
    if (room < tokens->count + more)
        room = tokens->count + more + 16;
    int32_t *id = ls_alloc_array(room, sizeof *id);
    if (!id)
        return LS_RESOURCE;
    if (tokens->count > 0)
        memcpy(id, tokens->id, (size_t)tokens->count * sizeof *id);
    ls_free(tokens->id);
    tokens->id = id;
    tokens->room = room;
    return LS_OK;
}

int64_t ls_count_lines(const char *text, int64_t bytes)
{
    int64_t lines = 0;
    for (int64_t i = 0; i < bytes; i++)
        lines += text[i] == '\n';
    return lines;
}

LsStatus ls_encoder_fail(const LsEncoder *encoder, const char *text, int64_t at, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return ls_fail(LS_DATA, "line %lld, byte %lld: %s", (long long)(encoder->line + ls_count_lines(text, at)),
                   (long long)(encoder->offset + at), message);
}

LsStatus ls_encoder_fail_malformed(const LsEncoder *place, const char *text, int64_t bytes, int64_t at)
{
    uint32_t code;
    if (ls_utf8_decode(text + at, bytes - at, &code) < 0)
        return ls_encoder_fail(place, text, at, "malformed UTF-8: the text ends inside a character");
    return ls_encoder_fail(
        place, text, at,
        "malformed UTF-8: no character starts with the byte 0x%02X here; convert the file to UTF-8 (iconv), or use the "
        "tokenizer bytes",
        (unsigned char)text[at]);
}

LsEncoder *ls_encoder_new(const LsTokenizer *tokenizer)
{
    LsEncoder *encoder = ls_alloc(sizeof *encoder);
    if (encoder) {
        encoder->tokenizer = tokenizer;
        encoder->line = 1;
    }
    return encoder;
}

LsStatus ls_encoder_feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens,
                         int64_t *used)
{
    *used = 0;
    LS_TRY(encoder->tokenizer->kind->feed(encoder, text, bytes, last, tokens, used));
    encoder->offset += *used;
    encoder->line += ls_count_lines(text, *used);
    return LS_OK;
}

void ls_encoder_free(LsEncoder *encoder)
{
    if (!encoder)
        return;
    if (encoder->memory && encoder->tokenizer->kind->free_memory)
        encoder->tokenizer->kind->free_memory(encoder->memory);
    ls_free(encoder);
}

static LsStatus encode_behind(const LsTokenizer *tokenizer, int64_t befores, const char *text, int64_t bytes,
                              int32_t **ids, int64_t *count)
{
    LsTokens tokens = {0};
    int64_t used = 0;
    *ids = NULL;
    *count = 0;
    LsEncoder *encoder = ls_encoder_new(tokenizer);
    if (!encoder)
        return LS_RESOURCE;
    LsStatus status = ls_tokens_reserve(&tokens, befores + 1); /* an empty text gives an array too */
    for (; status == LS_OK && tokens.count < befores; tokens.count++)
        tokens.id[tokens.count] = tokenizer->before[tokens.count];
    if (status == LS_OK)
        status = ls_encoder_feed(encoder, text, bytes, true, &tokens, &used);
    ls_encoder_free(encoder);
    if (status != LS_OK) {
        ls_free(tokens.id);
        return status;
    }
    *ids = tokens.id;
    *count = tokens.count;
    return LS_OK;
}

LsStatus ls_tokenizer_encode(const LsTokenizer *tokenizer, const char *text, int64_t bytes, int32_t **ids,
                             int64_t *count)
{
    return encode_behind(tokenizer, 0, text, bytes, ids, count);
}

LsStatus ls_tokenizer_encode_prompt(const LsTokenizer *tokenizer, const char *text, int64_t bytes, int32_t **ids,
                                    int64_t *count)
{
    return encode_behind(tokenizer, tokenizer->befores, text, bytes, ids, count);
}

bool ls_tokenizer_has(const LsTokenizer *tokenizer, int64_t id)
{
    char room[8];
    int64_t bytes = 0;
    return id >= 0 && id < tokenizer->vocabulary && tokenizer->kind->token(tokenizer, id, room, &bytes);
}

static LsStatus token_bytes(const LsTokenizer *tokenizer, int64_t id, char *room, const char **token, int64_t *bytes)
{
    *token = NULL;
    if (id >= 0 && id < tokenizer->vocabulary)
        *token = tokenizer->kind->token(tokenizer, id, room, bytes);
    if (!*token)
        return ls_fail(LS_DATA, "token %lld is not in the vocabulary of the %s tokenizer (%lld tokens)", (long long)id,
                       tokenizer->kind->name, (long long)tokenizer->vocabulary);
    return LS_OK;
}

LsStatus ls_tokenizer_decode_after(const LsTokenizer *tokenizer, const int32_t *ids, int64_t count, char **text,
                                   int64_t *bytes)
{
    char room[8];
    const char *token;
    int64_t total = 0, length = 0;
    *text = NULL;
    *bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        LS_TRY(token_bytes(tokenizer, ids[i], room, &token, &length));
        total += length;
    }
    char *out = ls_alloc((size_t)total + 1);
    if (!out)
        return LS_RESOURCE;
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        token = tokenizer->kind->token(tokenizer, ids[i], room, &length);
        memcpy(out + at, token, (size_t)length);
        at += length;
    }
    *text = out;
    *bytes = total;
    return LS_OK;
}

/* Bytes of token `id` that decoding leaves out at the start of a text, of its blanks; *ends: what follows is whole. */
static int64_t stripped(const LsTokenizer *tokenizer, const char *token, int64_t bytes, int32_t id, bool *ends)
{
    bool blank = bytes > 0 && token[0] == ' ' && id != tokenizer->unknown;
    int64_t blanks = 0;
    for (int64_t i = 0; i < bytes; i++)
        blanks += token[i] == ' ';
    *ends = tokenizer->strip == LS_STRIP_FIRST || bytes > blank || (tokenizer->strip == LS_STRIP_BLANK && bytes > 0);
    return tokenizer->strip == LS_STRIP_FIRST ? blanks : blank;
}

LsStatus ls_tokenizer_decode(const LsTokenizer *tokenizer, const int32_t *ids, int64_t count, char **text,
                             int64_t *bytes)
{
    char room[8];
    int64_t kept = 0, at = 0;
    LS_TRY(ls_tokenizer_decode_after(tokenizer, ids, count, text, bytes));
    bool ends = tokenizer->strip == LS_STRIP_NONE;
    for (int64_t i = 0; i < count && !ends; i++) {
        int64_t length = 0;
        const char *token = tokenizer->kind->token(tokenizer, ids[i], room, &length);
        int64_t left = stripped(tokenizer, token, length, ids[i], &ends);
        for (int64_t k = 0; k < length; k++)
            if (token[k] != ' ' || left-- <= 0)
                (*text)[kept++] = token[k];
        at += length;
    }
    memmove(*text + kept, *text + at, (size_t)(*bytes - at) + 1);
    *bytes -= at - kept;
    return LS_OK;
}
