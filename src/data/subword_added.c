/* Added tokens: strings that are taken out of a text whole. */
#include "data/subword.h"

#include "data/characters.h"
#include "data/utf8.h"

#include <stdlib.h>

static int longest_first(const void *a, const void *b)
{
    const SubwordAdded *one = a, *other = b;
    return one->bytes != other->bytes ? (one->bytes < other->bytes) - (one->bytes > other->bytes)
                                      : (one->id > other->id) - (one->id < other->id);
}

LsStatus ls_subword_added_index(SubwordAddedSet *set)
{
    memset(set->first, 0xFF, sizeof set->first);
    set->next = ls_alloc_array(set->count, sizeof *set->next);
    if (!set->next)
        return LS_RESOURCE;
    if (set->count > 1)
        qsort(set->list, (size_t)set->count, sizeof *set->list, longest_first);
    for (int64_t i = set->count - 1; i >= 0; i--)
        if (set->list[i].bytes > 0) {
            unsigned char byte = (unsigned char)set->list[i].text[0];
            set->next[i] = set->first[byte];
            set->first[byte] = (int32_t)i;
        }
    return LS_OK;
}

void ls_subword_added_free(SubwordAddedSet *set)
{
    for (int64_t i = 0; i < set->count; i++)
        ls_free(set->list[i].text);
    ls_free(set->list);
    ls_free(set->next);
    *set = (SubwordAddedSet){0};
}

/* The next token in text[from .. bytes) and its place; NULL where there is none. */
static const SubwordAdded *find_match(const SubwordAddedSet *set, const char *text, int64_t bytes, int64_t from,
                                      int64_t *at)
{
    for (*at = from; *at < bytes; ++*at)
        for (int32_t i = set->first[(unsigned char)text[*at]]; i >= 0; i = set->next[i])
            if (set->list[i].bytes <= bytes - *at &&
                memcmp(text + *at, set->list[i].text, (size_t)set->list[i].bytes) == 0)
                return &set->list[i];
    return NULL;
}

/* The character that ends at text[at], 0 where none does; *length: its bytes. */
static uint32_t before(const char *text, int64_t at, int *length)
{
    uint32_t code;
    for (int back = 1; back <= 4 && back <= at; back++)
        if (ls_utf8_decode(text + at - back, back, &code) == back) {
            *length = back;
            return code;
        }
    return 0;
}

static uint32_t after(const char *text, int64_t bytes, int64_t at, int *length)
{
    uint32_t code;
    *length = at < bytes ? ls_utf8_decode(text + at, bytes - at, &code) : 0;
    return *length > 0 ? code : 0;
}

LsStatus ls_subword_added_cut(const SubwordAddedSet *set, const char *text, int64_t bytes, SubwordTake take, void *self)
{
    int64_t done = 0, at = 0;
    const SubwordAdded *found;
    int length;
    for (int64_t from = 0; set->count > 0 && (found = find_match(set, text, bytes, from, &at)) != NULL;) {
        int64_t end = at + found->bytes;
        from = end;
        if (found->single_word &&
            (ls_is_word(before(text, at, &length)) || ls_is_word(after(text, bytes, end, &length))))
            continue;
        while (found->lstrip && at > done && ls_is_space(before(text, at, &length)))
            at -= length;
        while (found->rstrip && ls_is_space(after(text, bytes, end, &length)))
            end += length;
        if (at > done)
            LS_TRY(take(self, text + done, at - done, NULL));
        LS_TRY(take(self, text + at, end - at, found));
        done = end;
        from = from > done ? from : done;
    }
    return done < bytes ? take(self, text + done, bytes - done, NULL) : LS_OK;
}

bool ls_subword_added_cuttable(const SubwordAddedSet *set)
{
    for (int64_t i = 0; i < set->count; i++) {
        const SubwordAdded *added = &set->list[i];
        const char *text = added->text;
        int length;
        uint32_t first = after(text, added->bytes, 0, &length), last = before(text, added->bytes, &length);
        if ((added->lstrip && ls_is_cut_letter(first)) || (added->rstrip && ls_is_cut_letter(last)) ||
            (added->single_word && (ls_is_space(first) || ls_is_space(last))))
            return false;
        for (int64_t at = 1; at < added->bytes; at++) {
            uint32_t left = before(text, at, &length), right = after(text, added->bytes, at, &length);
            if ((ls_is_cut_letter(left) && (right == ' ' || right == '\n')) ||
                (left == '\n' && ls_is_cut_letter(right)))
                return false;
        }
    }
    return true;
}
