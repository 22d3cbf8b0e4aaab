/* Attention on panels of bfloat16 pairs (base/gemm_panel.h), for processors that multiply such pairs; a part of src/ops/attention.c.
 *
 * Blocks and their order are those of attention_block.h: queries lie on the columns, 32 to a panel, keys on the rows, 64 to a block. The
 * scores of a block are floats; weights and slopes are rounded to bfloat16 as operands of the next products. For those they are laid
 * out as they come: rows of 32 queries are a left operand, pairs of rows a right one. Sums over queries (dK, dV) stay in blocks of 32 keys by
 * 32 of D until all is summed.
 *
 * Scores are kept without the factor 1 / sqrt(D); with c = log2(e) / sqrt(D) a weight is 2^(c s - c m).
 *
 * The results of this way differ from the other's by the rounding of weights and slopes. */
#ifndef LS_OPS_ATTENTION_PANEL_H
#define LS_OPS_ATTENTION_PANEL_H

#include "base/gemm_panel.h"
#include "ops/attention_block.h"

enum { SIDE = LS_PANEL, SUM = SIDE * SIDE, KEY_PANELS = 2 };

/* acc that a step of an operand takes. */
#define STEP_ACC ((int64_t)LS_STEP_BYTES / (int64_t)sizeof(acc))

typedef struct Work {
    const LsPanelKernel *kernel;
    int64_t depth; /* panels of D, and steps of it */
    acc c;
} Work;

LS_INLINE int64_t ls_depth(const Shape *s) { return (s->size + SIDE - 1) / SIDE; }

LS_INLINE Work ls_work(const Shape *s) { return (Work){ls_panel_kernel(), ls_depth(s), s->scale * (acc)1.44269504088896340736}; }

/* 16-wide tiles in panel number `panel` of `count` rows or columns. */
LS_INLINE int ls_tiles_of(int64_t count, int64_t panel) { return count - panel * SIDE > LS_TILE ? 2 : 1; }

LS_INLINE uint8_t *ls_bytes(acc *x) { return (uint8_t *)x; }

/* Packs all panels of `rows` rows by `depth` of k, panel by panel; a panel of at most 16 rows has its other tile zero. Steps of a panel
 * lie `steps` apart. */
LS_INLINE void ls_pack_operand(acc *to, int64_t steps, const real *x, int64_t stride, bool along_k, bool right, int64_t rows, int64_t depth)
{
    LsPanelSource source = {.data = x, .stride = stride, .along_k = along_k, .right = right};
    for (int64_t row = 0; row < rows; row += SIDE, to += steps * STEP_ACC) {
        int64_t count = rows - row < SIDE ? rows - row : SIDE;
        for (int64_t step = 0; count <= LS_TILE && step < ls_panel_steps(depth); step++)
            memset(ls_bytes(to + step * STEP_ACC) + LS_TILE_BYTES, 0, LS_TILE_BYTES);
        ls_panel_pack(&source, row, count, 0, depth, ls_bytes(to), 0);
    }
}

/* Two vectors of 16 as 32 neighbours; and of two rows of 32 the pairs, 16 to a vector. */
LS_INLINE __m512i ls_row_of(vacc first, vacc second) { return (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first); }
LS_INLINE void ls_store_pairs(uint8_t *to, __m512i even, __m512i odd)
{
    __m512i lane = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2,
                                    33, 1, 32, 0);
    __m512i high = _mm512_add_epi16(lane, _mm512_set1_epi16(16));
    _mm512_store_si512(to, _mm512_permutex2var_epi16(even, lane, odd));
    _mm512_store_si512(to + LS_TILE_BYTES, _mm512_permutex2var_epi16(even, high, odd));
}

/* sum: (32, 32) = or += left right. */
LS_INLINE void ls_multiply(const Work *w, const acc *left, const acc *right, int64_t steps, int row_tiles, int column_tiles, bool add, acc *sum)
{
    w->kernel->multiply(&(LsPanelProduct){.a = (const uint8_t *)left,
                                          .b = (const uint8_t *)right,
                                          .steps = steps,
                                          .parts = 1,
                                          .row_tiles = row_tiles,
                                          .column_tiles = column_tiles,
                                          .add = add,
                                          .sum = sum});
}

