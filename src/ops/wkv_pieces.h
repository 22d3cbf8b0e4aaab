/* The pieces of wkv's work, their contents, and one step of the recurrence. */
#ifndef LS_OPS_WKV_PIECES_H
#define LS_OPS_WKV_PIECES_H

#include "ops/op_build.h"
#include "ops/row_sums.h"
#include "ops/vec_math.h"

enum { K, V, DECAY, FIRST, STATE };

enum {
    WKV_CHUNK = 32,
    WKV_VECTORS = 4, /* vectors of channels that a piece of work has: enough chains of dependent sums at once */
    STATE_ROWS = 3,  /* of a stream's state: m, s, and whether there is a past: 0 before the first step */
    FEW_PIECES = 8,  /* where streams x tiles are not as many, time is cut into parts */
    WANTED_PIECES = 16,
    LEAST_PART_CHUNKS = 8
};

/* Rows of a part's scratch. Forward: its end without a past, then what it starts from. Backward: what its own results
 * make of a carry of zero, then the carry that it takes at its end; 1 - f and m' - m of the whole part; gradients. */
enum { PART_M, PART_S, FORWARD_ROWS, PART_KEPT = FORWARD_ROWS, PART_APART, PART_DECAY, PART_FIRST, BACKWARD_ROWS };

#define NO_PAST ((acc)-1e30) /* s where there is no past */

typedef struct Wkv {
    int64_t streams, steps, channels, chunks, tiles; /* tiles of WKV_VECTORS vectors */
    int64_t padded;
    int64_t parts, part_chunks; /* of the time */
} Wkv;

static inline Wkv wkv_of(const LsNode *node)
{
    const LsTensor *k = node->in[K];
    Wkv s = {.streams = k->dim[0], .steps = k->dim[1], .channels = k->dim[2]};
    s.chunks = ls_ceil_div(s.steps, WKV_CHUNK);
    s.tiles = ls_ceil_div(s.channels, WKV_VECTORS * LS_LANES);
    s.padded = s.tiles * WKV_VECTORS * LS_LANES;
    int64_t pieces = s.streams * s.tiles, parts = pieces >= FEW_PIECES ? 1 : ls_ceil_div(WANTED_PIECES, pieces);
    parts = ls_least(parts, s.chunks / LEAST_PART_CHUNKS);
    s.part_chunks = ls_ceil_div(s.chunks, parts < 1 ? 1 : parts);
    s.parts = ls_ceil_div(s.chunks, s.part_chunks);
    return s;
}

/* ---- Pieces of the work ------------------------------------------------------------------------------------------ */

/* One tile of channels of a stream over one part of the time. */
typedef struct Tile {
    int64_t stream, first, vectors; /* first channel; vectors that hold channels */
    int64_t part, first_chunk, end_chunk;
    vacc w[WKV_VECTORS], u[WKV_VECTORS], m[WKV_VECTORS], s[WKV_VECTORS];
} Tile;

static inline int64_t pieces_of(const Wkv *s) { return s->streams * s->tiles * s->parts; }

static inline bool worth_threads(const Wkv *s) { return s->streams * s->steps * s->channels > 2048; }

/* Without a past. */
static inline Tile tile_of(const LsNode *node, const Wkv *s, int64_t index)
{
    Tile t = {.stream = index / s->tiles / s->parts, .part = index / s->tiles % s->parts};
    t.first = index % s->tiles * WKV_VECTORS * LS_LANES;
    t.vectors = ls_least(WKV_VECTORS, ls_ceil_div(s->channels - t.first, LS_LANES));
    t.first_chunk = t.part * s->part_chunks;
    t.end_chunk = ls_least(s->chunks, t.first_chunk + s->part_chunks);
    const acc *decay = node->in[DECAY]->data, *first = node->in[FIRST]->data;
    for (int64_t i = 0; i < t.vectors; i++) {
        int64_t at = t.first + i * LS_LANES, n = s->channels - at;
        t.w[i] = -ls_exp(ls_rows_load_acc(decay + at, n));
        t.u[i] = ls_rows_load_acc(first + at, n);
        t.m[i] = (vacc){0};
        t.s[i] = ls_splat(NO_PAST);
    }
    return t;
}

