/* Attention's backward in blocks: weights are made again from log-sum-exp; a part of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_BACKWARD_H
#define LS_OPS_ATTENTION_BACKWARD_H

#include "ops/attention_relative.h"

/* What backward reads of a panel, and the gradient of its queries. Queries and upstream gradients as operands of sums
 * over D (q, d) and over the queries (over_q, over_d); dq: (D, columns); lse (times log2 e), delta: (columns). Of
 * relative positions a, over_a and da; where these have no queries of their own, q, over_q and dq. */
typedef struct BackPanel {
    acc *q, *d, *over_q, *over_d, *dq, *lse, *delta, *a, *over_a, *da;
} BackPanel;

LS_INLINE int64_t ls_back_panel_size(const Sizes *z)
{
    return 4 * z->queries + (z->rows + 2) * COLUMNS + 3 * z->relative;
}

LS_INLINE BackPanel ls_back_panel(const Sizes *z, acc *panels, int64_t number)
{
    acc *at = panels + number * ls_back_panel_size(z), *dq = at + 4 * z->queries, *lse = dq + z->rows * COLUMNS;
    BackPanel b = {at, at + z->queries, at + 2 * z->queries, at + 3 * z->queries, dq, lse, lse + COLUMNS};
    b.a = z->relative ? lse + 2 * COLUMNS : b.q;
    b.over_a = z->relative ? b.a + z->relative : b.over_q;
    b.da = z->relative ? b.over_a + z->relative : b.dq;
    return b;
}

/* acc of sums dk, or dv, of the keys that all queries see: (G, D). */
LS_INLINE int64_t ls_global_sums(const Sizes *z, const Shape *s) { return LS_ROUND_UP(s->globals, KEYS) * z->rows; }

/* acc of scratch that a task of backward needs: sums dk, dv: (Tk, D) and (G, D), and the blocks. */
LS_INLINE int64_t ls_backward_scratch(const BlockOps *by, const Shape *s)
{
    Sizes z = by->sizes(s);
    return 2 * LS_ROUND_UP(s->keys, KEYS) * z.rows + 2 * ls_global_sums(&z, s) + 3 * z.keys + 2 * KEYS * COLUMNS +
           3 * z.weights + ls_band_size(s, true) + ls_task_panels(s) * ls_back_panel_size(&z);
}

/* delta_t = dO_t . O_t of LS_LANES queries, what the softmax's gradient subtracts (Dao et al. 2022, equation 4). */
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

LS_INLINE void ls_backward_pack(const BlockOps *by, const Shape *s, const Sizes *z, const BackPanel *p, int64_t lanes,
                                const real *q, const real *o, const real *d, const acc *lse)
{
    int64_t row = s->out_row;
    by->pack(s, QK_QUERIES, p->q, q, s->row, lanes);
    by->pack(s, QK_QUERIES, p->d, d, row, lanes);
    by->pack(s, PT_QUERIES, p->over_q, q, s->row, lanes);
    by->pack(s, PT_QUERIES, p->over_d, d, row, lanes);
    ls_zero(p->dq, z->rows * COLUMNS);
    for (int64_t i = 0; i < COLUMNS; i += LS_LANES) {
        int64_t count = lanes - i;
        ls_store_acc(p->delta + i, count > 0 ? ls_deltas(s, o + i * row, d + i * row, row, count) : (vacc){0});
        vacc sums = count >= LS_LANES ? ls_load_acc(lse + i) : count > 0 ? ls_load_acc_part(lse + i, count) : (vacc){0};
        ls_store_acc(p->lse + i, sums * LOG2_E);
    }
}

/* What the products of a block are made of: scores and their gradients, (keys, columns), and weights and slopes as
 * operands. */
typedef struct Slopes {
    acc *score, *slope, *p, *ds, *ds_right;
} Slopes;