/* sum: (64, 32) = rows (D) of the block's keys or values times a panel of queries or of their gradients. */
LS_INLINE void ls_against_keys(const Work *w, const Reach *r, const acc *keys, const acc *queries, acc *sum)
{
    for (int64_t panel = 0; panel * SIDE < r->keys; panel++)
        ls_multiply(w, keys + panel * w->depth * STEP_ACC, queries, w->depth, 2, 2, false, sum + panel * SUM);
}

/* sum: (D, 32) += rows of the block's keys or values, transposed, times weights or slopes in pairs of keys. */
LS_INLINE void ls_over_keys(const Work *w, const Shape *s, const Reach *r, const acc *transposed, const acc *pairs, acc *sum)
{
    for (int64_t panel = 0; panel < w->depth; panel++)
        ls_multiply(w, transposed + panel * KEY_PANELS * STEP_ACC, pairs, ls_panel_steps(r->keys), ls_tiles_of(s->size, panel), 2, true,
                    sum + panel * SUM);
}

/* ---- Forward ------------------------------------------------------------------------------------------------------ */

/* q: operand; o: (D, 32); top: largest score so far, sum: (32) */
typedef struct FrontPanel {
    acc *q, *o, *top, *sum;
} FrontPanel;

LS_INLINE int64_t ls_front_panel_size(const Shape *s) { return ls_depth(s) * (STEP_ACC + SUM) + 2 * SIDE; }

LS_INLINE FrontPanel ls_front_panel(const Shape *s, acc *panels, int64_t number)
{
    acc *q = panels + number * ls_front_panel_size(s), *o = q + ls_depth(s) * STEP_ACC;
    return (FrontPanel){q, o, o + ls_depth(s) * SUM, o + ls_depth(s) * SUM + SIDE};
}

static int64_t panel_forward_scratch(const Shape *s)
{
    return KEY_PANELS * (2 * ls_depth(s) * STEP_ACC + SUM + STEP_ACC) + ls_task_panels(s) * ls_front_panel_size(s);
}

/* The online softmax as in attention_block.h; the weights go to `pairs` as an operand of keys by queries. */
static bool panel_softmax(const Work *w, const FrontPanel *p, const Reach *r, acc *score, acc *pairs, vacc rescale[LS_TILE_VECTORS])
{
    int64_t rows = LS_ROUND_UP(r->keys, SIDE);
    vacc top[LS_TILE_VECTORS], from[LS_TILE_VECTORS], sum[LS_TILE_VECTORS];
    ls_hide(r, rows, score);
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        top[j] = ls_load_acc(p->top + j * LS_LANES);
        sum[j] = (vacc){0};
    }
    for (int64_t i = 0; i < r->keys; i++)
#pragma GCC unroll 2
        for (int j = 0; j < LS_TILE_VECTORS; j++)
            top[j] = ls_vmax(top[j], ls_load_acc(score + i * COLUMNS + j * LS_LANES));
    for (int j = 0; j < LS_TILE_VECTORS; j++)
        from[j] = top[j] * w->c;
    for (int64_t i = 0; i < rows; i += 2) {
        vacc weight[2][LS_TILE_VECTORS];
#pragma GCC unroll 2
        for (int64_t k = 0; k < 2; k++)
#pragma GCC unroll 2
            for (int j = 0; j < LS_TILE_VECTORS; j++) {
                weight[k][j] = ls_decay(ls_load_acc(score + (i + k) * COLUMNS + j * LS_LANES) * w->c - from[j]);
                sum[j] += weight[k][j];
            }
        ls_store_pairs(ls_bytes(pairs + i / SIDE * STEP_ACC) + i % SIDE / 2 * 64, ls_row_of(weight[0][0], weight[0][1]),
                       ls_row_of(weight[1][0], weight[1][1]));
    }
    bool moved = false;
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        vacc old = ls_load_acc(p->top + j * LS_LANES);
        rescale[j] = ls_decay((old - top[j]) * w->c);
        moved |= ls_hmax(top[j] - old) > 0;
        ls_store_acc(p->top + j * LS_LANES, top[j]);
        ls_store_acc(p->sum + j * LS_LANES, ls_load_acc(p->sum + j * LS_LANES) * rescale[j] + sum[j]);
    }
    return moved;
}

