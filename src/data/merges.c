/* Merging a word's tokens: the pair of least rank first, the leftmost where it occurs more than once. */
#include "data/merges.h"

#include <string.h>

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

static uint64_t hash_pair(int32_t left, int32_t right)
{
    /* 2^64 over the golden ratio */
    uint64_t x = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return x ^ x >> 29;
}

int32_t ls_merges_rank(const LsMerges *merges, int32_t left, int32_t right)
{
    uint64_t mask = (uint64_t)merges->slots - 1;
    for (uint64_t at = hash_pair(left, right) & mask;; at = (at + 1) & mask) {
        int32_t rank = merges->slot[at];
        if (rank == LS_NO_RANK || (merges->list[rank].left == left && merges->list[rank].right == right))
            return rank;
    }
}

void ls_merges_free(LsMerges *merges)
{
    ls_free(merges->list);
    ls_free(merges->slot);
    *merges = (LsMerges){0};
}

LsStatus ls_merges_index(LsMerges *merges)
{
    merges->slots = 64;
    /* at most a quarter full: most pairs that do not merge are told by one look */
    while (merges->slots < 4 * merges->count)
        merges->slots *= 2;
    merges->slot = ls_alloc_array(merges->slots, sizeof *merges->slot);
    if (!merges->slot)
        return LS_RESOURCE;
    for (int64_t i = 0; i < merges->slots; i++)
        merges->slot[i] = LS_NO_RANK;
    uint64_t mask = (uint64_t)merges->slots - 1;
    for (int64_t rank = 0; rank < merges->count; rank++) {
        const LsMerge *merge = &merges->list[rank];
        if (ls_merges_rank(merges, merge->left, merge->right) != LS_NO_RANK)
            continue; /* listed twice: the first counts */
        uint64_t at = hash_pair(merge->left, merge->right) & mask;
        while (merges->slot[at] != LS_NO_RANK)
            at = (at + 1) & mask;
        merges->slot[at] = (int32_t)rank;
    }
    return LS_OK;
}

/* ---- Short words: look at all pairs each time -------------------------------------------------------------------- */

#define SHORT 48

static int64_t merge_short(const LsMerges *merges, int32_t *id, int64_t count)
{
    int32_t rank[SHORT]; /* rank[i]: of the pair (id[i], id[i + 1]) */
    for (int64_t i = 0; i + 1 < count; i++)
        rank[i] = ls_merges_rank(merges, id[i], id[i + 1]);
    while (count > 1) {
        int64_t best = 0;
        for (int64_t i = 1; i + 1 < count; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == LS_NO_RANK)
            break;
        id[best] = merges->list[rank[best]].result;
        memmove(id + best + 1, id + best + 2, (size_t)(count - best - 2) * sizeof *id);
        if (count - best > 3)
            memmove(rank + best + 1, rank + best + 2, (size_t)(count - best - 3) * sizeof *rank);
        count--;
        if (best > 0)
            rank[best - 1] = ls_merges_rank(merges, id[best - 1], id[best]);
        if (best + 1 < count)
            rank[best] = ls_merges_rank(merges, id[best], id[best + 1]);
    }
    return count;
}

/* ---- Long words: a heap of pairs, n log n ------------------------------------------------------------------------ */

typedef struct Pair {
    int32_t rank;
    int64_t left; /* place of the left token */
} Pair;

struct LsMerger {
    Pair *heap; /* least (rank, left) on top; a pair that has changed since stays until it comes up */
    int64_t pairs;
    /* next, before: (room), neighbours that are still there; room = none to the right, -1 to the left */
    int64_t *next, *before;
    int32_t *rank; /* rank: (room), of the pair that starts here now */
    int64_t room;
};

LsMerger *ls_merger_new(void) { return ls_alloc(sizeof(LsMerger)); }

static void release(LsMerger *merger)
{
    ls_free(merger->heap);
    ls_free(merger->next);
    ls_free(merger->before);
    ls_free(merger->rank);
    *merger = (LsMerger){0};
}

void ls_merger_free(LsMerger *merger)
{
    if (merger)
        release(merger);
    ls_free(merger);
}

static LsStatus make_room(LsMerger *merger, int64_t count)
{
    if (count <= merger->room)
        return LS_OK;
    release(merger);
    /* every merge takes one token away and adds at most two pairs: fewer than 3 * count ever */
    merger->heap = ls_alloc_array(3 * count, sizeof *merger->heap);
    merger->next = ls_alloc_array(count, sizeof *merger->next);
    merger->before = ls_alloc_array(count, sizeof *merger->before);
    merger->rank = ls_alloc_array(count, sizeof *merger->rank);
    if (!merger->heap || !merger->next || !merger->before || !merger->rank)
        return LS_RESOURCE;
    merger->room = count;
    return LS_OK;
}

static bool is_less(Pair a, Pair b) { return a.rank != b.rank ? a.rank < b.rank : a.left < b.left; }

static void push(LsMerger *merger, Pair pair)
{
    int64_t at = merger->pairs++;
    for (; at > 0 && is_less(pair, merger->heap[(at - 1) / 2]); at = (at - 1) / 2)
        merger->heap[at] = merger->heap[(at - 1) / 2];
    merger->heap[at] = pair;
}

static Pair pop(LsMerger *merger)
{
    Pair top = merger->heap[0], last = merger->heap[--merger->pairs];
    int64_t at = 0, child;
    while ((child = 2 * at + 1) < merger->pairs) {
        if (child + 1 < merger->pairs && is_less(merger->heap[child + 1], merger->heap[child]))
            child++;
        if (!is_less(merger->heap[child], last))
            break;
        merger->heap[at] = merger->heap[child];
        at = child;
    }
    merger->heap[at] = last;
    return top;
}

/* The pair that starts at `left` is new: notes its rank. */
static void consider(const LsMerges *merges, LsMerger *merger, const int32_t *id, int64_t left, int64_t count)
{
    int64_t right = merger->next[left];
    merger->rank[left] = right < count ? ls_merges_rank(merges, id[left], id[right]) : LS_NO_RANK;
    if (merger->rank[left] != LS_NO_RANK)
        push(merger, (Pair){merger->rank[left], left});
}

static int64_t merge_long(const LsMerges *merges, LsMerger *merger, int32_t *id, int64_t count)
{
    merger->pairs = 0;
    for (int64_t i = 0; i < count; i++) {
        merger->next[i] = i + 1;
        merger->before[i] = i - 1;
    }
    for (int64_t i = 0; i < count; i++)
        consider(merges, merger, id, i, count);
    while (merger->pairs > 0) {
        Pair pair = pop(merger);
        if (merger->rank[pair.left] != pair.rank)
            continue;
        int64_t left = pair.left, right = merger->next[left];
        id[left] = merges->list[pair.rank].result;
        merger->rank[right] = LS_NO_RANK;
        merger->next[left] = merger->next[right];
        if (merger->next[left] < count)
            merger->before[merger->next[left]] = left;
        consider(merges, merger, id, left, count);
        if (merger->before[left] >= 0)
            consider(merges, merger, id, merger->before[left], count);
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i = merger->next[i])
        id[kept++] = id[i];
    return kept;
}

LsStatus ls_merger_apply(const LsMerges *merges, LsMerger *merger, int32_t *id, int64_t *count)
{
    if (*count <= SHORT) {
        *count = merge_short(merges, id, *count);
        return LS_OK;
    }
    LS_TRY(make_room(merger, *count));
    *count = merge_long(merges, merger, id, *count);
    return LS_OK;
}
