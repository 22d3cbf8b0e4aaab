/* The merges of a byte-pair encoding (Sennrich, Haddow and Birch 2016): while any neighbouring pair of tokens is in the
 * list, the pair of least rank, at its leftmost place, becomes one token. */
#ifndef LS_DATA_MERGES_H
#define LS_DATA_MERGES_H

#include "lockstep/base.h"

#define LS_NO_RANK INT32_MAX

typedef struct LsMerge {
    int32_t left, right, result; /* ids */
} LsMerge;

typedef struct LsMerges {
    LsMerge *list; /* list: (count), in order of rank */
    int64_t count;
    int32_t *slot; /* slot: (slots), a power of two: rank of the pair that hashes there, or LS_NO_RANK */
    int64_t slots;
} LsMerges;

/* Once the list is full. Of a pair that is listed twice the first counts. */
LsStatus ls_merges_index(LsMerges *merges) LS_MUST_USE;
void ls_merges_free(LsMerges *merges);

/* Rank of a pair, LS_NO_RANK where it does not merge. */
int32_t ls_merges_rank(const LsMerges *merges, int32_t left, int32_t right);

typedef struct LsMerger LsMerger; /* working memory of one thread */
LsMerger *ls_merger_new(void);
void ls_merger_free(LsMerger *merger);
/* Replaces the tokens id[0 .. *count) that a word begins as by its tokens. */
LsStatus ls_merger_apply(const LsMerges *merges, LsMerger *merger, int32_t *id, int64_t *count) LS_MUST_USE;

#endif
