/* Attention's forward in blocks: the online softmax; a part of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_FORWARD_H
#define LS_OPS_ATTENTION_FORWARD_H

#include "ops/attention_relative.h"

/* What a panel carries from key block to key block. q, and a for relative positions: operands; o: (D, columns); top:
 * largest score so far, sum: (columns) */
typedef struct Panel {
    acc *q, *a, *o, *top, *sum;
} Panel;

LS_INLINE int64_t ls_panel_size(const Sizes *z) { return z->queries + z->relative + (z->rows + 2) * COLUMNS; }

LS_INLINE Panel ls_panel(const Sizes *z, acc *panels, int64_t number)
{
    acc *q = panels + number * ls_panel_size(z), *o = q + z->queries + z->relative;
    return (Panel){q, z->relative ? q + z->queries : q, o, o + z->rows * COLUMNS, o + (z->rows + 1) * COLUMNS};
}

/* acc of scratch that a task of forward needs. */
LS_INLINE int64_t ls_forward_scratch(const BlockOps *by, const Shape *s)
{
    Sizes z = by->sizes(s);
    return 2 * z.keys + KEYS * COLUMNS + z.weights + ls_band_size(s, false) + ls_task_panels(s) * ls_panel_size(&z);
}

/* The online softmax of a block of keys.
 *
 *     m' = max(m, max_j s_j)      p_j = 2^(c (s_j - m'))      l' = l 2^(c (m - m')) + sum_j p_j
 *
 * score: (keys, columns), of which `rows` become weights. rescale: 2^(c (m - m')). Returns whether any maximum
 * moved. */
LS_INLINE bool ls_online_softmax(const BlockOps *by, acc c, const Panel *p, const Visible *r, int64_t rows, acc *score,
                                 acc *weights, vacc rescale[LS_TILE_VECTORS])
{
    vacc top[LS_TILE_VECTORS], from[LS_TILE_VECTORS], sum[LS_TILE_VECTORS];
    ls_mask_scores(r, rows, score);
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        top[j] = ls_load_acc(p->top + j * LS_LANES);
        sum[j] = (vacc){0};
    }
    for (int64_t i = 0; i < r->keys; i++)
#pragma GCC unroll 2
        for (int j = 0; j < LS_TILE_VECTORS; j++)
            top[j] = ls_vmax(top[j], ls_load_acc(score + i * COLUMNS + j * LS_LANES));
    for (int j = 0; j < LS_TILE_VECTORS; j++) /* a lane that has seen no key yet has weights of 0 */
        from[j] = ls_select(top[j] > LOWEST, top[j] * c, (vacc){0});
    for (int64_t i = 0; i < rows; i += 2) {
        vacc weight[2][LS_TILE_VECTORS];
#pragma GCC unroll 2
        for (int64_t k = 0; k < 2; k++)
#pragma GCC unroll 2
            /* 0 where not seen */
            for (int j = 0; j < LS_TILE_VECTORS; j++) {
                weight[k][j] = ls_decay(ls_load_acc(score + (i + k) * COLUMNS + j * LS_LANES) * c - from[j]);
                sum[j] += weight[k][j];
            }
        by->store_rows(NULL, weights, i, weight);
    }
    bool moved = false;
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        vacc old = ls_load_acc(p->top + j * LS_LANES);
        rescale[j] = ls_decay((old - top[j]) * c);
        moved |= ls_hmax(top[j] - old) > 0;
        ls_store_acc(p->top + j * LS_LANES, top[j]);
        ls_store_acc(p->sum + j * LS_LANES, ls_load_acc(p->sum + j * LS_LANES) * rescale[j] + sum[j]);
    }
    return moved;
}

/* One block of keys for one panel of a head: s = K q, online softmax, o' = o 2^(c (m - m')) + V^T p. */
LS_INLINE void ls_forward_tile(const BlockOps *by, const Shape *s, const Sizes *z, const Panel *p, int64_t head,
                               const Visible *r, Operand k, Operand v, const Band *band, acc *score, acc *weights)
{
    vacc rescale[LS_TILE_VECTORS];
    by->mul_qk(s, r, k, p->q, score);
    ls_add_distances(s, head, r, score);
    if (s->relative.count) {
        band_pack(s, head, r, band->rows);
        band_to_scores(s, r, band, p->a, score);
    }
    bool moved =
        ls_online_softmax(by, s->scale * LOG2_E, p, r, LS_ROUND_UP(r->keys, by->unit), score, weights, rescale);
    for (int64_t d = 0; moved && d < z->rows; d++)
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = p->o + d * COLUMNS + j * LS_LANES;
            ls_store_acc(at, ls_load_acc(at) * rescale[j]);
        }
    by->mul_pv(s, r, v, weights, p->o);
    if (s->relative.values) {
        band_of_scores(r, weights, band);
        band_to_queries(s, band, p->o);
    }
}

