/* The products of attention's blocks by vectors: blocks are row-major floats, padded so that they have no tails
 * (ops/tile.h); a part of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_BLOCK_H
#define LS_OPS_ATTENTION_BLOCK_H

#include "ops/attention_shape.h"

static Sizes block_sizes(const Shape *s)
{
    int64_t queries = s->padded * COLUMNS;
    return (Sizes){.rows = s->padded,
                   .queries = queries,
                   .keys = KEYS * s->padded,
                   .relative = s->relative.own_queries ? queries : 0};
}

static void block_border(const Shape *s) { (void)s; }

/* Bytes from row to row whose largest power of two is no larger spread the rows of a block over the first-level cache;
 * those further apart would take each other's place there. */
#define SPREAD 512

/* Floats that need no padding are used where they lie. */
static Operand pack_keys(const Shape *s, acc *to, const real *x, int64_t stride, int64_t count)
{
#ifndef LS_BUILD_BFLOAT16
    int64_t bytes = stride * (int64_t)sizeof *x;
    if (s->size == s->padded && count % LS_TILE_ROWS == 0 && (bytes & -bytes) <= SPREAD)
        return (Operand){x, stride};
#endif
    ls_pack(to, LS_ROUND_UP(count, LS_TILE_ROWS), s->padded, x, stride, count, s->size);
    return (Operand){to, s->padded};
}

static Operand block_pack(const Shape *s, Role role, acc *to, const real *x, int64_t stride, int64_t count)
{
    if (role == QK_KEYS || role == PV_KEYS)
        return pack_keys(s, to, x, stride, count);
    if (role == QK_QUERIES)
        ls_pack_transposed(to, x, stride, count, s->size);
    else
        ls_pack(to, count, s->padded, x, stride, count, s->size);
    return (Operand){to, s->padded};
}

/* Both sides are the same block. */
LS_INLINE void ls_block_store_rows(acc *lhs, acc *rhs, int64_t i, TwoRows x)
{
    acc *to = rhs ? rhs : lhs;
    for (int64_t k = 0; k < 2; k++)
        for (int j = 0; j < LS_TILE_VECTORS; j++)
            ls_store_acc(to + (i + k) * COLUMNS + j * LS_LANES, x[k][j]);
}

static void block_mul_qk(const Shape *s, const Visible *r, Operand keys, const acc *queries, acc *score)
{
    ls_block_product(LS_TILE_PLAIN, false, LS_ROUND_UP(r->keys, LS_TILE_ROWS), COLUMNS, s->size, keys.at, keys.stride,
                     queries, COLUMNS, score, COLUMNS);
}

static void block_mul_pv(const Shape *s, const Visible *r, Operand keys, const acc *weights, acc *sum)
{
    ls_block_product(LS_TILE_TRANSPOSED, true, s->padded, COLUMNS, r->keys, keys.at, keys.stride, weights, COLUMNS, sum,
                     COLUMNS);
}

/* sums: (Tk, padded D) */
static void block_mul_pt(const Shape *s, const Visible *r, const acc *weights, const acc *over, acc *sums)
{
    ls_block_product(LS_TILE_PLAIN, true, LS_ROUND_UP(r->keys, LS_TILE_ROWS), s->padded, r->lanes, weights, COLUMNS,
                     over, s->padded, sums, s->padded);
}

static void block_write_sum(const Shape *s, real *y, int64_t stride, const acc *sums, int64_t first, int64_t count,
                            acc scale, bool add)
{
    sums += first * s->padded;
    for (int64_t t = 0; t < count; t++, y += stride, sums += s->padded)
        for (int64_t at = 0; at < s->size; at += LS_LANES) {
            vacc sum = ls_load_acc(sums + at) * scale;
            ls_store_upto(y + at, add ? ls_load_upto(y + at, s->size - at) + sum : sum, s->size - at);
        }
}

static const BlockOps by_vectors = {
    .unit = LS_TILE_ROWS,
    .plain = true,
    .sizes = block_sizes,
    .begin = block_border,
    .end = block_border,
    .pack = block_pack,
    .store_rows = ls_block_store_rows,
    .mul_qk = block_mul_qk,
    .mul_pv = block_mul_pv,
    .mul_pt = block_mul_pt,
    .write_sum = block_write_sum,
};

#endif
