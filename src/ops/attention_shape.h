/* Attention in blocks that stay in cache: its shapes, its mask, and the products of blocks that a backend gives; a part
 * of src/ops/attention.c.
 *
 * Queries lie on the lanes: a panel is LS_TILE_COLUMNS queries of one head, stored transposed, (D, queries). A block of
 * keys times a panel gives scores (keys, queries), so that maximum, exponential and sum run down the lanes with no
 * operation across them, and V^T times the weights gives the panel's result, again transposed.
 *
 * Scores are kept without the factor 1 / sqrt(D); with c = log2(e) / sqrt(D) a weight is 2^(c s - c m).
 *
 * Sources: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"; Dao 2023, "FlashAttention-2".
 */
#ifndef LS_OPS_ATTENTION_SHAPE_H
#define LS_OPS_ATTENTION_SHAPE_H

#include "lockstep/window.h"
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

#define LOG2_E ((acc)1.44269504088896340736)
#define LN_2 ((acc)0.69314718055994530942)

/* A table of relative positions: row n is for queries that are first + n positions after their key; those beyond it are
 * as the nearest. */
typedef struct Relative {
    const real *rows;     /* of head 0 */
    int64_t count, first; /* count 0: there is none */
    int64_t row, head;    /* elements from row to row, and from head to head; 0: all heads share it */
    bool values;          /* it is added to values too */
    bool own_queries;     /* its queries are not those of the keys */
} Relative;

typedef struct Shape {
    int64_t batch, queries, keys;  /* B, Tq, Tk: rows of keys of a stream, all of a cache */
    int64_t heads, kv_heads, size; /* H, Hkv, D */
    int64_t group;                 /* H / Hkv: heads that share keys */
    int64_t padded;                /* D as rows or columns of a tile */
    int64_t row, kv_row, out_row;  /* elements from token to token of queries, of keys and values, of results */
    int64_t lse_row;               /* log-sum-exps of a head */
    int64_t window;                /* keys that a query sees at most, the newest of those up to `ahead` past it */
    int64_t ahead;                 /* keys after its own that a query sees; -1: as far as the mask lets it */
    int64_t dilation, dilated;     /* of the last `dilated` key heads: 1 and 0 where there are none (strands) */
    int64_t globals;               /* keys of a stream that all queries see, at most */
    bool causal, alibi;
    Relative relative;
    acc scale;
    const int32_t *start;        /* (B, Tq): the first token of each token's document; NULL: a stream is one document */
    const LsPanelKernel *kernel; /* multiplies tiles; NULL: vectors do */
} Shape;

/* The keys and values of one stream and key head: key j at k + j * stride. Query t sees the keys j < count with
 * offset + t - window < j <= offset + t: without a causal mask offset = count, or the keys that it sees ahead. With
 * documents it sees keys j >= start[t] alone; start never falls. */
typedef struct Keys {
    const real *k, *v;
    int64_t stride, count, offset;
    const int32_t *start; /* (Tq); NULL: there are no documents */
} Keys;

/* Keys of one stream and key head that all queries see, but where their window has them already: number i, gathered
 * at k + i * stride, is that of token at[i]; query t of the task is token start + t * dilation. */
typedef struct GlobalKeys {
    const real *k, *v;
    int64_t stride, count;
    const int32_t *at;
    int64_t start, dilation, reach; /* reach: tokens of the strand to each side that the window has */
} GlobalKeys;

/* Keys that at least one of the queries before `end` sees. */
LS_INLINE int64_t ls_visible_keys(const Keys *keys, int64_t end)
{
    return keys->offset + end < keys->count ? keys->offset + end : keys->count;
}

/* The first key that query `first` sees, and that with the keys of its block before it. */
LS_INLINE int64_t ls_oldest_key(const Shape *s, const Keys *keys, int64_t first)
{
    int64_t oldest = keys->offset + first - s->window + 1, start = keys->start ? keys->start[first] : 0;
    return oldest > start ? oldest : start;
}
LS_INLINE int64_t ls_first_block(const Shape *s, const Keys *keys, int64_t first)
{
    return ls_oldest_key(s, keys, first) / KEYS * KEYS;
}

/* Panels of `group` heads and queries first..end-1, head by head. */
typedef struct Queries {
    int64_t first, end, per_head;
} Queries;

LS_INLINE Queries ls_queries(int64_t first, int64_t end)
{
    return (Queries){first, end, (end - first + COLUMNS - 1) / COLUMNS};
}

