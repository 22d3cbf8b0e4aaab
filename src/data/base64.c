#include "data/base64.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *ls_base64_encode(const void *bytes, int64_t count)
{
    const unsigned char *from = bytes;
    char *text = ls_alloc((size_t)(count + 2) / 3 * 4 + 1), *to = text;
    for (int64_t i = 0; text && i < count; i += 3) {
        uint32_t group = (uint32_t)from[i] << 16 | (i + 1 < count ? (uint32_t)from[i + 1] << 8 : 0) |
                         (i + 2 < count ? from[i + 2] : 0);
        for (int k = 0; k < 4; k++)
            *to++ = i + k > count ? '=' : letters[group >> (18 - 6 * k) & 63];
    }
    return text;
}

LsStatus ls_base64_decode(const char *text, char **bytes, int64_t *count)
{
    size_t length = text ? strlen(text) : 1;
    *bytes = NULL;
    *count = 0;
    if (length % 4)
        return ls_fail(LS_DATA, "bytes as letters (base64) are cut short or missing");
    *bytes = ls_alloc(length / 4 * 3 + 1);
    if (!*bytes)
        return LS_RESOURCE;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;
        int missing = i + 4 == length ? (text[i + 3] == '=') + (text[i + 2] == '=' && text[i + 3] == '=') : 0;
        for (size_t k = 0; k < 4; k++) {
            const char *place = (int)k >= 4 - missing ? letters : strchr(letters, text[i + k]);
            if (!place || !text[i + k]) {
                ls_free(*bytes);
                *bytes = NULL;
                return ls_fail(LS_DATA, "bytes as letters (base64): '%c' is none", text[i + k]);
            }
            group = group << 6 | (uint32_t)(place - letters);
        }
        for (int k = 0; k < 3 - missing; k++)
            (*bytes)[(*count)++] = (char)(group >> (16 - 8 * k));
    }
    return LS_OK;
}
