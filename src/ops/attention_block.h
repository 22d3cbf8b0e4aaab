/* Attention in blocks that stay in cache; what src/ops/attention.c is made of.
 *
 * Queries lie on the lanes: a panel is LS_TILE_COLUMNS queries of one head, stored transposed, (D, queries). A block of keys
 * times a panel gives scores (keys, queries), so that maximum, exponential and sum run down the lanes with no operation across
 * them, and V^T times the weights gives the panel's result, again transposed. Keys and values need no transposition at all.
 *
 * Sources: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"; Dao 2023, "FlashAttention-2".
 */
#ifndef LS_OPS_ATTENTION_BLOCK_H
#define LS_OPS_ATTENTION_BLOCK_H

#include "ops/op_build.h"
#include "ops/tile.h"
#include "ops/vec_math.h"

/* Keys of a block: with D = 64 the block's keys, its values and a panel's scores take 16 KiB or less each, so that the two
 * that a product reads stay in the first-level cache. */
#define KEYS ((int64_t)64)

/* Queries, over all heads that share keys, for which a block of keys is packed once: some hundred KiB, the second-level cache. Long
 * sequences, whose keys come from further away, take twice as many. */
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
} Shape;

/* Where the keys and values of one stream and key head lie: key j at k + j * stride. Query t sees keys 0..offset + t. */
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

/* The three products, each one function: c = a b, c += a b, c += a^T b. */
static void product(int64_t rows, int64_t columns, int64_t inner, const acc *a, int64_t a_stride, const acc *b, int64_t b_stride, acc *c,
                    int64_t c_stride)
{
    ls_block_product(LS_TILE_PLAIN, false, rows, columns, inner, a, a_stride, b, b_stride, c, c_stride);
}
static void add_product(int64_t rows, int64_t columns, int64_t inner, const acc *a, int64_t a_stride, const acc *b, int64_t b_stride,
                        acc *c, int64_t c_stride)
{
    ls_block_product(LS_TILE_PLAIN, true, rows, columns, inner, a, a_stride, b, b_stride, c, c_stride);
}
static void add_product_transposed(int64_t rows, int64_t columns, int64_t inner, const acc *a, int64_t a_stride, const acc *b,
                                   int64_t b_stride, acc *c, int64_t c_stride)
{
    ls_block_product(LS_TILE_TRANSPOSED, true, rows, columns, inner, a, a_stride, b, b_stride, c, c_stride);
}

/* ---- Forward ------------------------------------------------------------------------------------------------------ */

/* What a panel carries from key block to key block. q: (D, columns), scaled; o: (D, columns); top, sum: (columns) */
typedef struct Panel {
    acc *q, *o, *top, *sum;
} Panel;

LS_INLINE int64_t ls_panel_size(const Shape *s) { return 2 * (s->padded + 1) * COLUMNS; }

LS_INLINE Panel ls_panel(const Shape *s, acc *panels, int64_t number)
{
    acc *q = panels + number * ls_panel_size(s), *o = q + s->padded * COLUMNS;
    return (Panel){q, o, o + s->padded * COLUMNS, o + (s->padded + 1) * COLUMNS};
}

/* acc of scratch that a task of forward needs. */
static int64_t forward_scratch(const Shape *s)
{
    return KEYS * (2 * s->padded + COLUMNS) + ls_task_panels(s) * ls_panel_size(s);
}

/* The online softmax of a block of keys, in place of its scores s: (keys, columns).
 *
 *     m' = max(m, max_j s_j)      p_j = exp(s_j - m')      l' = l exp(m - m') + sum_j p_j
 *
 * rescale: exp(m - m'). Returns whether any maximum moved. */
static bool online_softmax(const Panel *p, const Reach *r, acc *score, vacc rescale[LS_TILE_VECTORS])
{
    ls_hide(r, r->keys, score);
    vacc top[LS_TILE_VECTORS], sum[LS_TILE_VECTORS];
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        top[j] = ls_load_acc(p->top + j * LS_LANES);
        sum[j] = (vacc){0};
    }
    for (int64_t i = 0; i < r->keys; i++)
