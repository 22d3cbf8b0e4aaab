/* Most words of a text are frequent ones. A table with one place for each hash keeps the ids of the last word that fell
 * there. */
#ifndef LS_DATA_WORD_CACHE_H
#define LS_DATA_WORD_CACHE_H

#include "lockstep/base.h"

#include <string.h>
#include <xxhash.h>

typedef struct LsKnownWord {    /* a cache line */
    unsigned char bytes, count; /* bytes 0: none */
    char text[22];
    int32_t id[10];
} LsKnownWord;

#define LS_KNOWN_WORDS ((int64_t)1 << 16)
#define LS_KNOWN_FROM 4096 /* texts below this many bytes do without */

static inline LsKnownWord *ls_word_cache_new(void) { return ls_alloc_array(LS_KNOWN_WORDS, sizeof(LsKnownWord)); }

/* The place of a word; NULL where it is too long for one, or cache is NULL. */
static inline LsKnownWord *ls_word_cache_place(LsKnownWord *cache, const char *word, int64_t bytes)
{
    if (!cache || bytes > (int64_t)sizeof cache->text)
        return NULL;
    return &cache[XXH3_64bits(word, (size_t)bytes) % LS_KNOWN_WORDS];
}

static inline bool ls_word_cache_has(const LsKnownWord *place, const char *word, int64_t bytes)
{
    return place && place->bytes == bytes && memcmp(place->text, word, (size_t)bytes) == 0;
}

/* place may be NULL. */
static inline void ls_word_cache_put(LsKnownWord *place, const char *word, int64_t bytes, const int32_t *id,
                                     int64_t count)
{
    if (!place || count > (int64_t)LS_COUNT_OF(place->id))
        return;
    place->bytes = (unsigned char)bytes;
    place->count = (unsigned char)count;
    memcpy(place->text, word, (size_t)bytes);
    memcpy(place->id, id, (size_t)count * sizeof *id);
}

#endif