LS_INLINE int64_t ls_panel_lanes(const Queries *q, int64_t panel)
{
    int64_t left = q->end - q->first - panel * COLUMNS;
    return left < COLUMNS ? left : COLUMNS;
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

/* ---- Mask -------------------------------------------------------------------------------------------------------- */

/* The part of a block of keys that a panel sees. Lane i sees key j of the block where j < keys and past + i < j <= seen
 * + i. */
typedef struct Visible {
    int64_t lanes; /* queries of the panel */
    int64_t keys;  /* keys of the block that at least one of them sees; none if <= 0 */
    int64_t seen;  /* the last key that the first query sees, were there no end of the keys */
    int64_t past;  /* the last key that is too old for it */
    int64_t ahead; /* positions of the first query after the first key of the block */
    const GlobalKeys
        *global;          /* of a block of these, all of which are seen but for each lane's window; NULL: it is none */
    int64_t key0, query0; /* with it: the block's first, and the query of lane 0 */
    /* (lanes) the first token of each query's document, where some of the block's keys, from key0 on, are of another;
     * NULL: none are */
    const int32_t *start;
} Visible;

/* Of documents: hides the block from a panel that begins behind it. */
LS_INLINE void ls_visible_documents(Visible *r, const int32_t *start, int64_t key0)
{
    if (start[0] >= key0 + KEYS)
        r->keys = 0;
    r->start = start[r->lanes - 1] > key0 ? start : NULL;
    r->key0 = key0;
}

LS_INLINE Visible ls_visible(const Shape *s, const Queries *q, int64_t panel, const Keys *keys, int64_t key0)
{
    Visible r = {.lanes = ls_panel_lanes(q, panel)};
    r.seen = keys->offset + q->first + panel * COLUMNS - key0;
    r.past = r.seen - s->window;
    r.ahead = s->causal ? r.seen : q->first + panel * COLUMNS - key0;
    int64_t end = ls_visible_keys(keys, q->first + panel * COLUMNS + r.lanes) - key0;
    r.keys = r.past + 1 >= KEYS ? 0 : end < KEYS ? end : KEYS;
    if (keys->start)
        ls_visible_documents(&r, keys->start + q->first + panel * COLUMNS, key0);
    return r;
}

/* The same of a block of keys that all see. */
LS_INLINE Visible ls_visible_global(const Queries *q, int64_t panel, const GlobalKeys *global, int64_t key0)
{
    int64_t left = global->count - key0;
    return (Visible){.lanes = ls_panel_lanes(q, panel),
                     .keys = left < KEYS ? left : KEYS,
                     .seen = KEYS,
                     .past = -COLUMNS,
                     .global = global,
                     .key0 = key0,
                     .query0 = q->first + panel * COLUMNS};
}

/* The numbers of the lanes of vector j of a panel. */
LS_INLINE vint ls_lanes_of(int j)
{
    vint lane = {0};
    for (int64_t i = 0; i < LS_LANES; i++)
        lane[i] = (ls_int)(j * LS_LANES + i);
    return lane;
}

/* Mask of the lanes of vector j of a panel that see key `key` of the block, one before its end. */
LS_INLINE vint ls_sees(const Visible *r, int j, int64_t key)
{
    return ls_lanes_of(j) >= (ls_int)(key - r->seen) - (vint){0};
}

/* Scores of keys that all see become LOWEST in the lanes whose window has them. */
LS_INLINE void ls_mask_near(const Visible *r, acc *score)
{
    const GlobalKeys *global = r->global;
    for (int64_t i = 0; global && i < r->keys; i++) {
        int64_t away = global->at[r->key0 + i] - global->start, lane = away / global->dilation - r->query0;
        int64_t first = lane - global->reach, last = lane + global->reach;
        if (away % global->dilation || last < 0 || first >= r->lanes)
            continue;
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = score + i * COLUMNS + j * LS_LANES;
            vint near = (ls_lanes_of(j) >= (ls_int)first - (vint){0}) & (ls_lanes_of(j) <= (ls_int)last - (vint){0});
            ls_store_acc(at, ls_select(near, ls_splat(LOWEST), ls_load_acc(at)));
        }
    }
}

/* Scores of keys before a lane's document become LOWEST. */
static void mask_documents(const Visible *r, acc *score)
{
    int64_t last = r->start[r->lanes - 1] - r->key0, end = last < r->keys ? last : r->keys;
    for (int j = 0; j < LS_TILE_VECTORS; j++) {
        vint start = {0};
        for (int64_t i = 0; i < LS_LANES; i++) {
            int64_t lane = j * LS_LANES + i;
            start[i] = (ls_int)(r->start[lane < r->lanes ? lane : r->lanes - 1] - r->key0);
        }
        for (int64_t i = 0; i < end; i++) {
            acc *at = score + i * COLUMNS + j * LS_LANES;
            ls_store_acc(at, ls_select(start <= (ls_int)i - (vint){0}, ls_load_acc(at), ls_splat(LOWEST)));
        }
    }
}

/* Scores that a lane does not see become LOWEST, in rows 0..rows-1. */
LS_INLINE void ls_mask_scores(const Visible *r, int64_t rows, acc *score)
{
    ls_mask_near(r, score);
    if (r->start)
        mask_documents(r, score);
    for (int64_t i = 0; i < r->keys && i < r->past + COLUMNS; i++)
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = score + i * COLUMNS + j * LS_LANES;
            vint young = ls_lanes_of(j) < (ls_int)(i - r->past) - (vint){0};
            ls_store_acc(at, ls_select(young, ls_load_acc(at), ls_splat(LOWEST)));
        }
    for (int64_t i = r->seen < 0 ? 0 : r->seen + 1; i < r->keys; i++)
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = score + i * COLUMNS + j * LS_LANES;
            ls_store_acc(at, ls_select(ls_sees(r, j, i), ls_load_acc(at), ls_splat(LOWEST)));
        }
    for (int64_t i = r->keys; i < rows; i++)
        for (int j = 0; j < LS_TILE_VECTORS; j++)
            ls_store_acc(score + i * COLUMNS + j * LS_LANES, ls_splat(LOWEST));
}

