#include "dist/tree.h"

#include "base/clones.h"

#include <string.h>

/* Floats at once: the sums stay in the first-level cache. */
#define CHUNK (4 * LS_SQUARES_BLOCK)
#define LEVELS 32

static void add_floats(float *restrict to, const float *restrict x, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] += x[i];
}

/* Floats [at, at + count) of one summand: where they lie, or widened to `room`. */
static const float *load_summand(const LsTree *tree, int number, int64_t at, int64_t count, float *room)
{
    if (!tree->bfloat16)
        return (const float *)tree->x[number] + at;
    ls_bfloat16_widen((const LsBfloat16 *)tree->x[number] + at, room, count);
    return room;
}

/* Two arrays, the usual case: one pass, bound by the memory alone. */
static void sum_two(const float *x, const float *y, float *to, int64_t count)
{
    int64_t i = 0;
    for (; i + LS_LINE_FLOATS <= count; i += LS_LINE_FLOATS) {
        LS_ASK_AHEAD(x + i);
        LS_ASK_AHEAD(y + i);
#pragma omp simd
        for (int64_t j = i; j < i + LS_LINE_FLOATS; j++)
            to[j] = x[j] + y[j]; /* `to` may be x or y */
    }
    for (; i < count; i++)
        to[i] = x[i] + y[i];
}

/* As a binary counter carries: level[d] holds the sum of a complete subtree, the larger ones first. */
static void sum_chunk(const LsTree *tree, int64_t at, int64_t count)
{
    float level[LEVELS][CHUNK], room[CHUNK];
    int depth = 0;
    if (tree->summands == 2 && !tree->bfloat16) {
        sum_two((const float *)tree->x[0] + at, (const float *)tree->x[1] + at, tree->to + at, count);
        if (tree->squares)
            ls_squares_blocks(tree->to + at, count, tree->squares + at / LS_SQUARES_BLOCK);
        return;
    }
    for (int number = 0; number < tree->summands; number++) {
        const float *x = load_summand(tree, number, at, count, room);
        if (number % 2 == 0) {
            memcpy(level[depth++], x, (size_t)count * sizeof(float));
            continue;
        }
        add_floats(level[depth - 1], x, count);
        for (int rest = number >> 1; rest & 1; rest >>= 1, depth--)
            add_floats(level[depth - 2], level[depth - 1], count);
    }
    for (; depth > 1; depth--)
        add_floats(level[depth - 2], level[depth - 1], count);
    memcpy(tree->to + at, level[0], (size_t)count * sizeof(float));
    if (tree->squares)
        ls_squares_blocks(level[0], count, tree->squares + at / LS_SQUARES_BLOCK);
}

void ls_tree_sum(const LsTree *tree)
{
#pragma omp parallel for schedule(static) if (tree->count > 16 * CHUNK)
    for (int64_t at = 0; at < tree->count; at += CHUNK)
        sum_chunk(tree, at, tree->count - at < CHUNK ? tree->count - at : CHUNK);
}