#pragma GCC unroll 2
        for (int j = 0; j < LS_TILE_VECTORS; j++)
            top[j] = ls_vmax(top[j], ls_load_acc(score + i * COLUMNS + j * LS_LANES));
    for (int64_t i = 0; i < r->keys; i++)
#pragma GCC unroll 2
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = score + i * COLUMNS + j * LS_LANES;
            vacc weight = ls_exp_small(ls_load_acc(at) - top[j]); /* 0 where not seen: every query has a top from the first key */
            ls_store_acc(at, weight);
            sum[j] += weight;
        }
    bool moved = false;
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        vacc old = ls_load_acc(p->top + j * LS_LANES);
        rescale[j] = ls_exp_small(old - top[j]);
        moved |= ls_hmax(top[j] - old) > 0;
        ls_store_acc(p->top + j * LS_LANES, top[j]);
        ls_store_acc(p->sum + j * LS_LANES, ls_load_acc(p->sum + j * LS_LANES) * rescale[j] + sum[j]);
    }
    return moved;
}

/* One block of keys for one panel: s = K q, online softmax, o' = o exp(m - m') + V^T p. */
static void forward_tile(const Shape *s, const Panel *p, const Reach *r, const acc *k, const acc *v, acc *score)
{
    product(LS_ROUND_UP(r->keys, LS_TILE_ROWS), COLUMNS, s->size, k, s->padded, p->q, COLUMNS, score, COLUMNS);
    vacc rescale[LS_TILE_VECTORS];
    bool moved = online_softmax(p, r, score, rescale);
    for (int64_t d = 0; moved && d < s->padded; d++)
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = p->o + d * COLUMNS + j * LS_LANES;
            ls_store_acc(at, ls_load_acc(at) * rescale[j]);
        }
    add_product_transposed(s->padded, COLUMNS, r->keys, v, s->padded, score, COLUMNS, p->o, COLUMNS);
}

/* Result o / l and log-sum-exp m + log l of a panel. */
static void forward_finish(const Shape *s, const Panel *p, int64_t lanes, real *out, acc *lse)
{
    acc inverse[COLUMNS], sums[COLUMNS];
    for (int64_t i = 0; i < COLUMNS; i += LS_LANES) {
        vacc sum = ls_load_acc(p->sum + i);
        ls_store_acc(inverse + i, (acc)1 / sum);
        ls_store_acc(sums + i, ls_load_acc(p->top + i) + ls_vlog(sum));
    }
    ls_unpack_transposed(out, s->heads * s->size, lanes, s->size, p->o, inverse, false);
    memcpy(lse, sums, (size_t)lanes * sizeof *lse);
}

/* All keys for queries first..end-1 of the heads of one group. q, out, lse: of the group's first head and query 0; lse rows
 * of T queries, head by head. */
static void forward_task(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q, real *out, acc *lse, acc *scratch)
{
    Queries all = ls_queries(first, end);
    acc *k = scratch, *v = k + KEYS * s->padded, *score = v + KEYS * s->padded, *panels = score + KEYS * COLUMNS;
    for (int64_t n = 0; n < s->group * all.per_head; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        Panel p = ls_panel(s, panels, n);
        ls_pack_transposed(p.q, q + at * s->row + head * s->size, s->row, ls_reach(&all, panel, 0, 0).lanes, s->size, s->scale);
        ls_zero(p.o, s->padded * COLUMNS);
        ls_zero(p.sum, COLUMNS);
        for (int64_t i = 0; i < COLUMNS; i++)
            p.top[i] = LOWEST;
    }
    for (int64_t key0 = 0; key0 < keys->offset + end; key0 += KEYS) {
        int64_t count = keys->offset + end - key0 < KEYS ? keys->offset + end - key0 : KEYS;
        ls_pack(k, LS_ROUND_UP(count, LS_TILE_ROWS), s->padded, keys->k + key0 * keys->stride, keys->stride, count, s->size);
        ls_pack(v, LS_ROUND_UP(count, LS_TILE_ROWS), s->padded, keys->v + key0 * keys->stride, keys->stride, count, s->size);
        for (int64_t n = 0; n < s->group * all.per_head; n++) {
            Panel p = ls_panel(s, panels, n);
            Reach r = ls_reach(&all, n % all.per_head, keys->offset, key0);
            if (r.keys > 0)
                forward_tile(s, &p, &r, k, v, score);
        }
    }
    for (int64_t n = 0; n < s->group * all.per_head; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        Panel p = ls_panel(s, panels, n);
        forward_finish(s, &p, ls_reach(&all, panel, 0, 0).lanes, out + (at * s->heads + head) * s->size, lse + head * s->queries + at);
    }
}