static inline int64_t steps_of(const Wkv *s, const Tile *t)
{
    return ls_least(s->steps, t->end_chunk * WKV_CHUNK) - t->first_chunk * WKV_CHUNK;
}

/* Vector i of a row of the part's scratch, of which each part has `rows`. */
static inline acc *part_row(const LsNode *node, const Wkv *s, const Tile *t, int64_t rows, int64_t row, int64_t i)
{
    int64_t part = t->stream * s->parts + t->part;
    return (acc *)node->scratch + (part * rows + row) * s->padded + t->first + i * LS_LANES;
}

/* The rows of a stream's state, (3, C), at vector i. */
static inline acc *state_row(const Wkv *s, const Tile *t, const void *state, int64_t row, int64_t i)
{
    return (acc *)state + (t->stream * STATE_ROWS + row) * s->channels + t->first + i * LS_LANES;
}

/* The state that the sequence goes on from. */
static inline void load_state(const LsNode *node, const Wkv *s, Tile *t)
{
    const LsTensor *state = node->in[STATE];
    for (int64_t i = 0; state && i < t->vectors; i++) {
        int64_t n = s->channels - t->first - i * LS_LANES;
        vint there = ls_rows_load_acc(state_row(s, t, state->data, 2, i), n) != 0;
        t->m[i] = ls_rows_load_acc(state_row(s, t, state->data, 0, i), n);
        t->s[i] = ls_select(there, ls_rows_load_acc(state_row(s, t, state->data, 1, i), n), ls_splat(NO_PAST));
    }
}

static inline void store_state(const LsNode *node, const Wkv *s, const Tile *t)
{
    const LsTensor *state = node->in[STATE];
    for (int64_t i = 0; state && i < t->vectors; i++) {
        int64_t n = s->channels - t->first - i * LS_LANES;
        ls_rows_store_acc(state_row(s, t, state->end->data, 0, i), t->m[i], n);
        ls_rows_store_acc(state_row(s, t, state->end->data, 1, i), t->s[i], n);
        ls_rows_store_acc(state_row(s, t, state->end->data, 2, i), ls_splat(1), n);
    }
}

static inline bool carries_over(const LsNode *node)
{
    return node->in[STATE] && node->in[STATE]->role == LS_ROLE_CARRY;
}

static inline bool over_ranks(const LsNode *node, const LsRun *run) { return carries_over(node) && ls_over_ranks(run); }

static inline acc *border_of(const LsNode *node, const Wkv *s, int64_t stream, int64_t chunk, int64_t row)
{
    return (acc *)node->out[1]->data + ((stream * s->chunks + chunk) * 2 + row) * s->padded;
}

/* ---- One step ---------------------------------------------------------------------------------------------------- */

/* log(e^a + e^b), and in *f sigmoid(b - a), of one exponential. */
LS_INLINE vacc log_sum(vacc a, vacc b, vacc *f)
{
    vacc far = b - a, e = ls_exp_small(-ls_abs(far)), small = e * ls_reciprocal(1 + e);
    *f = ls_select(far >= 0, 1 - small, small);
    return ls_vmax(a, b) + ls_log1p_unit(e);
}

LS_INLINE vacc gate(vacc x)
{
    vacc e = ls_exp_small(-ls_abs(x)), r = ls_reciprocal(1 + e);
    return ls_select(x >= 0, r, e * r);
}

/* The state after a step with k and v. */
LS_INLINE void advance(Tile *t, int64_t i, vacc k, vacc v)
{
    vacc f, s = log_sum(t->s[i] + t->w[i], k, &f);
    t->m[i] += (v - t->m[i]) * f;
    t->s[i] = s;
}

#endif