/* p = 2^(c s - lse), ds = p (dp - delta). */
LS_INLINE void ls_slopes(const BlockOps *by, acc c, const BackPanel *b, const Visible *r, int64_t rows,
                         const Slopes *to)
{
    vacc lse[LS_TILE_VECTORS], delta[LS_TILE_VECTORS];
    ls_mask_scores(r, rows, to->score);
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        lse[j] = ls_load_acc(b->lse + j * LS_LANES);
        delta[j] = ls_load_acc(b->delta + j * LS_LANES);
    }
    for (int64_t i = 0; i < rows; i += 2) {
        vacc weight[2][LS_TILE_VECTORS], slope[2][LS_TILE_VECTORS];
#pragma GCC unroll 2
        for (int64_t k = 0; k < 2; k++)
#pragma GCC unroll 2
            for (int j = 0; j < LS_TILE_VECTORS; j++) {
                int64_t at = (i + k) * COLUMNS + j * LS_LANES;
                weight[k][j] = ls_decay(ls_load_acc(to->score + at) * c - lse[j]);
                slope[k][j] = weight[k][j] * (ls_load_acc(to->slope + at) - delta[j]);
            }
        by->store_rows(to->p, NULL, i, weight);
        by->store_rows(to->ds, to->ds_right, i, slope);
    }
}

/* The share of relative positions, of which band->rows are packed: table is their gradient's, or NULL. */
static void backward_band(const Shape *s, const BackPanel *b, const Visible *r, const Band *band, const Slopes *to,
                          acc *table)
{
    band_of_scores(r, to->ds, band);
    band_to_queries(s, band, b->da);
    if (!table)
        return;
    band_to_table(s, r, band, b->over_a, s->scale, table);
    if (s->relative.values) {
        band_of_scores(r, to->p, band);
        band_to_table(s, r, band, b->over_d, 1, table);
    }
}

/* One block of keys and one panel of a head:
 *
 *     p = exp(K q / sqrt(D) - lse)      dp = V dO      ds = p (dp - delta)
 *     dV += p dO^T                      dK += ds q^T   dq += K^T ds
 *
 * The scale of dK and dq is applied where they are written out. */
LS_INLINE void ls_backward_tile(const BlockOps *by, const Shape *s, const BackPanel *b, int64_t head, const Visible *r,
                                Operand k, Operand v, Operand turned, const Band *band, acc *table, acc *dk, acc *dv,
                                const Slopes *to)
{
    by->mul_qk(s, r, k, b->q, to->score);
    ls_add_distances(s, head, r, to->score);
    by->mul_qk(s, r, v, b->d, to->slope);
    if (s->relative.count) {
        band_pack(s, head, r, band->rows);
        band_to_scores(s, r, band, b->a, to->score);
    }
    if (s->relative.values)
        band_to_scores(s, r, band, b->d, to->slope);
    ls_slopes(by, s->scale * LOG2_E, b, r, LS_ROUND_UP(r->keys, by->unit), to);
    by->mul_pt(s, r, to->p, b->over_d, dv);
    by->mul_pt(s, r, to->ds, b->over_q, dk);
    by->mul_pv(s, r, turned, to->ds_right, b->dq);
    if (s->relative.count)
        backward_band(s, b, r, band, to, table);
}

/* Queries first..end-1 of a group's heads against all their keys: adds to dk, dv: (Tk, D), and writes (or adds to) the
 * queries' gradient dq, which lies like q; NULL: nobody wants it. */
typedef struct BackwardTask {
    Keys keys;
    GlobalKeys global;
    int64_t first, end;
    int64_t head;          /* the group's first */
    const real *q, *o, *d; /* of the group's first head and query 0, as the others */
    const acc *lse;
    real *dq;
    bool add;
    const real *a; /* (B, Tq, H D): queries of relative positions, where these are others; da like dq */
    real *da;
    bool add_a;
    acc *table; /* sums of the gradient of relative positions; NULL: nobody wants it */
    acc *dk, *dv, *scratch;
    acc *global_dk, *global_dv; /* (G, D) */
} BackwardTask;