/* Result o / l and log-sum-exp m + log l of a panel. */
static void forward_finish(const Shape *s, const Panel *p, int64_t lanes, real *out, acc *lse)
{
    acc inverse[COLUMNS], sums[COLUMNS];
    for (int64_t i = 0; i < COLUMNS; i += LS_LANES) {
        vacc sum = ls_load_acc(p->sum + i);
        ls_store_acc(inverse + i, (acc)1 / sum);
        ls_store_acc(sums + i, ls_load_acc(p->top + i) * s->scale + ls_vlog(sum));
    }
    ls_unpack_transposed(out, s->out_row, lanes, s->size, p->o, inverse, false);
    memcpy(lse, sums, (size_t)lanes * sizeof *lse);
}

/* Queries first..end-1 of the heads of one group, against all their keys. */
typedef struct ForwardTask {
    Keys keys;
    GlobalKeys global;
    int64_t first, end;
    int64_t head;  /* the group's first */
    const real *q; /* of the group's first head and query 0, as the others */
    const real *a; /* (B, Tq, H D): queries of relative positions, where these are others */
    real *out;
    acc *lse; /* rows of all queries, head by head */
    acc *scratch;
} ForwardTask;

/* A block of `have` keys, from key0 on of all the task's, or of those that all queries see. */
LS_INLINE void ls_forward_block(const BlockOps *by, const Shape *s, const ForwardTask *t, const Queries *all,
                                acc *panels, bool global, int64_t key0, int64_t have)
{
    Sizes z = by->sizes(s);
    acc *score = t->scratch + 2 * z.keys, *weights = by->plain ? score : score + KEYS * COLUMNS;
    Band band = ls_band(s, score + KEYS * COLUMNS + z.weights);
    int64_t stride = global ? t->global.stride : t->keys.stride;
    const real *k = (global ? t->global.k : t->keys.k) + key0 * stride;
    const real *v = (global ? t->global.v : t->keys.v) + key0 * stride;
    Operand key = by->pack(s, QK_KEYS, t->scratch, k, stride, have);
    Operand value = by->pack(s, PV_KEYS, t->scratch + z.keys, v, stride, have);
    for (int64_t n = 0; n < s->group * all->per_head; n++) {
        Panel p = ls_panel(&z, panels, n);
        Visible r = global ? ls_visible_global(all, n % all->per_head, &t->global, key0)
                           : ls_visible(s, all, n % all->per_head, &t->keys, key0);
        if (r.keys > 0)
            ls_forward_tile(by, s, &z, &p, t->head + n / all->per_head, &r, key, value, &band, score, weights);
    }
}

LS_INLINE void ls_forward_blocks(const BlockOps *by, const Shape *s, const ForwardTask *t, const Queries *all,
                                 acc *panels)
{
    int64_t count = ls_visible_keys(&t->keys, t->end), global = t->global.count;
    for (int64_t key0 = ls_first_block(s, &t->keys, t->first); key0 < count; key0 += KEYS)
        ls_forward_block(by, s, t, all, panels, false, key0, count - key0 < KEYS ? count - key0 : KEYS);
    for (int64_t key0 = 0; key0 < global; key0 += KEYS)
        ls_forward_block(by, s, t, all, panels, true, key0, global - key0 < KEYS ? global - key0 : KEYS);
}

LS_INLINE void ls_forward_task(const BlockOps *by, const Shape *s, const ForwardTask *t)
{
    Queries all = ls_queries(t->first, t->end);
    Sizes z = by->sizes(s);
    int64_t count = s->group * all.per_head;
    acc *panels = t->scratch + 2 * z.keys + KEYS * COLUMNS + z.weights + ls_band_size(s, false);
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = t->first + panel * COLUMNS;
        Panel p = ls_panel(&z, panels, n);
        by->pack(s, QK_QUERIES, p.q, t->q + at * s->row + head * s->size, s->row, ls_panel_lanes(&all, panel));
        if (z.relative)
            by->pack(s, QK_QUERIES, p.a, t->a + (at * s->heads + head) * s->size, s->heads * s->size,
                     ls_panel_lanes(&all, panel));
        ls_zero(p.o, z.rows * COLUMNS);
        ls_zero(p.sum, COLUMNS);
        for (int64_t i = 0; i < COLUMNS; i++)
            p.top[i] = LOWEST;
    }
    by->begin(s);
    ls_forward_blocks(by, s, t, &all, panels);
    by->end(s);
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = t->first + panel * COLUMNS;
        Panel p = ls_panel(&z, panels, n);
        forward_finish(s, &p, ls_panel_lanes(&all, panel), t->out + at * s->out_row + head * s->size,
                       t->lse + head * s->lse_row + at);
    }
}

#endif
