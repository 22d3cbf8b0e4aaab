#include "data/utf8.h"

#include <string.h>

int ls_utf8_decode(const char *text, int64_t bytes, uint32_t *code)
{
    const unsigned char *byte = (const unsigned char *)text;
    unsigned first = byte[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4) /* a continuation, an overlong form, or beyond U+10FFFF */
        return 0;
    uint32_t value = first & (0x7Fu >> length);
    /* Only the second byte's range depends on the first: it rules out overlong forms, surrogates and too large
     * values. */
    unsigned low = first == 0xE0   ? 0xA0
                   : first == 0xF0 ? 0x90
                                   : 0x80,
             high = first == 0xED   ? 0x9F
                    : first == 0xF4 ? 0x8F
                                    : 0xBF;
    for (int i = 1; i < length; i++) {
        if (i >= bytes)
            return -1;
        if (byte[i] < low || byte[i] > high)
            return 0;
        value = value << 6 | (byte[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *code = value;
    return length;
}

int ls_utf8_encode(uint32_t code, char text[4])
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--) {
        text[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    text[0] = (char)(lead[length] | code);
    return length;
}

int64_t ls_utf8_span(const char *text, int64_t bytes)
{
    int64_t at = 0;
    while (at < bytes) {
        uint64_t word;
        if (bytes - at >= 8 && (memcpy(&word, text + at, 8), (word & 0x8080808080808080u) == 0)) {
            at += 8;
            continue;
        }
        uint32_t code;
        int length = ls_utf8_decode(text + at, bytes - at, &code);
        if (length <= 0)
            break;
        at += length;
    }
    return at;
}

char *ls_utf8_repair_bytes(const char *text, int64_t bytes, int64_t *made_bytes)
{
    char *made = ls_alloc((size_t)(3 * bytes) + 1), *to = made;
    for (int64_t at = 0; made && at < bytes;) {
        uint32_t code;
        int length = ls_utf8_decode(text + at, bytes - at, &code);
        if (length > 0) {
            memcpy(to, text + at, (size_t)length);
            to += length;
        } else {
            to += ls_utf8_encode(0xFFFD, to);
            length = 1;
        }
        at += length;
    }
    *made_bytes = to - made;
    return made;
}

char *ls_utf8_repair(const char *text)
{
    int64_t made_bytes = 0;
    return ls_utf8_repair_bytes(text, (int64_t)strlen(text), &made_bytes);
}

int ls_code_row(const int32_t *table, int rows, int columns, uint32_t code)
{
    int low = 0, high = rows;
    while (low < high) {
        int middle = (low + high) / 2;
        if ((uint32_t)table[middle * columns] <= code)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

uint32_t ls_code_small(const int32_t *table, int rows, uint32_t code)
{
    int found = ls_code_row(table, rows, 4, code);
    if (found < 0)
        return code;
    const int32_t *row = table + 4 * found;
    if (code > (uint32_t)row[1])
        return code;
    uint32_t step = (uint32_t)row[2];
    return step > 0 && (code - (uint32_t)row[0]) % step != 0 ? code : code + (uint32_t)row[3];
}