/* A block of `have` keys, from key0 on of all the task's, or of those that all queries see. */
LS_INLINE void ls_backward_block(const BlockOps *by, const Shape *s, const BackwardTask *t, const Queries *all,
                                 acc *panels, bool global, int64_t key0, int64_t have)
{
    Sizes z = by->sizes(s);
    acc *turned = t->scratch + 2 * z.keys, *score = turned + z.keys, *slope = score + KEYS * COLUMNS,
        *p = slope + KEYS * COLUMNS;
    Band band = ls_band(s, p + 3 * z.weights);
    Slopes to = by->plain ? (Slopes){score, slope, score, slope, slope}
                          : (Slopes){score, slope, p, p + z.weights, p + 2 * z.weights};
    int64_t stride = global ? t->global.stride : t->keys.stride, at = key0 * z.rows;
    const real *k = (global ? t->global.k : t->keys.k) + key0 * stride;
    const real *v = (global ? t->global.v : t->keys.v) + key0 * stride;
    acc *dk = (global ? t->global_dk : t->dk) + at, *dv = (global ? t->global_dv : t->dv) + at;
    Operand key = by->pack(s, QK_KEYS, t->scratch, k, stride, have);
    Operand value = by->pack(s, QK_KEYS, t->scratch + z.keys, v, stride, have), over = key;
    if (!by->plain)
        over = by->pack(s, PV_KEYS, turned, k, stride, have);
    for (int64_t n = 0; n < s->group * all->per_head; n++) {
        BackPanel b = ls_back_panel(&z, panels, n);
        Visible r = global ? ls_visible_global(all, n % all->per_head, &t->global, key0)
                           : ls_visible(s, all, n % all->per_head, &t->keys, key0);
        if (r.keys > 0)
            ls_backward_tile(by, s, &b, t->head + n / all->per_head, &r, key, value, over, &band,
                             ls_table_sum(s, t->table, n / all->per_head), dk, dv, &to);
    }
}

LS_INLINE void ls_backward_blocks(const BlockOps *by, const Shape *s, const BackwardTask *t, const Queries *all,
                                  acc *panels)
{
    int64_t count = ls_visible_keys(&t->keys, t->end), global = t->global.count;
    for (int64_t key0 = ls_first_block(s, &t->keys, t->first); key0 < count; key0 += KEYS)
        ls_backward_block(by, s, t, all, panels, false, key0, count - key0 < KEYS ? count - key0 : KEYS);
    for (int64_t key0 = 0; key0 < global; key0 += KEYS)
        ls_backward_block(by, s, t, all, panels, true, key0, global - key0 < KEYS ? global - key0 : KEYS);
}

LS_INLINE void ls_backward_task(const BlockOps *by, const Shape *s, const BackwardTask *t)
{
    Queries all = ls_queries(t->first, t->end);
    Sizes z = by->sizes(s);
    int64_t count = s->group * all.per_head;
    acc *panels = t->scratch + 3 * z.keys + 2 * KEYS * COLUMNS + 3 * z.weights + ls_band_size(s, true), scale[COLUMNS];
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = t->first + panel * COLUMNS,
                from = at * s->out_row + head * s->size;
        BackPanel b = ls_back_panel(&z, panels, n);
        ls_backward_pack(by, s, &z, &b, ls_panel_lanes(&all, panel), t->q + at * s->row + head * s->size, t->o + from,
                         t->d + from, t->lse + head * s->lse_row + at);
        if (z.relative) {
            by->pack(s, QK_QUERIES, b.a, t->a + from, s->heads * s->size, ls_panel_lanes(&all, panel));
            by->pack(s, PT_QUERIES, b.over_a, t->a + from, s->heads * s->size, ls_panel_lanes(&all, panel));
            ls_zero(b.da, z.relative);
        }
    }
    by->begin(s);
    ls_backward_blocks(by, s, t, &all, panels);
    by->end(s);
    for (int64_t i = 0; i < COLUMNS; i++)
        scale[i] = s->scale;
    for (int64_t n = 0; (t->dq || t->da) && n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = t->first + panel * COLUMNS;
        BackPanel b = ls_back_panel(&z, panels, n);
        if (t->dq)
            ls_unpack_transposed(t->dq + at * s->row + head * s->size, s->row, ls_panel_lanes(&all, panel), s->size,
                                 b.dq, scale, t->add);
        if (t->da)
            ls_unpack_transposed(t->da + (at * s->heads + head) * s->size, s->heads * s->size,
                                 ls_panel_lanes(&all, panel), s->size, b.da, scale, t->add_a);
    }
}

#endif
