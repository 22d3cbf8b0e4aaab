/* Attention in blocks that stay in cache: the order of work, whatever multiplies the blocks; a part of
 * src/ops/attention.c.
 *
 * Queries lie on the lanes: a panel is LS_TILE_COLUMNS queries of one head, stored transposed, (D, queries). A block of
 * keys times a panel gives scores (keys, queries), so that maximum, exponential and sum run down the lanes with no
 * operation across them, and V^T times the weights gives the panel's result, again transposed.
 *
 * Scores are kept without the factor 1 / sqrt(D); with c = log2(e) / sqrt(D) a weight is 2^(c s - c m). The products
 * are those of attention_block.h, by vectors, or of attention_panel.h, by tiles.
 *
 * Sources: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"; Dao 2023, "FlashAttention-2".
 */
#ifndef LS_OPS_ATTENTION_TASK_H
#define LS_OPS_ATTENTION_TASK_H

#include "gemm/bf16.h"
#include "ops/op_build.h"
#include "ops/tile.h"
#include "ops/vec_math.h"

/* Keys of a block: with D = 64 the block's keys, its values and a panel's scores take 16 KiB or less each, so that the
 * two that a product reads stay in the first-level cache. */
#define KEYS ((int64_t)64)

/* Queries, over all heads that share keys, for which a block of keys is packed once: some hundred KiB, the second-level
 * cache. Long sequences, whose keys come from further away, take twice as many. */
#define QUERIES ((int64_t)256)
#define LONG_SEQUENCE 4096

#define COLUMNS LS_TILE_COLUMNS

/* Below any score, and its difference to any score is finite. */
#define LOWEST ((acc)-1e30)

typedef struct Shape {
    int64_t batch, queries, heads, kv_heads, size; /* B, T, H, Hkv, D */
    int64_t group;                                 /* H / Hkv: heads that share keys */
    int64_t padded;                                /* D as rows or columns of a tile */
    int64_t row;                                   /* elements of a token in qkv */
    acc scale;
    const LsPanelKernel *kernel; /* what multiplies tiles; NULL: vectors do */
} Shape;

/* Where the keys and values of one stream and key head lie: key j at k + j * stride. Query t sees keys 0..offset +
 * t. */
typedef struct Keys {
    const real *k, *v;
    int64_t stride, offset;
} Keys;

/* Panels of `group` heads and queries first..end-1, head by head. */
typedef struct Queries {
    int64_t first, end, per_head;
} Queries;

LS_INLINE Queries ls_queries(int64_t first, int64_t end)
{
    return (Queries){first, end, (end - first + COLUMNS - 1) / COLUMNS};
}

/* Most queries of one head in a task, and most panels of a task. */
LS_INLINE int64_t ls_task_queries(const Shape *s)
{
    int64_t queries = (s->queries < LONG_SEQUENCE ? QUERIES : 2 * QUERIES) / s->group;
    return LS_ROUND_UP(queries < 1 ? 1 : queries, COLUMNS);
}
LS_INLINE int64_t ls_task_panels(const Shape *s)
{
    int64_t queries = ls_task_queries(s);
    return s->group * ((queries < s->queries ? queries : LS_ROUND_UP(s->queries, COLUMNS)) / COLUMNS);
}

/* What part of a panel a block of keys concerns. Lane i sees key j of the block where j <= seen + i. */
typedef struct Reach {
    int64_t lanes; /* queries of the panel */
    int64_t keys;  /* keys of the block that at least one of them sees; none if <= 0 */
    int64_t seen;  /* the last key that the first query sees */
} Reach;

LS_INLINE Reach ls_reach(const Queries *q, int64_t panel, int64_t offset, int64_t key0)
{
    Reach r;
    int64_t first = q->first + panel * COLUMNS;
    r.lanes = q->end - first < COLUMNS ? q->end - first : COLUMNS;
    r.seen = offset + first - key0;
    r.keys = r.seen + r.lanes < KEYS ? r.seen + r.lanes : KEYS;
    return r;
}

/* Mask of the lanes of vector j of a panel that see key `key` of the block. */
LS_INLINE vint ls_sees(const Reach *r, int j, int64_t key)
{
    vint lane = {0};
    for (int64_t i = 0; i < LS_LANES; i++)
        lane[i] = (ls_int)(j * LS_LANES + i);
    return lane >= (ls_int)(key - r->seen) - (vint){0};
}

/* Scores of what a lane does not see become LOWEST; rows to `rows`. */
LS_INLINE void ls_hide(const Reach *r, int64_t rows, acc *score)
{
    for (int64_t i = r->seen < 0 ? 0 : r->seen + 1; i < rows; i++)
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = score + i * COLUMNS + j * LS_LANES;
            ls_store_acc(at, ls_select(ls_sees(r, j, i), ls_load_acc(at), ls_splat(LOWEST)));
        }
}

