/* Offsets of the arena's blocks. */
#include "graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

/* Several orders are tried, and the best of them is changed a few times: an arena this near to the bound is good
 * enough. */
#define GOOD 1.005
#define CHANGES 24
#define MANY 4096 /* blocks above which there are fewer: a layout takes time with the square of their number */

typedef struct Layout {
    LsGraph *g;
    int *order, *best; /* (blocks) in what order they are placed */
    int *placed;       /* (blocks) by offset */
    int64_t *offset;   /* (blocks) of the best */
    int64_t best_bytes;
} Layout;

static double size_of(const LsBlock *b) { return (double)b->bytes; }
static double area_of(const LsBlock *b) { return (double)b->bytes * (b->last - b->first + 1); }
static double length_of(const LsBlock *b) { return (double)(b->last - b->first + 1); }
static double start_of(const LsBlock *b) { return -(double)b->first; }

typedef struct Key {
    const LsBlock *block;
    double (*of)(const LsBlock *b);
} Key;

/* Largest key first, then by size, then by number. */
static int by_key(const void *a, const void *b, void *self)
{
    const Key *key = self;
    int i = *(const int *)a, j = *(const int *)b;
    double x = key->of(&key->block[i]), y = key->of(&key->block[j]);
    if (x != y)
        return x > y ? -1 : 1;
    if (key->block[i].bytes != key->block[j].bytes)
        return key->block[i].bytes > key->block[j].bytes ? -1 : 1;
    return i - j;
}

/* The smallest gap that holds b between placed blocks that live at the same time, or the lowest place above them
 * (greedy by size and best fit: Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
 * inference"). */
static int64_t place_of(const Layout *l, const LsBlock *b, int placed)
{
    int64_t end = 0, best = -1, least = INT64_MAX;
    for (int i = 0; i < placed; i++) {
        const LsBlock *other = &l->g->block[l->placed[i]];
        if (other->first > b->last || b->first > other->last)
            continue;
        int64_t gap = other->offset - end;
        if (gap >= b->bytes && gap < least) {
            least = gap;
            best = end;
        }
        end = other->offset + other->bytes > end ? other->offset + other->bytes : end;
    }
    return best >= 0 ? best : end;
}

/* Places all blocks in this order. Returns the bytes. */
static int64_t lay_out(Layout *l)
{
    int64_t bytes = 0;
    for (int i = 0; i < l->g->blocks; i++) {
        LsBlock *b = &l->g->block[l->order[i]];
        b->offset = place_of(l, b, i);
        int at = i;
        for (; at > 0 && l->g->block[l->placed[at - 1]].offset > b->offset; at--)
            l->placed[at] = l->placed[at - 1];
        l->placed[at] = l->order[i];
        bytes = b->offset + b->bytes > bytes ? b->offset + b->bytes : bytes;
    }
    return bytes;
}

/* Returns the bytes of this order. */
static int64_t try_order(Layout *l)
{
    int64_t bytes = lay_out(l);
    if (bytes >= l->best_bytes)
        return bytes;
    l->best_bytes = bytes;
    memcpy(l->best, l->order, sizeof *l->best * (size_t)l->g->blocks);
    for (int i = 0; i < l->g->blocks; i++)
        l->offset[i] = l->g->block[i].offset;
    return bytes;
}

/* Moves the block at the top of the latest layout to the front of its order. False where it is there already. */
static bool raise_top(Layout *l, int64_t bytes)
{
    int at = 0;
    for (int i = 0; i < l->g->blocks; i++)
        if (l->g->block[l->order[i]].offset + l->g->block[l->order[i]].bytes == bytes)
            at = i;
    int top = l->order[at];
    memmove(l->order + 1, l->order, sizeof *l->order * (size_t)at);
    l->order[0] = top;
    return at > 0;
}

static void search(Layout *l, int64_t bound)
{
    static double (*const keys[])(const LsBlock *b) = {size_of, area_of, length_of, start_of};
    double good = GOOD * (double)bound;
    for (size_t k = 0; k < LS_COUNT_OF(keys) && (double)l->best_bytes > good; k++) {
        Key key = {l->g->block, keys[k]};
        for (int i = 0; i < l->g->blocks; i++)
            l->order[i] = i;
        qsort_r(l->order, (size_t)l->g->blocks, sizeof *l->order, by_key, &key);
        try_order(l);
    }
    memcpy(l->order, l->best, sizeof *l->order * (size_t)l->g->blocks);
    int64_t bytes = try_order(l);
    double share = l->g->blocks > MANY ? (double)MANY / l->g->blocks : 1;
    for (int i = 0; i < CHANGES * share * share && (double)l->best_bytes > good && raise_top(l, bytes); i++)
        bytes = try_order(l);
}

LsStatus ls_plan_arena(LsGraph *g)
{
    Layout l = {.g = g, .best_bytes = INT64_MAX};
    LsStatus status = LS_OK;
    l.order = ls_alloc_array(g->blocks + 1, sizeof *l.order);
    l.best = ls_alloc_array(g->blocks + 1, sizeof *l.best);
    l.placed = ls_alloc_array(g->blocks + 1, sizeof *l.placed);
    l.offset = ls_alloc_array(g->blocks + 1, sizeof *l.offset);
    if (l.order && l.best && l.placed && l.offset) {
        search(&l, ls_plan_live(g));
        for (int i = 0; i < g->blocks; i++)
            g->block[i].offset = l.offset[i];
        g->arena_bytes = g->blocks ? l.best_bytes : 0;
    } else
        status = LS_RESOURCE;
    ls_free(l.order);
    ls_free(l.best);
    ls_free(l.placed);
    ls_free(l.offset);
    return status;
}