static void panel_forward_finish(const Work *w, const Shape *s, const FrontPanel *p, int64_t lanes, real *out, acc *lse)
{
    acc inverse[COLUMNS], sums[COLUMNS];
    for (int64_t i = 0; i < COLUMNS; i += LS_LANES) {
        vacc sum = ls_load_acc(p->sum + i);
        ls_store_acc(inverse + i, (acc)1 / sum);
        ls_store_acc(sums + i, ls_load_acc(p->top + i) * w->c * (acc)0.69314718055994530942 + ls_vlog(sum));
    }
    ls_unpack_transposed(out, s->heads * s->size, lanes, s->size, p->o, inverse, false);
    memcpy(lse, sums, (size_t)lanes * sizeof *lse);
}

static void panel_forward_task(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q, real *out, acc *lse, acc *scratch)
{
    Queries all = ls_queries(first, end);
    Work w = ls_work(s);
    int64_t count = s->group * all.per_head, block = KEY_PANELS * w.depth * STEP_ACC;
    acc *k = scratch, *v = k + block, *score = v + block, *pairs = score + KEY_PANELS * SUM, *panels = pairs + KEY_PANELS * STEP_ACC;
    for (int64_t n = 0; n < count; n++) {
        int64_t at = first + n % all.per_head * COLUMNS;
        FrontPanel p = ls_front_panel(s, panels, n);
        ls_pack_operand(p.q, w.depth, q + at * s->row + n / all.per_head * s->size, s->row, true, true,
                        ls_reach(&all, n % all.per_head, 0, 0).lanes, s->size);
        ls_zero(p.o, w.depth * SUM);
        ls_zero(p.sum, SIDE);
        for (int64_t i = 0; i < SIDE; i++)
            p.top[i] = LOWEST;
    }
    if (w.kernel->begin)
        w.kernel->begin();
    for (int64_t key0 = 0; key0 < keys->offset + end; key0 += KEYS) {
        int64_t have = keys->offset + end - key0 < KEYS ? keys->offset + end - key0 : KEYS;
        ls_pack_operand(k, w.depth, keys->k + key0 * keys->stride, keys->stride, true, false, have, s->size);
        ls_pack_operand(v, KEY_PANELS, keys->v + key0 * keys->stride, keys->stride, false, false, s->size, have);
        for (int64_t n = 0; n < count; n++) {
            FrontPanel p = ls_front_panel(s, panels, n);
            Reach r = ls_reach(&all, n % all.per_head, keys->offset, key0);
            vacc rescale[LS_TILE_VECTORS];
            if (r.keys <= 0)
                continue;
            ls_against_keys(&w, &r, k, p.q, score);
            bool moved = panel_softmax(&w, &p, &r, score, pairs, rescale);
            for (int64_t i = 0; moved && i < w.depth * SUM; i += COLUMNS)
                for (int j = 0; j < LS_TILE_VECTORS; j++)
                    ls_store_acc(p.o + i + j * LS_LANES, ls_load_acc(p.o + i + j * LS_LANES) * rescale[j]);
            ls_over_keys(&w, s, &r, v, pairs, p.o);
        }
    }
    if (w.kernel->end)
        w.kernel->end();
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        FrontPanel p = ls_front_panel(s, panels, n);
        panel_forward_finish(&w, s, &p, ls_reach(&all, panel, 0, 0).lanes, out + (at * s->heads + head) * s->size,
                             lse + head * s->queries + at);
    }
}

/* ---- Backward ----------------------------------------------------------------------------------------------------- */

/* Queries and upstream gradients as right operands: over D (q, d), and over the panel's queries (over_q, over_d). dq: (D, 32);
 * lse (times log2 e), delta: (32). */
typedef struct RearPanel {
    acc *q, *d, *over_q, *over_d, *dq, *lse, *delta;
} RearPanel;

LS_INLINE int64_t ls_rear_panel_size(const Shape *s) { return ls_depth(s) * (4 * STEP_ACC + SUM) + 2 * SIDE; }

LS_INLINE RearPanel ls_rear_panel(const Shape *s, acc *panels, int64_t number)
{
    int64_t operand = ls_depth(s) * STEP_ACC;
    acc *at = panels + number * ls_rear_panel_size(s), *dq = at + 4 * operand, *lse = dq + ls_depth(s) * SUM;
    return (RearPanel){at, at + operand, at + 2 * operand, at + 3 * operand, dq, lse, lse + SIDE};
}