LS_INLINE void ls_zero(acc *x, int64_t count) { memset(x, 0, (size_t)count * sizeof *x); }

#define LOG2_E ((acc)1.44269504088896340736)
#define LN_2 ((acc)0.69314718055994530942)

/* acc of an operand in a way's own layout. */
typedef struct Sizes {
    int64_t rows;    /* D as rows of sums, (D, columns) */
    int64_t queries; /* a panel: (D, columns) for sums over D, or (columns, D) for sums over the queries */
    int64_t keys;    /* a block: (keys, D) for sums over D, or (D, keys) for sums over the keys */
    int64_t weights; /* (keys, columns) */
} Sizes;

/* Two rows of a panel: of keys i and i + 1, i even. */
typedef const vacc (*TwoRows)[LS_TILE_VECTORS];

/* A block of keys or values as it is multiplied. */
typedef struct Operand {
    const acc *at;
    int64_t stride; /* from row to row, where it has rows */
} Operand;

/* A way of multiplying blocks. */
typedef struct Products {
    int64_t unit; /* that the keys of a block are rounded up to; what is beyond them has no weight */
    /* operands are floats as they come: a block of keys serves sums over D and over the keys, and weights or slopes
     * take the place of the scores that they are made of */
    bool plain;
    Sizes (*sizes)(const Shape *s);
    void (*begin)(const Shape *s), (*end)(const Shape *s); /* around the products of a task */
    void (*pack_queries)(const Shape *s, acc *to, const real *x, int64_t stride, int64_t lanes);
    /* for sums over the queries */
    void (*pack_over)(const Shape *s, acc *to, const real *x, int64_t stride, int64_t lanes);
    Operand (*pack_keys)(const Shape *s, acc *to, const real *x, int64_t stride, int64_t count);
    /* for sums over the keys */
    Operand (*pack_turned)(const Shape *s, acc *to, const real *x, int64_t stride, int64_t count);
    void (*put_right)(acc *to, int64_t i, TwoRows x); /* of weights, for sums over the keys */
    void (*put_left)(acc *to, int64_t i, TwoRows x);  /* for sums over the queries */
    void (*put_both)(acc *left, acc *right, int64_t i, TwoRows x);
    /* (keys, columns) = */
    void (*against_keys)(const Shape *s, const Reach *r, Operand keys, const acc *queries, acc *score);
    /* (D, columns) += */
    void (*over_keys)(const Shape *s, const Reach *r, Operand turned, const acc *weights, acc *sum);
    /* (keys, D) += */
    void (*over_queries)(const Shape *s, const Reach *r, const acc *weights, const acc *over, acc *sums);
    /* (count, D) = or += */
    void (*write_sum)(const Shape *s, real *y, const acc *sums, int64_t count, acc scale, bool add);
} Products;

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* What a panel carries from key block to key block. q: operand; o: (D, columns); top: largest score so far, sum:
 * (columns) */
typedef struct Panel {
    acc *q, *o, *top, *sum;
} Panel;

LS_INLINE int64_t ls_panel_size(const Sizes *z) { return z->queries + (z->rows + 2) * COLUMNS; }

LS_INLINE Panel ls_panel(const Sizes *z, acc *panels, int64_t number)
{
    acc *q = panels + number * ls_panel_size(z), *o = q + z->queries;
    return (Panel){q, o, o + z->rows * COLUMNS, o + (z->rows + 1) * COLUMNS};
}

/* acc of scratch that a task of forward needs. */
LS_INLINE int64_t ls_forward_scratch(const Products *by, const Shape *s)
{
    Sizes z = by->sizes(s);
    return 2 * z.keys + KEYS * COLUMNS + z.weights + ls_task_panels(s) * ls_panel_size(&z);
}

/* The online softmax of a block of keys.
 *
 *     m' = max(m, max_j s_j)      p_j = 2^(c (s_j - m'))      l' = l 2^(c (m - m')) + sum_j p_j
 *
 * score: (keys, columns), of which `rows` become weights. rescale: 2^(c (m - m')). Returns whether any maximum
 * moved. */