/* ---- Backward ----------------------------------------------------------------------------------------------------- */

/* What backward reads of a panel, and the gradient of its queries.
 * qt, dot, dqt: (D, columns), q scaled; q, d: (columns, D) plain; lse, delta: (columns) */
typedef struct BackPanel {
    acc *qt, *dot, *dqt, *q, *d, *lse, *delta;
} BackPanel;

LS_INLINE int64_t ls_back_panel_size(const Shape *s) { return (5 * s->padded + 2) * COLUMNS; }

LS_INLINE BackPanel ls_back_panel(const Shape *s, acc *panels, int64_t number)
{
    acc *at = panels + number * ls_back_panel_size(s);
    int64_t block = s->padded * COLUMNS;
    return (BackPanel){at, at + block, at + 2 * block, at + 3 * block, at + 4 * block, at + 5 * block, at + 5 * block + COLUMNS};
}

/* acc of scratch that a task of backward needs: sums dk, dv: (T, D) and the blocks. */
static int64_t backward_scratch(const Shape *s)
{
    return 2 * LS_ROUND_UP(s->queries, KEYS) * s->padded + KEYS * 2 * (s->padded + COLUMNS) + ls_task_panels(s) * ls_back_panel_size(s);
}

/* Packs a panel. delta_t = dO_t . O_t, what the softmax's gradient subtracts (Dao et al. 2022, equation 4). */
static void backward_pack(const Shape *s, const BackPanel *p, int64_t lanes, const real *q, const real *o, const real *d, const acc *lse)
{
    int64_t row = s->heads * s->size;
    ls_pack_transposed(p->qt, q, s->row, lanes, s->size, s->scale);
    ls_pack_transposed(p->dot, d, row, lanes, s->size, 1);
    ls_pack(p->q, lanes, s->padded, q, s->row, lanes, s->size);
    ls_pack(p->d, lanes, s->padded, d, row, lanes, s->size);
    ls_zero(p->dqt, s->padded * COLUMNS);
    for (int64_t i = 0; i < COLUMNS; i++) {
        vacc sum = {0};
        for (int64_t j = 0; i < lanes && j < s->size; j += LS_LANES) {
            const real *at = o + i * row + j;
            sum += ls_load_acc(p->d + i * s->padded + j) * (j + LS_LANES <= s->size ? ls_load(at) : ls_load_part(at, s->size - j));
        }
        p->delta[i] = ls_hsum(sum);
        p->lse[i] = i < lanes ? lse[i] : 0;
    }
}

/* In place of the scores K q in p and of dp in ds: p = exp(K q - lse), ds = p (dp - delta). p, ds: (rows, columns) */
static void weights_and_slopes(const BackPanel *b, const Reach *r, int64_t rows, acc *p, acc *ds)
{
    vacc lse[LS_TILE_VECTORS], delta[LS_TILE_VECTORS];
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        lse[j] = ls_load_acc(b->lse + j * LS_LANES);
        delta[j] = ls_load_acc(b->delta + j * LS_LANES);
    }
    ls_hide(r, rows, p);
    for (int64_t i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            int64_t at = i * COLUMNS + j * LS_LANES;
            vacc weight = ls_exp_small(ls_load_acc(p + at) - lse[j]);
            ls_store_acc(p + at, weight);
            ls_store_acc(ds + at, weight * (ls_load_acc(ds + at) - delta[j]));
        }
}