/* Of a block: keys and values over D, keys transposed; scores and slopes; weights and slopes as left operands, slopes in pairs. */
static int64_t panel_backward_scratch(const Shape *s)
{
    int64_t sums = 2 * LS_ROUND_UP(s->queries, KEYS) * ls_depth(s) * SIDE;
    return sums + KEY_PANELS * (3 * ls_depth(s) * STEP_ACC + 2 * SUM + 3 * STEP_ACC) + ls_task_panels(s) * ls_rear_panel_size(s);
}

static int64_t panel_sums_width(const Shape *s) { return ls_depth(s) * SIDE; }

/* delta_t = dO_t . O_t of 16 queries. */
LS_INLINE vacc ls_deltas(const Shape *s, const real *o, const real *d, int64_t row, int64_t count)
{
    vacc sum[LS_LANE_COUNT];
    for (int64_t i = 0; i < LS_LANES; i++) {
        sum[i] = (vacc){0};
        for (int64_t j = 0; i < count && j < s->size; j += LS_LANES)
            sum[i] += ls_load_upto(o + i * row + j, s->size - j) * ls_load_upto(d + i * row + j, s->size - j);
    }
    return ls_hsums(sum);
}

static void panel_backward_pack(const Work *w, const Shape *s, const RearPanel *p, int64_t lanes, const real *q, const real *o, const real *d,
                                const acc *lse)
{
    int64_t row = s->heads * s->size;
    ls_pack_operand(p->q, w->depth, q, s->row, true, true, lanes, s->size);
    ls_pack_operand(p->d, w->depth, d, row, true, true, lanes, s->size);
    ls_pack_operand(p->over_q, 1, q, s->row, false, true, s->size, lanes);
    ls_pack_operand(p->over_d, 1, d, row, false, true, s->size, lanes);
    ls_zero(p->dq, w->depth * SUM);
    for (int64_t i = 0; i < SIDE; i += LS_LANES) {
        int64_t count = lanes - i;
        ls_store_acc(p->delta + i, count > 0 ? ls_deltas(s, o + i * row, d + i * row, row, count) : (vacc){0});
        vacc sums = count >= LS_LANES ? ls_load_acc(lse + i) : count > 0 ? ls_load_acc_part(lse + i, count) : (vacc){0};
        ls_store_acc(p->lse + i, sums * (acc)1.44269504088896340736);
    }
}

/* What the products of a block are made of. p, ds: (64 keys, 32) as left operands; pairs: ds as a right one. */
typedef struct Slopes {
    acc *score, *slope, *p, *ds, *pairs;
} Slopes;

/* p = 2^(c s - lse), ds = p (dp - delta), rounded. */
static void panel_slopes(const Work *w, const RearPanel *b, const Reach *r, const Slopes *to)
{
    int64_t rows = LS_ROUND_UP(r->keys, SIDE);
    vacc lse[LS_TILE_VECTORS], delta[LS_TILE_VECTORS];
    ls_hide(r, rows, to->score);
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        lse[j] = ls_load_acc(b->lse + j * LS_LANES);
        delta[j] = ls_load_acc(b->delta + j * LS_LANES);
    }
    for (int64_t i = 0; i < rows; i += 2) {
        __m512i ds[2];
#pragma GCC unroll 2
        for (int64_t k = 0; k < 2; k++) {
            vacc weight[LS_TILE_VECTORS], slope[LS_TILE_VECTORS];
#pragma GCC unroll 2
            for (int j = 0; j < LS_TILE_VECTORS; j++) {
                int64_t at = (i + k) * COLUMNS + j * LS_LANES;
                weight[j] = ls_decay(ls_load_acc(to->score + at) * w->c - lse[j]);
                slope[j] = weight[j] * (ls_load_acc(to->slope + at) - delta[j]);
            }
            ds[k] = ls_row_of(slope[0], slope[1]);
            _mm512_store_si512(ls_bytes(to->p) + (i + k) * 64, ls_row_of(weight[0], weight[1]));
            _mm512_store_si512(ls_bytes(to->ds) + (i + k) * 64, ds[k]);
        }
        ls_store_pairs(ls_bytes(to->pairs + i / SIDE * STEP_ACC) + i % SIDE / 2 * 64, ds[0], ds[1]);
    }
}