LS_INLINE bool ls_online_softmax(const Products *by, acc c, const Panel *p, const Reach *r, int64_t rows, acc *score,
                                 acc *weights, vacc rescale[LS_TILE_VECTORS])
{
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
        from[j] = top[j] * c;
    for (int64_t i = 0; i < rows; i += 2) {
        vacc weight[2][LS_TILE_VECTORS];
#pragma GCC unroll 2
        for (int64_t k = 0; k < 2; k++)
#pragma GCC unroll 2
            /* 0 where not seen: every query has a top from the first key */
            for (int j = 0; j < LS_TILE_VECTORS; j++) {
                weight[k][j] = ls_decay(ls_load_acc(score + (i + k) * COLUMNS + j * LS_LANES) * c - from[j]);
                sum[j] += weight[k][j];
            }
        by->put_right(weights, i, weight);
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

/* One block of keys for one panel: s = K q, online softmax, o' = o 2^(c (m - m')) + V^T p. */
LS_INLINE void ls_forward_tile(const Products *by, const Shape *s, const Sizes *z, const Panel *p, const Reach *r,
                               Operand k, Operand v, acc *score, acc *weights)
{
    vacc rescale[LS_TILE_VECTORS];
    by->against_keys(s, r, k, p->q, score);
    bool moved =
        ls_online_softmax(by, s->scale * LOG2_E, p, r, LS_ROUND_UP(r->keys, by->unit), score, weights, rescale);
    for (int64_t d = 0; moved && d < z->rows; d++)
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = p->o + d * COLUMNS + j * LS_LANES;
            ls_store_acc(at, ls_load_acc(at) * rescale[j]);
        }
    by->over_keys(s, r, v, weights, p->o);
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
    ls_unpack_transposed(out, s->heads * s->size, lanes, s->size, p->o, inverse, false);
    memcpy(lse, sums, (size_t)lanes * sizeof *lse);
}

/* All keys for queries first..end-1 of the heads of one group. q, out, lse: of the group's first head and query 0; lse
 * rows of T queries, head by head. */
LS_INLINE void ls_forward_task(const Products *by, const Shape *s, const Keys *keys, int64_t first, int64_t end,
                               const real *q, real *out, acc *lse, acc *scratch)
{
    Queries all = ls_queries(first, end);
    Sizes z = by->sizes(s);
    int64_t count = s->group * all.per_head;
    acc *k = scratch, *v = k + z.keys, *score = v + z.keys, *panels = score + KEYS * COLUMNS + z.weights;
    acc *weights = by->plain ? score : score + KEYS * COLUMNS;
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        Panel p = ls_panel(&z, panels, n);
        by->pack_queries(s, p.q, q + at * s->row + head * s->size, s->row, ls_reach(&all, panel, 0, 0).lanes);
        ls_zero(p.o, z.rows * COLUMNS);
        ls_zero(p.sum, COLUMNS);
        for (int64_t i = 0; i < COLUMNS; i++)
            p.top[i] = LOWEST;
    }
    by->begin(s);
    for (int64_t key0 = 0; key0 < keys->offset + end; key0 += KEYS) {
        int64_t have = keys->offset + end - key0 < KEYS ? keys->offset + end - key0 : KEYS;
        Operand key = by->pack_keys(s, k, keys->k + key0 * keys->stride, keys->stride, have);
        Operand value = by->pack_turned(s, v, keys->v + key0 * keys->stride, keys->stride, have);
        for (int64_t n = 0; n < count; n++) {
            Panel p = ls_panel(&z, panels, n);
            Reach r = ls_reach(&all, n % all.per_head, keys->offset, key0);
            if (r.keys > 0)
                ls_forward_tile(by, s, &z, &p, &r, key, value, score, weights);
        }
    }
    by->end(s);
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        Panel p = ls_panel(&z, panels, n);
        forward_finish(s, &p, ls_reach(&all, panel, 0, 0).lanes, out + (at * s->heads + head) * s->size,
                       lse + head * s->queries + at);
    }
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* What backward reads of a panel, and the gradient of its queries. Queries and upstream gradients as operands of sums
 * over D (q, d) and over the queries (over_q, over_d); dq: (D, columns); lse (times log2 e), delta: (columns) */
typedef struct BackPanel {
    acc *q, *d, *over_q, *over_d, *dq, *lse, *delta;
} BackPanel;

LS_INLINE int64_t ls_back_panel_size(const Sizes *z) { return 4 * z->queries + (z->rows + 2) * COLUMNS; }

LS_INLINE BackPanel ls_back_panel(const Sizes *z, acc *panels, int64_t number)
{
    acc *at = panels + number * ls_back_panel_size(z), *dq = at + 4 * z->queries, *lse = dq + z->rows * COLUMNS;
    return (BackPanel){at, at + z->queries, at + 2 * z->queries, at + 3 * z->queries, dq, lse, lse + COLUMNS};
}

