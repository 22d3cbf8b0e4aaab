/* Sums over rows by column, and vectors with tails: what element-wise ops with parameters (C) share. */
#ifndef LS_OPS_ROW_SUMS_H
#define LS_OPS_ROW_SUMS_H

#include "ops/op_build.h"

#include "base/pieces.h"

LS_INLINE vacc ls_rows_load_acc(const acc *x, int64_t n)
{
    return n >= LS_LANES ? ls_load_acc(x) : ls_load_acc_part(x, n);
}

LS_INLINE void ls_rows_store_acc(acc *x, vacc v, int64_t n)
{
    if (n >= LS_LANES)
        ls_store_acc(x, v);
    else
        ls_store_acc_part(x, v, n);
}

LS_INLINE void ls_rows_add_acc(acc *x, vacc v, int64_t n) { ls_rows_store_acc(x, ls_rows_load_acc(x, n) + v, n); }

/* Input i's gradient at `at`: n elements, at most a vector, written or added to where it is wanted. */
LS_INLINE void ls_rows_put(const LsNode *node, int i, int64_t at, vacc g, int64_t n)
{
    if (!ls_wants(node, i))
        return;
    real *to = (real *)node->in[i]->grad + at;
    ls_store_upto(to, ls_adds(node, i) ? ls_load_upto(to, n) + g : g, n);
}

/* Sums over rows go by chunks of rows, a function of their number alone, which are added in order. */
LS_INLINE int64_t ls_rows_chunk(int64_t rows)
{
    int64_t each = ls_ceil_div(rows, LS_REDUCE_CHUNKS);
    return each < 16 ? 16 : each;
}
LS_INLINE int64_t ls_rows_chunks(int64_t rows) { return ls_ceil_div(rows, ls_rows_chunk(rows)); }

/* Chunk sums to the gradient of parameter i; parts: (chunks, stride), this parameter's first. */
static inline void ls_rows_finish(const LsNode *node, int i, int64_t rows, const acc *parts, int64_t stride)
{
    acc *to = ls_wants(node, i) ? node->in[i]->grad : NULL;
    for (int64_t j = 0; to && j < node->in[i]->count; j++) {
        acc sum = 0;
        for (int64_t c = 0; c < ls_rows_chunks(rows); c++)
            sum += parts[c * stride + j];
        to[j] = ls_adds(node, i) ? to[j] + sum : sum;
    }
}

static inline bool ls_rows_same(const LsTensor *a, const LsTensor *b)
{
    return b->dtype == LS_REAL && a->rank == b->rank && memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->rank) == 0;
}

#endif
