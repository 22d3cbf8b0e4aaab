/* Relative positions' share of attention, block by block; a part of src/ops/attention.c.
 *
 *     s_tj += a_t . r_{t-j} / sqrt(D)         o_t += sum_j p_tj r_{t-j}  where the table is added to values too
 *
 * The queries of a panel and the keys of a block are at most COLUMNS + KEYS - 1 distances apart. The table's rows for
 * these, the band, times the queries give (band, columns). The score of key j and lane i is there in column i, in row
 * i - j + KEYS - 1: the "relative shift" of Dai et al. 2019, by block. Weights and slopes go back the same way. So
 * nothing of size (Tq, Tk) exists and nothing of size (Tq, Tk, D); a thread needs a band, and each product with it
 * takes (COLUMNS + KEYS) / KEYS, one and a half times, as long as that with the keys. */
#ifndef LS_OPS_ATTENTION_RELATIVE_H
#define LS_OPS_ATTENTION_RELATIVE_H

#include "ops/attention_shape.h"

/* Rows of a band: all distances of a panel and a block. */
#define BAND LS_ROUND_UP(COLUMNS + KEYS - 1, LS_TILE_ROWS)

/* Where the blocks of one panel and block of keys are computed. rows: (BAND, padded D); product: (BAND, columns); fold:
 * (BAND, padded D), in backward. */
typedef struct Band {
    acc *rows, *product, *fold;
} Band;

LS_INLINE int64_t ls_band_size(const Shape *s, bool backward)
{
    return s->relative.count ? BAND * ((backward ? 2 : 1) * s->padded + COLUMNS) : 0;
}

LS_INLINE Band ls_band(const Shape *s, acc *at)
{
    return (Band){at, at + BAND * s->padded, at + BAND * (s->padded + COLUMNS)};
}

/* The row of the table for row b of the band. */
LS_INLINE int64_t ls_band_row(const Shape *s, const Visible *r, int64_t b)
{
    int64_t row = r->ahead - (KEYS - 1) + b - s->relative.first;
    return row < 0 ? 0 : row < s->relative.count ? row : s->relative.count - 1;
}

static void band_pack(const Shape *s, int64_t head, const Visible *r, acc *rows)
{
    const real *table = s->relative.rows + head * s->relative.head;
    for (int64_t b = 0; b < BAND; b++) {
        const real *from = table + ls_band_row(s, r, b) * s->relative.row;
        for (int64_t d = 0; d < s->padded; d += LS_LANES)
            ls_store_acc(rows + b * s->padded + d, d < s->size ? ls_load_upto(from + d, s->size - d) : (vacc){0});
    }
}

/* score: (keys, columns) += band queries, on its diagonals. queries: (D, columns) */
static void band_to_scores(const Shape *s, const Visible *r, const Band *band, const acc *queries, acc *score)
{
    ls_block_product(LS_TILE_PLAIN, false, BAND, COLUMNS, s->size, band->rows, s->padded, queries, COLUMNS,
                     band->product, COLUMNS);
    for (int64_t j = 0; j < r->keys; j++) {
        const acc *from = band->product + (KEYS - 1 - j) * COLUMNS;
        acc *to = score + j * COLUMNS;
        for (int64_t i = 0; i < COLUMNS; i++)
            to[i] += from[i * (COLUMNS + 1)];
    }
}

/* The way back: weights or slopes, (keys, columns), on the diagonals of band->product. */
static void band_of_scores(const Visible *r, const acc *x, const Band *band)
{
    ls_zero(band->product, BAND * COLUMNS);
    for (int64_t j = 0; j < r->keys; j++) {
        acc *to = band->product + (KEYS - 1 - j) * COLUMNS;
        const acc *from = x + j * COLUMNS;
        for (int64_t i = 0; i < COLUMNS; i++)
            to[i * (COLUMNS + 1)] = from[i];
    }
}

/* sum: (D, columns) += band^T band->product */
static void band_to_queries(const Shape *s, const Band *band, acc *sum)
{
    ls_block_product(LS_TILE_TRANSPOSED, true, s->padded, COLUMNS, BAND, band->rows, s->padded, band->product, COLUMNS,
                     sum, COLUMNS);
}

/* Rows of the table's gradient, (rows, padded D), += factor band->product queries. queries: (columns, D) */
static void band_to_table(const Shape *s, const Visible *r, const Band *band, const acc *queries, acc factor,
                          acc *table)
{
    ls_block_product(LS_TILE_PLAIN, false, BAND, s->padded, r->lanes, band->product, COLUMNS, queries, s->padded,
                     band->fold, s->padded);
    for (int64_t b = 0; b < COLUMNS + KEYS - 1; b++) {
        acc *to = table + ls_band_row(s, r, b) * s->padded;
        for (int64_t d = 0; d < s->padded; d += LS_LANES)
            ls_store_acc(to + d, ls_load_acc(to + d) + ls_load_acc(band->fold + b * s->padded + d) * factor);
    }
}

/* ---- The gradient of the table ----------------------------------------------------------------------------------- */

/* acc of the sums of so many heads: (heads, rows, padded D); all heads share one where the table has no heads. */
LS_INLINE int64_t ls_table_sums(const Shape *s, int64_t heads)
{
    return s->relative.count * s->padded * (s->relative.head ? heads : heads > 0);
}

/* head: counted as those of the sums */
LS_INLINE acc *ls_table_sum(const Shape *s, acc *sums, int64_t head)
{
    return sums ? sums + (s->relative.head ? ls_table_sums(s, head) : 0) : NULL;
}

/* Adds the sums of a group, whose first head is `head`, to those of all heads. */
static void add_table_sums(const Shape *s, acc *all, int64_t head, const acc *sums)
{
    acc *to = ls_table_sum(s, all, head);
    for (int64_t i = 0; i < ls_table_sums(s, s->group); i += LS_LANES)
        ls_store_acc(to + i, ls_load_acc(to + i) + ls_load_acc(sums + i));
}

/* The sums of all heads into the gradient, whose rows lie like the table's. */
static void write_table(const Shape *s, real *grad, const acc *sums, bool add)
{
    for (int64_t h = 0; h < (s->relative.head ? s->heads : 1); h++)
        for (int64_t n = 0; n < s->relative.count; n++) {
            real *to = grad + n * s->relative.row + h * s->relative.head;
            const acc *from = sums + (h * s->relative.count + n) * s->padded;
            for (int64_t d = 0; d < s->size; d += LS_LANES) {
                vacc sum = ls_load_acc(from + d);
                ls_store_upto(to + d, add ? ls_load_upto(to + d, s->size - d) + sum : sum, s->size - d);
            }
        }
}

#endif
