/* The products of attention's blocks by vectors: blocks are row-major floats, padded so that they have no tails
 * (ops/tile.h); a part of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_BLOCK_H
#define LS_OPS_ATTENTION_BLOCK_H

#include "ops/attention_task.h"

static Sizes block_sizes(const Shape *s)
{
    return (Sizes){.rows = s->padded, .queries = s->padded * COLUMNS, .keys = KEYS * s->padded};
}

static void block_border(const Shape *s) { (void)s; }

static void block_pack_queries(const Shape *s, acc *to, const real *x, int64_t stride, int64_t lanes)
{
    ls_pack_transposed(to, x, stride, lanes, s->size);
}

static void block_pack_over(const Shape *s, acc *to, const real *x, int64_t stride, int64_t lanes)
{
    ls_pack(to, lanes, s->padded, x, stride, lanes, s->size);
}

/* Bytes from row to row whose largest power of two is no larger spread the rows of a block over the first-level cache;
 * those further apart would take each other's place there. */
#define SPREAD 512

/* Floats that need no padding are used where they lie. */
static Operand block_pack_keys(const Shape *s, acc *to, const real *x, int64_t stride, int64_t count)
{
#ifndef LS_BUILD_BFLOAT16
    int64_t bytes = stride * (int64_t)sizeof *x;
    if (s->size == s->padded && count % LS_TILE_ROWS == 0 && (bytes & -bytes) <= SPREAD)
        return (Operand){x, stride};
#endif
    ls_pack(to, LS_ROUND_UP(count, LS_TILE_ROWS), s->padded, x, stride, count, s->size);
    return (Operand){to, s->padded};
}

LS_INLINE void ls_block_put(acc *to, int64_t i, TwoRows x)
{
    for (int64_t k = 0; k < 2; k++)
        for (int j = 0; j < LS_TILE_VECTORS; j++)
            ls_store_acc(to + (i + k) * COLUMNS + j * LS_LANES, x[k][j]);
}

LS_INLINE void ls_block_put_both(acc *left, acc *right, int64_t i, TwoRows x)
{
    (void)right; /* the same */
    ls_block_put(left, i, x);
}

static void block_against_keys(const Shape *s, const Reach *r, Operand keys, const acc *queries, acc *score)
{
    ls_block_product(LS_TILE_PLAIN, false, LS_ROUND_UP(r->keys, LS_TILE_ROWS), COLUMNS, s->size, keys.at, keys.stride,
                     queries, COLUMNS, score, COLUMNS);
}

static void block_over_keys(const Shape *s, const Reach *r, Operand keys, const acc *weights, acc *sum)
{
    ls_block_product(LS_TILE_TRANSPOSED, true, s->padded, COLUMNS, r->keys, keys.at, keys.stride, weights, COLUMNS, sum,
                     COLUMNS);
}

/* sums: (T, padded D) */
static void block_over_queries(const Shape *s, const Reach *r, const acc *weights, const acc *over, acc *sums)
{
    ls_block_product(LS_TILE_PLAIN, true, LS_ROUND_UP(r->keys, LS_TILE_ROWS), s->padded, r->lanes, weights, COLUMNS,
                     over, s->padded, sums, s->padded);
}

static void block_write_sum(const Shape *s, real *y, const acc *sums, int64_t count, acc scale, bool add)
{
    for (int64_t t = 0; t < count; t++, y += s->row, sums += s->padded)
        for (int64_t at = 0; at < s->size; at += LS_LANES) {
            vacc sum = ls_load_acc(sums + at) * scale;
            ls_store_upto(y + at, add ? ls_load_upto(y + at, s->size - at) + sum : sum, s->size - at);
        }
}

static const Products by_vectors = {
    .unit = LS_TILE_ROWS,
    .plain = true,
    .sizes = block_sizes,
    .begin = block_border,
    .end = block_border,
    .pack_queries = block_pack_queries,
    .pack_over = block_pack_over,
    .pack_keys = block_pack_keys,
    .pack_turned = block_pack_keys,
    .put_right = ls_block_put,
    .put_left = ls_block_put,
    .put_both = ls_block_put_both,
    .against_keys = block_against_keys,
    .over_keys = block_over_keys,
    .over_queries = block_over_queries,
    .write_sum = block_write_sum,
};

#endif
