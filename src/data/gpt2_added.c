/* Added tokens: strings that are taken out of a text whole, before it is cut into words. */
#include "data/gpt2.h"

#include "data/characters.h"
#include "data/utf8.h"

#include <stdlib.h>
#include <string.h>

/* Whether a character that is no white space ends at text[at], where one starts. */
static bool after_word(const char *text, int64_t from, int64_t at)
{
    uint32_t code;
    for (int64_t back = 1; back <= 4 && at - back >= from; back++)
        if (ls_utf8_decode(text + at - back, back, &code) == back)
            return !ls_is_space(code);
    return false;
}

static int longest_first(const void *a, const void *b)
{
    const Gpt2Added *one = a, *other = b;
    return one->bytes != other->bytes ? (one->bytes < other->bytes) - (one->bytes > other->bytes)
                                      : (one->id > other->id) - (one->id < other->id);
}

LsStatus ls_gpt2_set_added(Gpt2 *gpt2, const json_t *added, const char *name)
{
    if (!json_is_array(added))
        return ls_fail(LS_DATA, "%s: is not a list", name);
    size_t count = json_array_size(added);
    gpt2->added = ls_alloc_array((int64_t)count, sizeof *gpt2->added);
    if (!gpt2->added)
        return LS_RESOURCE;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(added, i));
        int64_t id = -1;
        for (int64_t each = 0; text && each < gpt2->base.vocabulary && id < 0; each++) {
            int64_t bytes = gpt2->start[each + 1] - gpt2->start[each];
            if (gpt2->form[each] != GPT2_HOLE && bytes == (int64_t)strlen(text) &&
                memcmp(gpt2->bytes + gpt2->start[each], text, (size_t)bytes) == 0)
                id = each;
        }
        if (id < 0)
            return ls_fail(LS_DATA, "%s[%zu]: is not a token of the vocabulary", name, i);
        Gpt2Added *made = &gpt2->added[gpt2->added_count++];
        *made = (Gpt2Added){gpt2->bytes + gpt2->start[id], (int64_t)strlen(text), (int32_t)id};
        gpt2->added_start[(unsigned char)made->text[0]] = true;
        for (int64_t at = 1; at < made->bytes; at++)
            if ((made->text[at] == ' ' || made->text[at] == '\n') && made->text[at - 1] != ' ' &&
                made->text[at - 1] != '\n')
                gpt2->added_spaced = true;
    }
    qsort(gpt2->added, count, sizeof *gpt2->added, longest_first);
    return LS_OK;
}

json_t *ls_gpt2_added_json(const Gpt2 *gpt2)
{
    json_t *array = json_array();
    for (int64_t i = 0; array && i < gpt2->added_count; i++)
        json_array_append_new(array, json_stringn(gpt2->added[i].text, (size_t)gpt2->added[i].bytes));
    return array;
}

int64_t ls_gpt2_find_added(const Gpt2 *gpt2, const char *text, int64_t from, int64_t end, const Gpt2Added **found)
{
    *found = NULL;
    for (int64_t at = from; at < end && gpt2->added_count > 0; at++) {
        if (!gpt2->added_start[(unsigned char)text[at]])
            continue;
        for (int64_t i = 0; i < gpt2->added_count; i++)
            if (gpt2->added[i].bytes <= end - at &&
                memcmp(text + at, gpt2->added[i].text, (size_t)gpt2->added[i].bytes) == 0) {
                *found = &gpt2->added[i];
                return at;
            }
    }
    return end;
}

#define LEAST_PART 512 /* bytes */

int64_t ls_gpt2_cut(const Gpt2 *gpt2, const char *text, int64_t from, int64_t end)
{
    if (gpt2->added_spaced)
        return -1;
    for (int64_t at = from + LEAST_PART; at < end; at++)
        if ((text[at] == ' ' || text[at] == '\n') && after_word(text, from, at))
            return at;
    return -1;
}
