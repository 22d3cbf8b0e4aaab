#include "store/json.h"

#include "io/file.h"

#include <stdio.h>

LsStatus ls_json_parse(const char *path, LsStatus code, const char *text, int64_t bytes, json_t **object)
{
    json_error_t error;
    *object = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &error);
    if (!*object)
        return ls_fail(code, "%s: not JSON: line %d: %s", path, error.line, error.text);
    if (json_is_object(*object))
        return LS_OK;
    json_decref(*object);
    *object = NULL;
    return ls_fail(code, "%s: JSON, but not an object with keys", path);
}

LsStatus ls_json_load(const char *path, LsStatus code, json_t **object)
{
    char *text = NULL;
    int64_t bytes = 0;
    *object = NULL;
    LS_TRY(ls_file_read(path, code, &text, &bytes));
    LsStatus status = ls_json_parse(path, code, text, bytes, object);
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
    default:
        return NULL;
    }
}