/* One block of keys and one panel:
 *
 *     p = exp(K q - lse)      dp = V dO      ds = p (dp - delta)
 *     dV += p dO^T            dK += ds q^T   dq += K^T ds
 *
 * p, ds: (keys, columns). The scale of dK and dq is applied where they are written out. */
static void backward_tile(const Shape *s, const BackPanel *b, const Reach *r, const acc *k, const acc *v, acc *dk, acc *dv, acc *p,
                          acc *ds)
{
    int64_t rows = LS_ROUND_UP(r->keys, LS_TILE_ROWS);
    product(rows, COLUMNS, s->size, k, s->padded, b->qt, COLUMNS, p, COLUMNS);
    product(rows, COLUMNS, s->size, v, s->padded, b->dot, COLUMNS, ds, COLUMNS);
    weights_and_slopes(b, r, rows, p, ds);
    add_product(rows, s->padded, r->lanes, p, COLUMNS, b->d, s->padded, dv, s->padded);
    add_product(rows, s->padded, r->lanes, ds, COLUMNS, b->q, s->padded, dk, s->padded);
    add_product_transposed(s->padded, COLUMNS, r->keys, k, s->padded, ds, COLUMNS, b->dqt, COLUMNS);
}

/* Queries first..end-1 of a group's heads against all their keys: adds to dk, dv: (T, padded D), and writes (or adds to) the
 * queries' gradient dq, which lies like q. */
static void backward_task(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q, const real *o, const real *d,
                          const acc *lse, real *dq, bool add, acc *dk, acc *dv, acc *scratch)
{
    Queries all = ls_queries(first, end);
    acc *k = scratch, *v = k + KEYS * s->padded, *p = v + KEYS * s->padded, *ds = p + KEYS * COLUMNS, *panels = ds + KEYS * COLUMNS;
    for (int64_t n = 0; n < s->group * all.per_head; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS, to = (at * s->heads + head) * s->size;
        BackPanel b = ls_back_panel(s, panels, n);
        backward_pack(s, &b, ls_reach(&all, panel, 0, 0).lanes, q + at * s->row + head * s->size, o + to, d + to,
                      lse + head * s->queries + at);
    }
    for (int64_t key0 = 0; key0 < end; key0 += KEYS) {
        int64_t count = end - key0 < KEYS ? end - key0 : KEYS;
        ls_pack(k, LS_ROUND_UP(count, LS_TILE_ROWS), s->padded, keys->k + key0 * keys->stride, keys->stride, count, s->size);
        ls_pack(v, LS_ROUND_UP(count, LS_TILE_ROWS), s->padded, keys->v + key0 * keys->stride, keys->stride, count, s->size);
        for (int64_t n = 0; n < s->group * all.per_head; n++) {
            BackPanel b = ls_back_panel(s, panels, n);
            Reach r = ls_reach(&all, n % all.per_head, 0, key0);
            if (r.keys > 0)
                backward_tile(s, &b, &r, k, v, dk + key0 * s->padded, dv + key0 * s->padded, p, ds);
        }
    }
    acc scale[COLUMNS];
    for (int64_t i = 0; i < COLUMNS; i++)
        scale[i] = s->scale;
    for (int64_t n = 0; n < s->group * all.per_head; n++) {
        int64_t head = n / all.per_head, panel = n % all.per_head, at = first + panel * COLUMNS;
        BackPanel b = ls_back_panel(s, panels, n);
        ls_unpack_transposed(dq + at * s->row + head * s->size, s->row, ls_reach(&all, panel, 0, 0).lanes, s->size, b.dqt, scale, add);
    }
}

#endif
