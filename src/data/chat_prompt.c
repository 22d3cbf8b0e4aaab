/* Pieces of conversations as ids, and the prompt of turns that goes on as the conversations do that a model learnt
 * from. */
#include "data/chat.h"

#include <stdio.h>
#include <string.h>

/* Text without special tokens. */
static LsStatus append_text(const LsTokenizer *tokenizer, const char *text, int64_t bytes, LsTokens *tokens)
{
    int32_t *id = NULL;
    int64_t count = 0;
    if (bytes == 0)
        return LS_OK;
    LsStatus status = ls_tokenizer_encode(tokenizer, text, bytes, &id, &count);
    if (status == LS_OK)
        status = ls_tokens_reserve(tokens, count);
    if (status == LS_OK && count > 0) {
        memcpy(tokens->id + tokens->count, id, (size_t)count * sizeof *id);
        tokens->count += count;
    }
    ls_free(id);
    return status;
}

LsStatus ls_chat_encode(const LsTokenizer *tokenizer, const LsSpecials *specials, const char *text, int64_t bytes,
                        int kind, LsTokens *id)
{
    for (int64_t at = 0; at < bytes;) {
        const LsSpecial *special = NULL;
        int64_t found = ls_specials_find(specials, text, at, bytes, &special);
        if (special && !(kind & LS_CHAT_MARKER))
            return ls_fail(LS_DATA, "a message holds the special token '%s'", special->text);
        LS_TRY(append_text(tokenizer, text + at, found - at, id));
        if (special) {
            LS_TRY(ls_tokens_reserve(id, 1));
            id->id[id->count++] = special->id;
        }
        at = found + (special ? special->bytes : 0);
    }
    return LS_OK;
}

/* ---- A prompt ---------------------------------------------------------------------------------------------------- */

typedef struct Builder {
    const json_t *template;
    const LsTokenizer *tokenizer;
    LsSpecials specials;
    LsTokens id;
    char *text;
} Builder;

static LsStatus add_piece(Builder *b, const char *piece, int kind)
{
    char *longer = ls_format("%s%s", b->text ? b->text : "", piece);
    if (!longer)
        return LS_RESOURCE;
    ls_free(b->text);
    b->text = longer;
    LsStatus status = ls_chat_encode(b->tokenizer, &b->specials, piece, (int64_t)strlen(piece), kind, &b->id);
    return status == LS_DATA ? ls_fail(LS_USAGE, "%s", ls_message()) : status;
}

/* A role's marker, or that of the end. */
static const char *marker(const Builder *b, const char *name)
{
    const char *text = json_string_value(json_object_get(b->template, name));
    return text ? text : "";
}

static LsStatus add_turn(Builder *b, const char *role, const char *said)
{
    const char *const markers[] = {marker(b, "system"), marker(b, "user"), marker(b, "assistant"), marker(b, "end")};
    LsSpan found = ls_chat_find_marker((LsSpan){said, (int64_t)strlen(said)}, markers);
    if (found.bytes > 0)
        return ls_fail(LS_USAGE, "a message holds the marker '%.*s', as none that the model learnt from does",
                       (int)found.bytes, found.text);
    LS_TRY(add_piece(b, marker(b, role), LS_CHAT_MARKER));
    LS_TRY(add_piece(b, said, 0));
    return add_piece(b, marker(b, "end"), LS_CHAT_MARKER);
}

static LsStatus add_turns(Builder *b, const LsTurns *turns)
{
    LS_TRY(ls_specials_of(b->tokenizer, &b->specials));
    if (turns->system)
        LS_TRY(add_turn(b, "system", turns->system));
    for (int i = 0; i < turns->count; i++)
        LS_TRY(add_turn(b, i % 2 == 0 ? "user" : "assistant", turns->said[i]));
    return add_piece(b, marker(b, "assistant"), LS_CHAT_MARKER);
}

/* What ends an answer, without the line breaks around: no message holds it. */
static LsStatus find_stop(const Builder *b, char **stop)
{
    const char *end = marker(b, "end");
    LsSpan inner = ls_span_trim((LsSpan){end, (int64_t)strlen(end)});
    *stop = NULL;
    if (!end[0])
        return LS_OK;
    *stop = inner.bytes > 0 ? ls_format("%.*s", (int)inner.bytes, inner.text) : ls_strdup(end);
    return *stop ? LS_OK : LS_RESOURCE;
}

LsStatus ls_chat_converse(const json_t *info, const LsTokenizer *tokenizer, const LsTurns *turns, LsTurnsPrompt *prompt)
{
    Builder b = {.template = info ? json_object_get(info, "template") : NULL, .tokenizer = tokenizer};
    *prompt = (LsTurnsPrompt){0};
    if (!b.template)
        return ls_fail(LS_USAGE, "the run does not say with which markers its conversations were written");
    LsStatus status = add_turns(&b, turns);
    if (status == LS_OK)
        status = find_stop(&b, &prompt->stop);
    prompt->text = b.text;
    prompt->ids = b.id.id;
    prompt->count = b.id.count;
    ls_specials_free(&b.specials);
    return status;
}
