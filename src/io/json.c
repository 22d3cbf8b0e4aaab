#include "io/json.h"

#include "io/file.h"
#include "io/lfs.h"

#include <stdio.h>
#include <string.h>

LsStatus ls_json_parse(const char *path, LsStatus code, const char *text, int64_t bytes, json_t **object)
{
    json_error_t error;
    *object = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &error);
    if (!*object)
        return ls_fail(code, "%s: not JSON: line %d, column %d: %s", path, error.line, error.column, error.text);
    if (json_is_object(*object))
        return LS_OK;
    json_decref(*object);
    *object = NULL;
    return ls_fail(code, "%s: JSON, but not an object with keys", path);
}

/* Bytes of the word at the beginning of text that Python's json writes bare and no other reader takes; 0: there is
 * none. */
static size_t bare_word(const char *text)
{
    static const char *const words[] = {"Infinity", "-Infinity", "NaN"};
    for (size_t i = 0; i < LS_COUNT_OF(words); i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return strlen(words[i]);
    return 0;
}

/* Digits of a whole number at text[at] that is too large for 64 bits, as tokenizers of transformers have it for "no
 * limit"; 0: none begins here. */
static int64_t large_number(const char *text, int64_t at, int64_t bytes)
{
    int64_t end = at;
    while (end < bytes && text[end] >= '0' && text[end] <= '9')
        end++;
    bool fraction = end < bytes && strchr(".eE", text[end]), behind = at > 0 && strchr("0123456789.eE+", text[at - 1]);
    bool large = end - at > 19 || (end - at == 19 && strncmp(text + at, "9223372036854775807", 19) > 0);
    return large && !fraction && !behind ? end - at : 0;
}

char *ls_json_plain(const char *text, int64_t bytes, int64_t *length)
{
    char *out = ls_alloc_array(2 * bytes + 1, 1);
    bool quoted = false; /* inside a text */
    *length = 0;
    for (int64_t i = 0; out && i < bytes; i++) {
        size_t word = quoted ? 0 : bare_word(text + i);
        int64_t digits = quoted ? 0 : large_number(text, i, bytes);
        if (word || digits) {
            *length += word ? sprintf(out + *length, "\"%.*s\"", (int)word, text + i)
                            : sprintf(out + *length, "%.*se0", (int)digits, text + i);
            i += (word ? (int64_t)word : digits) - 1;
            continue;
        }
        out[(*length)++] = text[i];
        if (quoted && text[i] == '\\' && i + 1 < bytes)
            out[(*length)++] = text[++i];
        else if (text[i] == '"')
            quoted = !quoted;
    }
    return out;
}

LsStatus ls_json_load(const char *path, LsStatus code, json_t **object)
{
    char *text = NULL;
    int64_t bytes = 0;
    *object = NULL;
    LS_TRY(ls_file_read(path, code, &text, &bytes));
    if (ls_is_lfs_pointer(text, bytes)) {
        ls_free(text);
        return ls_fail(code, "%s: " LS_LFS_CURE, path);
    }
    char *plain = ls_json_plain(text, bytes, &bytes);
    LsStatus status = plain ? ls_json_parse(path, code, plain, bytes, object) : LS_RESOURCE;
    ls_free(plain);
    ls_free(text);
    return status;
}

char *ls_json_scalar_text(const json_t *value)
{
    char number[40];
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        return ls_format("%lld", (long long)json_integer_value(value));
    case JSON_REAL:
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        return ls_strdup(number);
    case JSON_STRING:
        return ls_strdup(json_string_value(value));
    case JSON_TRUE:
        return ls_strdup("true");
    case JSON_FALSE:
        return ls_strdup("false");
    case JSON_NULL:
        return ls_strdup("null");
    case JSON_OBJECT: /* {"__float__": "Infinity"}: the same, as newer versions of transformers write it */
        value = json_object_size(value) == 1 ? json_object_get(value, "__float__") : NULL;
        return json_is_string(value) ? ls_strdup(json_string_value(value)) : NULL;
    default:
        return NULL;
    }
}