/* acc of scratch that a task of backward needs: sums dk, dv: (T, D) and the blocks. */
LS_INLINE int64_t ls_backward_scratch(const Products *by, const Shape *s)
{
    Sizes z = by->sizes(s);
    return 2 * LS_ROUND_UP(s->queries, KEYS) * z.rows + 3 * z.keys + 2 * KEYS * COLUMNS + 3 * z.weights +
           ls_task_panels(s) * ls_back_panel_size(&z);
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

LS_INLINE void ls_backward_pack(const Products *by, const Shape *s, const Sizes *z, const BackPanel *p, int64_t lanes,
                                const real *q, const real *o, const real *d, const acc *lse)
{
    int64_t row = s->heads * s->size;
    by->pack_queries(s, p->q, q, s->row, lanes);
    by->pack_queries(s, p->d, d, row, lanes);
    by->pack_over(s, p->over_q, q, s->row, lanes);
    by->pack_over(s, p->over_d, d, row, lanes);
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
LS_INLINE void ls_slopes(const Products *by, acc c, const BackPanel *b, const Reach *r, int64_t rows, const Slopes *to)
{
    vacc lse[LS_TILE_VECTORS], delta[LS_TILE_VECTORS];
    ls_hide(r, rows, to->score);
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
        by->put_left(to->p, i, weight);
        by->put_both(to->ds, to->ds_right, i, slope);
    }
}

/* One block of keys and one panel:
 *
 *     p = exp(K q / sqrt(D) - lse)      dp = V dO      ds = p (dp - delta)
 *     dV += p dO^T                      dK += ds q^T   dq += K^T ds
 *
 * The scale of dK and dq is applied where they are written out. */
LS_INLINE void ls_backward_tile(const Products *by, const Shape *s, const BackPanel *b, const Reach *r, Operand k,
                                Operand v, Operand turned, acc *dk, acc *dv, const Slopes *to)
{
    by->against_keys(s, r, k, b->q, to->score);
    by->against_keys(s, r, v, b->d, to->slope);
    ls_slopes(by, s->scale * LOG2_E, b, r, LS_ROUND_UP(r->keys, by->unit), to);
    by->over_queries(s, r, to->p, b->over_d, dv);
    by->over_queries(s, r, to->ds, b->over_q, dk);
    by->over_keys(s, r, turned, to->ds_right, b->dq);
}

/* Queries first..end-1 of a group's heads against all their keys: adds to dk, dv: (T, D), and writes (or adds to) the
 * queries' gradient dq, which lies like q. */
LS_INLINE void ls_backward_task(const Products *by, const Shape *s, const Keys *keys, int64_t first, int64_t end,
                                const real *q, const real *o, const real *d, const acc *lse, real *dq, bool add,
                                acc *dk, acc *dv, acc *scratch)
{
    Queries all = ls_queries(first, end);
    Sizes z = by->sizes(s);
    int64_t count = s->group * all.per_head;
    acc *k = scratch, *v = k + z.keys, *turned = v + z.keys, *score = turned + z.keys, *slope = score + KEYS * COLUMNS;
    acc *p = slope + KEYS * COLUMNS, *panels = p + 3 * z.weights;
    Slopes to = by->plain ? (Slopes){score, slope, score, slope, slope}
                          : (Slopes){score, slope, p, p + z.weights, p + 2 * z.weights};
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS,
                from = (at * s->heads + head) * s->size;
        BackPanel b = ls_back_panel(&z, panels, n);
        ls_backward_pack(by, s, &z, &b, ls_reach(&all, panel, 0, 0).lanes, q + at * s->row + head * s->size, o + from,
                         d + from, lse + head * s->queries + at);
    }
    by->begin(s);
    for (int64_t key0 = 0; key0 < end; key0 += KEYS) {
        int64_t have = end - key0 < KEYS ? end - key0 : KEYS, at = key0 * z.rows;
        Operand key = by->pack_keys(s, k, keys->k + key0 * keys->stride, keys->stride, have);
        Operand value = by->pack_keys(s, v, keys->v + key0 * keys->stride, keys->stride, have), over = key;
        if (!by->plain)
            over = by->pack_turned(s, turned, keys->k + key0 * keys->stride, keys->stride, have);
        for (int64_t n = 0; n < count; n++) {
            BackPanel b = ls_back_panel(&z, panels, n);
            Reach r = ls_reach(&all, n % all.per_head, 0, key0);
            if (r.keys > 0)
                ls_backward_tile(by, s, &b, &r, key, value, over, dk + at, dv + at, &to);
        }
    }
    by->end(s);
    acc scale[COLUMNS];
    for (int64_t i = 0; i < COLUMNS; i++)
        scale[i] = s->scale;
    for (int64_t n = 0; n < count; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        BackPanel b = ls_back_panel(&z, panels, n);
        ls_unpack_transposed(dq + at * s->row + head * s->size, s->row, ls_reach(&all, panel, 0, 0).lanes, s->size,
                             b.dq, scale, add);
    }
}

#endif
