/* The products of attention's blocks by panels of bfloat16 numbers (gemm/bf16.h), for processors that multiply
 * those; a part of src/ops/attention.c. Floats are split in their three parts, so that products lose nothing against
 * those of floats; bfloat16 operands are one part, and weights and slopes are rounded to it.
 *
 * Weights and slopes become operands as they come: rows of 32 queries are a left operand, pairs of rows a right one.
 * Sums over queries (dK, dV) stay in blocks of 32 keys by 32 of D until all is summed. */
#ifndef LS_OPS_ATTENTION_PANEL_H
#define LS_OPS_ATTENTION_PANEL_H

#include "ops/attention_shape.h"

enum { SIDE = LS_PANEL, SUM = SIDE * SIDE, KEY_PANELS = 2 };

#ifdef LS_BUILD_BFLOAT16
#define PARTS 1
#else
#define PARTS LS_FLOAT_PARTS
#endif

/* Bytes and acc of a step of an operand. */
#define STEP_BYTES ((int64_t)PARTS * LS_STEP_BYTES)
#define STEP_ACC (STEP_BYTES / (int64_t)sizeof(acc))

/* Panels of D, and steps of it. */
LS_INLINE int64_t ls_depth(const Shape *s) { return (s->size + SIDE - 1) / SIDE; }

/* 16-wide tiles in panel number `panel` of `count` rows or columns. */
LS_INLINE int ls_tiles_of(int64_t count, int64_t panel) { return count - panel * SIDE > LS_TILE ? 2 : 1; }

LS_INLINE uint8_t *ls_bytes(acc *x) { return (uint8_t *)x; }

static Sizes panel_sizes(const Shape *s)
{
    int64_t depth = ls_depth(s);
    return (Sizes){.rows = depth * SIDE,
                   .queries = depth * STEP_ACC,
                   .keys = KEY_PANELS * depth * STEP_ACC,
                   .weights = KEY_PANELS * STEP_ACC};
}

static void panel_begin(const Shape *s)
{
    if (s->kernel->begin)
        s->kernel->begin();
}

static void panel_end(const Shape *s)
{
    if (s->kernel->end)
        s->kernel->end();
}

/* ---- Operands in memory ------------------------------------------------------------------------------------------ */

/* Packs all panels of `rows` rows by `depth` of k, panel by panel, `steps` steps apart; of a last panel of at most 16
 * rows the other tile is zero. */
static void pack_panels(acc *to, int64_t steps, const real *x, int64_t stride, bool along_k, bool right, int64_t rows,
                        int64_t depth)
{
    LsPanelSource source = {.data = x, .stride = stride, .along_k = along_k, .right = right, .is_float = PARTS > 1};
    acc *last = to + (rows - 1) / SIDE * steps * STEP_ACC;
    for (int64_t i = 0; ls_tiles_of(rows, (rows - 1) / SIDE) == 1 && i < ls_panel_steps(depth) * PARTS; i++)
        memset(ls_bytes(last) + i * LS_STEP_BYTES + LS_TILE_BYTES, 0, LS_TILE_BYTES);
    ls_panel_pack(&source, 0, rows, 0, depth, ls_bytes(to), steps * STEP_BYTES);
}

static Operand panel_pack(const Shape *s, Role role, acc *to, const real *x, int64_t stride, int64_t count)
{
    bool over_d = role == QK_KEYS || role == QK_QUERIES, right = role == QK_QUERIES || role == PT_QUERIES;
    int64_t steps = over_d ? ls_depth(s) : right ? 1 : KEY_PANELS;
    pack_panels(to, steps, x, stride, over_d, right, over_d ? count : s->size, over_d ? s->size : count);
    return (Operand){.at = to};
}

/* ---- Operands in registers --------------------------------------------------------------------------------------- */

/* 32 neighbours of a row in bfloat16, part by part. */
typedef struct Row {
    __m512i part[PARTS];
} Row;

#if PARTS == 1

LS_INLINE Row ls_row_of(const vacc x[LS_TILE_VECTORS])
{
    return (Row){{(__m512i)_mm512_cvtne2ps_pbh((__m512)x[1], (__m512)x[0])}};
}

#else

/* The parts of a vector as in gemm/bf16.h, in the upper halves of the lanes: x but for |x| >= 2^127, which may
 * become infinite. */
LS_INLINE void ls_split(vacc x, vbits part[PARTS])
{
    const vbits half = (vbits){0} + 0x8000, upper = (vbits){0} + 0xffff0000;
    for (int p = 0; p < PARTS - 1; p++) {
        part[p] = ((vbits)x + half) & upper;
        x -= (vacc)part[p];
    }
    part[PARTS - 1] = (vbits)x;
}

