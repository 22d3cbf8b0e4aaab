#include "data/unknown.h"

#include "data/utf8.h"

#include <stdio.h>
#include <string.h>

enum { NOT_ASKED, SAID, NOT_SAID };

/* What was asked of a tokenizer: of each character, and of each byte that belongs to none. */
typedef struct Asked {
    const LsTokenizer *tokenizer;
    uint8_t *character, byte[256];
} Asked;

/* *bytes of text[0 ..] are one character, or one byte that belongs to none. */
static LsStatus ask(Asked *asked, const char *text, int64_t rest, int64_t *bytes, bool *said)
{
    uint32_t code = 0;
    int length = ls_utf8_decode(text, rest, &code);
    uint8_t *answer = length > 0 ? &asked->character[code] : &asked->byte[(unsigned char)*text];
    *bytes = length > 0 ? length : 1;
    if (*answer == NOT_ASKED) {
        int32_t *id = NULL;
        int64_t count = 0;
        LsStatus status = ls_tokenizer_encode(asked->tokenizer, text, *bytes, &id, &count);
        ls_free(id);
        if (status != LS_OK && status != LS_DATA)
            return status;
        *answer = status == LS_OK ? SAID : NOT_SAID;
        ls_clear_message();
    }
    *said = *answer == SAID;
    return LS_OK;
}

static void show_first(LsSayable *sayable, const char *text, int64_t bytes)
{
    if ((unsigned char)*text < 0x20 || (unsigned char)*text == 0x7F || (bytes == 1 && (unsigned char)*text >= 0x80))
        snprintf(sayable->first, sizeof sayable->first, "the byte 0x%02X", (unsigned char)*text);
    else
        snprintf(sayable->first, sizeof sayable->first, "'%.*s'", (int)bytes, text);
}

/* Copies a text from its first character on that cannot be said. */
static LsStatus copy_said(Asked *asked, LsSayable *sayable, int at)
{
    LsCorpusPart *part = &sayable->part[at];
    char *copy = NULL;
    int64_t kept = 0, bytes = 0;
    for (int64_t i = 0; i < part->bytes; i += bytes) {
        bool said = false;
        LS_TRY(ask(asked, part->text + i, part->bytes - i, &bytes, &said));
        if (!said && !copy) {
            copy = sayable->owned[at] = ls_alloc((size_t)part->bytes);
            if (!copy)
                return LS_RESOURCE;
            memcpy(copy, part->text, (size_t)i);
            kept = i;
        }
        if (!said && sayable->dropped++ == 0)
            show_first(sayable, part->text + i, bytes);
        if (said && copy) {
            memcpy(copy + kept, part->text + i, (size_t)bytes);
            kept += bytes;
        }
    }
    if (copy) {
        part->text = copy;
        part->bytes = kept;
    }
    return LS_OK;
}

LsStatus ls_sayable_texts(const LsTokenizer *tokenizer, const LsCorpusPart *part, int parts, LsSayable *sayable)
{
    Asked asked = {.tokenizer = tokenizer, .character = ls_alloc(LS_CODE_POINTS)};
    sayable->part = ls_alloc_array(parts, sizeof *sayable->part);
    sayable->owned = ls_alloc_array(parts, sizeof *sayable->owned);
    LsStatus status = asked.character && sayable->part && sayable->owned ? LS_OK : LS_RESOURCE;
    for (int i = 0; i < parts && status == LS_OK; i++) {
        sayable->part[i] = part[i];
        sayable->parts++;
        status = copy_said(&asked, sayable, i);
    }
    ls_free(asked.character);
    return status;
}

void ls_sayable_free(LsSayable *sayable)
{
    for (int i = 0; i < sayable->parts; i++)
        ls_free(sayable->owned[i]);
    ls_free(sayable->owned);
    ls_free(sayable->part);
    *sayable = (LsSayable){0};
}