/* sums: (key panels, D panels, 32, 32) += weights or slopes times what lies over the queries. */
LS_INLINE void ls_over_queries(const Work *w, const Shape *s, const Reach *r, const acc *left, const acc *right, acc *sums)
{
    for (int64_t panel = 0; panel * SIDE < r->keys; panel++)
        for (int64_t j = 0; j < w->depth; j++)
            ls_multiply(w, left + panel * STEP_ACC, right + j * STEP_ACC, 1, ls_tiles_of(r->keys, panel), ls_tiles_of(s->size, j), true,
                        sums + (panel * w->depth + j) * SUM);
}

static void panel_backward_task(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q, const real *o, const real *d,
                                const acc *lse, real *dq, bool add, acc *dk, acc *dv, acc *scratch)
{
    Queries all = ls_queries(first, end);
    Work w = ls_work(s);
    int64_t count = s->group * all.per_head, block = KEY_PANELS * w.depth * STEP_ACC, operand = KEY_PANELS * STEP_ACC;
    acc *k = scratch, *v = k + block, *turned = v + block, *score = turned + block, *slope = score + KEY_PANELS * SUM;
    acc *p = slope + KEY_PANELS * SUM, *panels = p + 3 * operand;
    Slopes slopes = {score, slope, p, p + operand, p + 2 * operand};
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS, to = (at * s->heads + head) * s->size;
        RearPanel b = ls_rear_panel(s, panels, n);
        panel_backward_pack(&w, s, &b, ls_reach(&all, panel, 0, 0).lanes, q + at * s->row + head * s->size, o + to, d + to,
                            lse + head * s->queries + at);
    }
    if (w.kernel->begin)
        w.kernel->begin();
    for (int64_t key0 = 0; key0 < end; key0 += KEYS) {
        int64_t have = end - key0 < KEYS ? end - key0 : KEYS, at = key0 * w.depth * SIDE;
        ls_pack_operand(k, w.depth, keys->k + key0 * keys->stride, keys->stride, true, false, have, s->size);
        ls_pack_operand(v, w.depth, keys->v + key0 * keys->stride, keys->stride, true, false, have, s->size);
        ls_pack_operand(turned, KEY_PANELS, keys->k + key0 * keys->stride, keys->stride, false, false, s->size, have);
        for (int64_t n = 0; n < count; n++) {
            RearPanel b = ls_rear_panel(s, panels, n);
            Reach r = ls_reach(&all, n % all.per_head, 0, key0);
            if (r.keys <= 0)
                continue;
            ls_against_keys(&w, &r, k, b.q, score);
            ls_against_keys(&w, &r, v, b.d, slope);
            panel_slopes(&w, &b, &r, &slopes);
            ls_over_queries(&w, s, &r, slopes.p, b.over_d, dv + at);
            ls_over_queries(&w, s, &r, slopes.ds, b.over_q, dk + at);
            ls_over_keys(&w, s, &r, turned, slopes.pairs, b.dq);
        }
    }
    if (w.kernel->end)
        w.kernel->end();
    acc scale[COLUMNS];
    for (int64_t i = 0; i < COLUMNS; i++)
        scale[i] = s->scale;
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        RearPanel b = ls_rear_panel(s, panels, n);
        ls_unpack_transposed(dq + at * s->row + head * s->size, s->row, ls_reach(&all, panel, 0, 0).lanes, s->size, b.dq, scale, add);
    }
}

/* y: (count, D) in rows of qkv's gradient gets sums: (key panels, D panels, 32, 32) times scale. */
static void panel_write_sum(const Shape *s, real *y, const acc *sums, int64_t count, acc scale, bool add)
{
    for (int64_t t = 0; t < count; t++, y += s->row)
        for (int64_t at = 0; at < s->size; at += LS_LANES) {
            const acc *from = sums + (t / SIDE * ls_depth(s) + at / SIDE) * SUM + t % SIDE * SIDE + at % SIDE;
            vacc sum = ls_load_acc(from) * scale;
            ls_store_upto(y + at, add ? ls_load_upto(y + at, s->size - at) + sum : sum, s->size - at);
        }
}

#endif