LS_INLINE Row ls_row_of(const vacc x[LS_TILE_VECTORS])
{
    const __m512i upper = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                                           25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    vbits first[PARTS], second[PARTS];
    Row row;
    ls_split(x[0], first);
    ls_split(x[1], second);
#pragma GCC unroll 3
    for (int p = 0; p < PARTS; p++)
        row.part[p] = _mm512_permutex2var_epi16((__m512i)first[p], upper, (__m512i)second[p]);
    return row;
}

#endif

LS_INLINE void ls_store_pairs(uint8_t *to, __m512i even, __m512i odd)
{
    const __m512i lane = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                          37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    __m512i high = _mm512_add_epi16(lane, _mm512_set1_epi16(16));
    _mm512_store_si512(to, _mm512_permutex2var_epi16(even, lane, odd));
    _mm512_store_si512(to + LS_TILE_BYTES, _mm512_permutex2var_epi16(even, high, odd));
}

LS_INLINE void ls_panel_store_rows(acc *lhs, acc *rhs, int64_t i, TwoRows x)
{
    Row even = ls_row_of(x[0]), odd = ls_row_of(x[1]);
#pragma GCC unroll 3
    for (int p = 0; p < PARTS; p++) {
        int64_t at = i / SIDE * STEP_BYTES + p * LS_STEP_BYTES, row = i % SIDE;
        if (lhs) {
            _mm512_store_si512(ls_bytes(lhs) + at + row * 64, even.part[p]);
            _mm512_store_si512(ls_bytes(lhs) + at + (row + 1) * 64, odd.part[p]);
        }
        if (rhs)
            ls_store_pairs(ls_bytes(rhs) + at + row / 2 * 64, even.part[p], odd.part[p]);
    }
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* sum: (32, 32) = or += left right. */
LS_INLINE void ls_multiply(const Shape *s, const acc *left, const acc *right, int64_t steps, int row_tiles,
                           int column_tiles, bool add, acc *sum)
{
    s->kernel->multiply(&(LsPanelProduct){.a = (const uint8_t *)left,
                                          .b = (const uint8_t *)right,
                                          .steps = steps,
                                          .parts = PARTS,
                                          .row_tiles = row_tiles,
                                          .column_tiles = column_tiles,
                                          .add = add,
                                          .sum = sum});
}

static void panel_mul_qk(const Shape *s, const Visible *r, Operand keys, const acc *queries, acc *score)
{
    for (int64_t panel = 0; panel * SIDE < r->keys; panel++)
        ls_multiply(s, keys.at + panel * ls_depth(s) * STEP_ACC, queries, ls_depth(s), 2, 2, false,
                    score + panel * SUM);
}

static void panel_mul_pv(const Shape *s, const Visible *r, Operand turned, const acc *weights, acc *sum)
{
    for (int64_t panel = 0; panel < ls_depth(s); panel++)
        ls_multiply(s, turned.at + panel * KEY_PANELS * STEP_ACC, weights, ls_panel_steps(r->keys),
                    ls_tiles_of(s->size, panel), 2, true, sum + panel * SUM);
}

/* sums: (key panels, D panels, 32, 32) */
static void panel_mul_pt(const Shape *s, const Visible *r, const acc *weights, const acc *over, acc *sums)
{
    for (int64_t panel = 0; panel * SIDE < r->keys; panel++)
        for (int64_t j = 0; j < ls_depth(s); j++)
            ls_multiply(s, weights + panel * STEP_ACC, over + j * STEP_ACC, 1, ls_tiles_of(r->keys, panel),
                        ls_tiles_of(s->size, j), true, sums + (panel * ls_depth(s) + j) * SUM);
}

static void panel_write_sum(const Shape *s, real *y, int64_t stride, const acc *sums, int64_t first, int64_t count,
                            acc scale, bool add)
{
    for (int64_t t = first; t < first + count; t++, y += stride)
        for (int64_t at = 0; at < s->size; at += LS_LANES) {
            const acc *from = sums + (t / SIDE * ls_depth(s) + at / SIDE) * SUM + t % SIDE * SIDE + at % SIDE;
            vacc sum = ls_load_acc(from) * scale;
            ls_store_upto(y + at, add ? ls_load_upto(y + at, s->size - at) + sum : sum, s->size - at);
        }
}

static const BlockOps by_panels = {
    .unit = SIDE,
    .sizes = panel_sizes,
    .begin = panel_begin,
    .end = panel_end,
    .pack = panel_pack,
    .store_rows = ls_panel_store_rows,
    .mul_qk = panel_mul_qk,
    .mul_pv = panel_mul_pv,
    .mul_pt = panel_mul_pt,
    .write_sum = panel_write_sum,
};

#endif