/* ALiBi's slope of a head (Press et al. 2022): 2^(-8/H), 2^(-16/H), ... where H is a power of two; else those of the
 * next smaller one, and every second of those of the next larger. */
LS_INLINE double ls_alibi_slope(const Shape *s, int64_t head)
{
    int64_t power = 1;
    while (2 * power <= s->heads)
        power *= 2;
    return head < power ? exp2(-8.0 * (double)(head + 1) / (double)power)
                        : exp2(-4.0 * (double)(2 * (head - power) + 1) / (double)power);
}

/* score: (keys, columns) -= slope |t - j|, in scores that still lack the scale. */
LS_INLINE void ls_add_distances(const Shape *s, int64_t head, const Visible *r, acc *score)
{
    if (!s->alibi)
        return;
    acc slope = (acc)(ls_alibi_slope(s, head) / (double)s->scale);
    vacc first[LS_TILE_VECTORS]; /* how far the block's first key stands after each lane's query */
    for (int j = 0; j < LS_TILE_VECTORS; j++)
        for (int64_t lane = 0; lane < LS_LANES; lane++)
            first[j][lane] = (acc)(-r->ahead - j * LS_LANES - lane);
    for (int64_t i = 0; i < r->keys; i++)
        for (int j = 0; j < LS_TILE_VECTORS; j++) {
            acc *at = score + i * COLUMNS + j * LS_LANES;
            vacc after = first[j] + (acc)i;
            ls_store_acc(at, ls_load_acc(at) + ls_vmin(after, -after) * slope);
        }
}

/* ---- Products of blocks ------------------------------------------------------------------------------------------ */

LS_INLINE void ls_zero(acc *x, int64_t count) { memset(x, 0, (size_t)count * sizeof *x); }

/* acc of an operand in a backend's own layout. */
typedef struct Sizes {
    int64_t rows;     /* D as rows of sums, (D, columns) */
    int64_t queries;  /* a panel: (D, columns) for sums over D, or (columns, D) for sums over the queries */
    int64_t keys;     /* a block: (keys, D) for sums over D, or (D, keys) for sums over the keys */
    int64_t weights;  /* (keys, columns) */
    int64_t relative; /* the panel's queries of relative positions, where these are others; else 0 */
} Sizes;

/* Two rows of a panel: of keys i and i + 1, i even. */
typedef const vacc (*TwoRows)[LS_TILE_VECTORS];

/* Keys or values of a block, or a panel, as they are multiplied. */
typedef struct Operand {
    const acc *at;
    int64_t stride; /* from row to row, where it has rows */
} Operand;

/* An operand's product and side: rows of tokens, (tokens, D), become it. */
typedef enum Role {
    QK_KEYS,    /* on the left of sums over D: keys, and values in dp = V dO */
    QK_QUERIES, /* on the right of these: queries, and upstream gradients */
    PV_KEYS,    /* on the left of sums over the keys: values, and keys in dq = K^T ds */
    PT_QUERIES  /* on the right of sums over the queries: upstream gradients, and queries */
} Role;

/* The products of blocks, by one kind of instructions: attention_block.h has vectors, attention_panel.h tiles. */
typedef struct BlockOps {
    int64_t unit; /* that the keys of a block are rounded up to; keys beyond the last have no weight */
    /* operands are floats as they come: a block of keys serves sums over D and over the keys, and weights or slopes
     * take the place of the scores that they are made of */
    bool plain;
    Sizes (*sizes)(const Shape *s);
    void (*begin)(const Shape *s), (*end)(const Shape *s); /* around the products of a task */
    Operand (*pack)(const Shape *s, Role role, acc *to, const real *x, int64_t stride, int64_t count);
    /* weights, or slopes, into the operand of sums over the queries (lhs) and that of sums over the keys (rhs); one of
     * them may be NULL */
    void (*store_rows)(acc *lhs, acc *rhs, int64_t i, TwoRows x);
    /* score: (keys, columns) = K q */
    void (*mul_qk)(const Shape *s, const Visible *r, Operand keys, const acc *queries, acc *score);
    /* sum: (D, columns) += V^T p */
    void (*mul_pv)(const Shape *s, const Visible *r, Operand values, const acc *weights, acc *sum);
    /* sums: (keys, D) += p q^T */
    void (*mul_pt)(const Shape *s, const Visible *r, const acc *weights, const acc *queries, acc *sums);
    /* y: (count, D), rows `stride` apart, = or += scale times sums that mul_pt made, from row `first` of these on */
    void (*write_sum)(const Shape *s, real *y, int64_t stride, const acc *sums, int64_t first, int64_t count, acc scale,
                      bool add);
} BlockOps;

#endif
