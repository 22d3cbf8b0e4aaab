#include "data/nfc.h"

#include "data/utf8.h"

#include <string.h>

#include "data/nfc_tables.inc"

/* Hangul syllables are computed (The Unicode Standard, section 3.12): L leading consonants, V vowels, T trailing
 * consonants. */
enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7, L_COUNT = 19, V_COUNT = 21, T_COUNT = 28 };
#define S_COUNT (L_COUNT * V_COUNT * T_COUNT)

static int order(const uint32_t *row, uint32_t first, uint32_t second)
{
    if (row[0] != first)
        return row[0] < first ? -1 : 1;
    return row[1] < second ? -1 : row[1] > second;
}

static uint32_t combining_class(uint32_t code)
{
    size_t low = 0, high = LS_COUNT_OF(classes);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (classes[middle][1] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < LS_COUNT_OF(classes) && classes[low][0] <= code ? classes[low][2] : 0;
}

/* The canonical decomposition of one character, one step; false where there is none. */
static bool decompose(uint32_t code, uint32_t *first, uint32_t *second)
{
    size_t low = 0, high = LS_COUNT_OF(decompositions);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (decompositions[middle][0] < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == LS_COUNT_OF(decompositions) || decompositions[low][0] != code)
        return false;
    *first = decompositions[low][1];
    *second = decompositions[low][2];
    return true;
}

/* The character that a pair composes to, 0 where it does not. */
static uint32_t compose(uint32_t first, uint32_t second)
{
    if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
        return S_BASE + ((first - L_BASE) * V_COUNT + (second - V_BASE)) * T_COUNT;
    if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 && second - T_BASE - 1 < T_COUNT - 1)
        return first + (second - T_BASE);
    size_t low = 0, high = LS_COUNT_OF(compositions);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (order(compositions[middle], first, second) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < LS_COUNT_OF(compositions) && order(compositions[low], first, second) == 0 ? compositions[low][2] : 0;
}

void ls_nfd_add(LsMark *mark, int64_t *count, uint32_t code)
{
    uint32_t first, second;
    if (code - S_BASE < S_COUNT) {
        uint32_t index = code - S_BASE, trailing = index % T_COUNT;
        mark[(*count)++] = (LsMark){L_BASE + index / (V_COUNT * T_COUNT), 0};
        mark[(*count)++] = (LsMark){V_BASE + index % (V_COUNT * T_COUNT) / T_COUNT, 0};
        if (trailing)
            mark[(*count)++] = (LsMark){T_BASE + trailing, 0};
    } else if (code >= 0xC0 && decompose(code, &first, &second)) {
        ls_nfd_add(mark, count, first);
        if (second)
            ls_nfd_add(mark, count, second);
    } else {
        unsigned char class = (unsigned char)(code < 0x300 ? 0 : combining_class(code));
        int64_t at = (*count)++;
        /* canonical order: by class, otherwise as they came */
        for (; class != 0 && at > 0 && mark[at - 1].class > class; at--)
            mark[at] = mark[at - 1];
        mark[at] = (LsMark){code, class};
    }
}

/* In place; returns what is left. A mark composes with the last starter unless one of its own class or above, or a
 * starter, stands between. */
static int64_t compose_all(LsMark *mark, int64_t count)
{
    int64_t kept = 0, starter = -1;
    for (int64_t i = 0; i < count; i++) {
        bool next_to = starter == kept - 1, open = next_to || mark[kept - 1].class < mark[i].class;
        uint32_t composed = starter >= 0 && open && (next_to || mark[kept - 1].class != 0)
                                ? compose(mark[starter].code, mark[i].code)
                                : 0;
        if (composed) {
            mark[starter].code = composed;
            continue;
        }
        if (mark[i].class == 0)
            starter = kept;
        mark[kept++] = mark[i];
    }
    return kept;
}

LsStatus ls_nfc(const char *text, int64_t bytes, char **out, int64_t *out_bytes)
{
    int64_t at = 0, count = 0;
    *out = NULL;
    while (at < bytes && (unsigned char)text[at] < 0xCC) /* below U+0300 everything is normal */
        at++;
    if (at == bytes)
        return LS_OK;
    LsMark *mark = ls_alloc_array(LS_NFD_MOST * bytes, sizeof *mark);
    char *made = mark ? ls_alloc((size_t)(4 * LS_NFD_MOST * bytes)) : NULL;
    if (!made) {
        ls_free(mark);
        return LS_RESOURCE;
    }
    uint32_t code;
    for (at = 0; at < bytes;) {
        at += ls_utf8_decode(text + at, bytes - at, &code);
        ls_nfd_add(mark, &count, code);
    }
    count = compose_all(mark, count);
    int64_t length = 0;
    for (int64_t i = 0; i < count; i++)
        length += ls_utf8_encode(mark[i].code, made + length);
    ls_free(mark);
    if (length == bytes && memcmp(made, text, (size_t)bytes) == 0) {
        ls_free(made);
        return LS_OK;
    }
    *out = made;
    *out_bytes = length;
    return LS_OK;
}
