/* Normal forms of texts: the steps of tokenizer.json's "normalizer", one after another. */
#include "data/subword.h"

#include "data/characters.h"
#include "data/nfc.h"
#include "data/utf8.h"

/* Text that a step makes, in one of two rooms that take turns. */
typedef struct Made {
    SubwordMemory *memory;
    int level;
    char *text;
    int64_t bytes;
} Made;

static LsStatus make_room(Made *made, int64_t bytes)
{
    made->level = !made->level;
    made->text = ls_subword_room(made->memory, made->level, bytes);
    made->bytes = 0;
    return made->text ? LS_OK : LS_RESOURCE;
}

static void append(Made *made, const char *text, int64_t bytes)
{
    memcpy(made->text + made->bytes, text, (size_t)bytes);
    made->bytes += bytes;
}

static LsStatus compose(Made *made, const char **text, int64_t *bytes)
{
    char *normal = NULL;
    int64_t length = 0;
    LS_TRY(ls_nfc(*text, *bytes, &normal, &length));
    if (!normal)
        return LS_OK;
    LsStatus status = make_room(made, length);
    if (status == LS_OK) {
        append(made, normal, length);
        *text = made->text;
        *bytes = length;
    }
    ls_free(normal);
    return status;
}

static LsStatus lowercase(Made *made, const char **text, int64_t *bytes)
{
    LS_TRY(make_room(made, 2 * *bytes)); /* a small letter is at most half as long again */
    uint32_t code, small[2];
    for (int64_t at = 0; at < *bytes;) {
        at += ls_utf8_decode(*text + at, *bytes - at, &code);
        int count = ls_small_letters(code, small);
        for (int i = 0; i < count; i++)
            made->bytes += ls_utf8_encode(small[i], made->text + made->bytes);
    }
    *text = made->text;
    *bytes = made->bytes;
    return LS_OK;
}

static LsStatus prepend(Made *made, const char *with, const char **text, int64_t *bytes)
{
    LS_TRY(make_room(made, *bytes + (int64_t)strlen(with)));
    append(made, with, (int64_t)strlen(with));
    append(made, *text, *bytes);
    *text = made->text;
    *bytes = made->bytes;
    return LS_OK;
}

/* The next place of what a step replaces in text[from .. bytes); *start -1: none. */
static LsStatus find_match(const SubwordNormalStep *step, LsPattern *pattern, const char *text, int64_t bytes,
                           int64_t from, int64_t *start, int64_t *end)
{
    *start = *end = -1;
    if (step->regex)
        return from <= bytes ? ls_pattern_find(pattern, step->regex, text, bytes, from, start, end) : LS_OK;
    size_t length = strlen(step->find);
    const char *place = from < bytes ? memmem(text + from, (size_t)(bytes - from), step->find, length) : NULL;
    if (place) {
        *start = place - text;
        *end = *start + (int64_t)length;
    }
    return LS_OK;
}

static LsStatus replace(Made *made, const SubwordNormalStep *step, const char **text, int64_t *bytes)
{
    int64_t count = 0, done = 0, start, end, with = (int64_t)strlen(step->with);
    LsPattern *pattern = made->memory->pattern;
    LS_TRY(find_match(step, pattern, *text, *bytes, 0, &start, &end));
    for (; start >= 0; count++)
        LS_TRY(find_match(step, pattern, *text, *bytes, end > start ? end : end + 1, &start, &end));
    if (count == 0)
        return LS_OK;
    LS_TRY(make_room(made, *bytes + count * with));
    LS_TRY(find_match(step, pattern, *text, *bytes, 0, &start, &end));
    while (start >= 0) {
        append(made, *text + done, start - done);
        append(made, step->with, with);
        done = end;
        LS_TRY(find_match(step, pattern, *text, *bytes, end > start ? end : end + 1, &start, &end));
    }
    append(made, *text + done, *bytes - done);
    *text = made->text;
    *bytes = made->bytes;
    return LS_OK;
}

LsStatus ls_subword_normal(const Subword *subword, SubwordMemory *memory, const char *text, int64_t bytes, bool inside,
                           const char **out, int64_t *out_bytes)
{
    Made made = {.memory = memory};
    for (int i = 0; i < subword->normal_steps && bytes > 0; i++) {
        const SubwordNormalStep *step = &subword->normals[i];
        switch (step->kind) {
        case SUBWORD_NFC:
            LS_TRY(compose(&made, &text, &bytes));
            break;
        case SUBWORD_LOWERCASE:
            LS_TRY(lowercase(&made, &text, &bytes));
            break;
        case SUBWORD_PREPEND:
            if (!inside)
                LS_TRY(prepend(&made, step->with, &text, &bytes));
            break;
        default:
            LS_TRY(replace(&made, step, &text, &bytes));
        }
    }
    *out = text;
    *out_bytes = bytes;
    return LS_OK;
}
