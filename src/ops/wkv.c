/* The weighted average of RWKV-4 (Peng et al. 2023, "RWKV: reinventing RNNs for the Transformer era", equations 16 to
 * 18), each channel by itself, with w = -exp(decay) and u = first:
 *
 *     y_t = (sum_{i<t} e^{w (t-1-i) + k_i} v_i + e^{u + k_t} v_t) / (sum_{i<t} e^{w (t-1-i) + k_i} + e^{u + k_t})
 *
 * The past is kept as its mean m and the logarithm s of its weight, which no exponent overflows:
 *
 *     g = sigmoid(u + k_t - s),  y_t = m + (v_t - m) g
 *     d = s + w,  f = sigmoid(k_t - d),  m' = m + (v_t - m) f,  s' = log(e^d + e^{k_t})
 *
 * Backward, with dm' and ds' of the state after the step:
 *
 *     p = dy (v - m) g (1 - g),  q = dm' (v - m) f (1 - f),  e = q - ds' f
 *     dk = p + q + ds' f,  dv = dy g + dm' f,  dm = dy (1 - g) + dm' (1 - f)
 *     dw = ds' - ds' f - q,  ds = dw - p,  du = p
 *
 * Channels and streams are computed at once, steps one after the other; out[1] keeps the state at the start of every
 * chunk of WKV_CHUNK steps, and backward recomputes inside. */
#include "ops/ranks_in_turn.h"
#include "ops/row_sums.h"
#include "ops/vec_math.h"

enum { K, V, DECAY, FIRST, STATE };

enum {
    WKV_CHUNK = 32,
    WKV_VECTORS = 4, /* vectors of channels that a piece of work has: enough chains of dependent sums at once */
    STATE_ROWS = 3   /* of a stream's state: m, s, and whether there is a past: 0 before the first step */
};

#define NO_PAST ((acc)-1e30) /* s where there is no past */

typedef struct Wkv {
    int64_t streams, steps, channels, chunks, tiles; /* tiles of WKV_VECTORS vectors */
    int64_t padded;
} Wkv;

static Wkv wkv_of(const LsNode *node)
{
    const LsTensor *k = node->in[K];
    Wkv s = {.streams = k->dim[0], .steps = k->dim[1], .channels = k->dim[2]};
    s.chunks = ls_ceil_div(s.steps, WKV_CHUNK);
    s.tiles = ls_ceil_div(s.channels, WKV_VECTORS * LS_LANES);
    s.padded = s.tiles * WKV_VECTORS * LS_LANES;
    return s;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *k = node->in[K], *v = node->in[V], *state = node->in[STATE];
    if (k->rank != 3 || k->dtype != LS_REAL || v->rank != 3 || v->dtype != LS_REAL ||
        memcmp(k->dim, v->dim, 3 * sizeof *k->dim) != 0)
        return ls_node_fail(node, "wkv: k %s and v %s must be (B, T, C)", ls_shape_text(k), ls_shape_text(v));
    for (int i = DECAY; i <= FIRST; i++)
        if (node->in[i]->rank != 1 || node->in[i]->dtype != LS_ACC || node->in[i]->dim[0] != k->dim[2])
            return ls_node_fail(node, "wkv: %s %s must be (C), precise, for k %s", i == DECAY ? "decay" : "first",
                                ls_shape_text(node->in[i]), ls_shape_text(k));
    if (state && (state->rank != 3 || state->dtype != LS_ACC || state->dim[0] != k->dim[0] ||
                  state->dim[1] != STATE_ROWS || state->dim[2] != k->dim[2]))
        return ls_node_fail(node, "wkv: state %s must be (B, %d, C) for k %s", ls_shape_text(state), STATE_ROWS,
                            ls_shape_text(k));
    Wkv s = wkv_of(node);
    node->scratch_backward = s.streams * 2 * s.padded * (int64_t)sizeof(acc);
    if (!ls_node_output(node, LS_REAL, 3, k->dim))
        return LS_RESOURCE;
    if (ls_graph_mode(node->graph) != LS_TRAIN)
        return LS_OK;
    return ls_node_output(node, LS_ACC, 4, (int64_t[]){s.streams, s.chunks, 2, s.padded}) ? LS_OK : LS_RESOURCE;
}

/* ---- One tile of channels ------------------------------------------------------------------------------------------ */

typedef struct Tile {
    int64_t stream, first, vectors; /* first channel; vectors that hold channels */
    vacc w[WKV_VECTORS], u[WKV_VECTORS], m[WKV_VECTORS], s[WKV_VECTORS];
} Tile;

static Tile tile_of(const LsNode *node, const Wkv *s, int64_t index)
{
    Tile t = {.stream = index / s->tiles, .first = index % s->tiles * WKV_VECTORS * LS_LANES};
    t.vectors = ls_least(WKV_VECTORS, ls_ceil_div(s->channels - t.first, LS_LANES));
    const acc *decay = node->in[DECAY]->data, *first = node->in[FIRST]->data;
    for (int64_t i = 0; i < t.vectors; i++) {
        int64_t at = t.first + i * LS_LANES, n = s->channels - at;
        t.w[i] = -ls_exp(ls_rows_load_acc(decay + at, n));
        t.u[i] = ls_rows_load_acc(first + at, n);
        t.m[i] = (vacc){0};
        t.s[i] = ls_splat(NO_PAST);
        if (!node->in[STATE])
            continue;
        const acc *state = (const acc *)node->in[STATE]->data + t.stream * STATE_ROWS * s->channels + at;
        vacc there = ls_rows_load_acc(state + 2 * s->channels, n);
        t.m[i] = ls_rows_load_acc(state, n);
        t.s[i] = ls_select(there != 0, ls_rows_load_acc(state + s->channels, n), ls_splat(NO_PAST));
    }
    return t;
}

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

static acc *border_of(const LsNode *node, const Wkv *s, int64_t stream, int64_t chunk, int64_t row)
{
    return (acc *)node->out[1]->data + ((stream * s->chunks + chunk) * 2 + row) * s->padded;
}

LS_INLINE void forward_steps(const LsNode *node, const Wkv *s, Tile *t, int64_t first, int64_t end, int64_t vectors)
{
    for (int64_t step = first; step < end; step++) {
        int64_t row = (t->stream * s->steps + step) * s->channels + t->first;
        const real *k = (const real *)node->in[K]->data + row, *v = (const real *)node->in[V]->data + row;
        real *y = (real *)node->out[0]->data + row;
#pragma GCC unroll 4
        for (int64_t i = 0; i < vectors; i++) {
            int64_t at = i * LS_LANES, n = s->channels - t->first - at;
            vacc key = ls_load_upto(k + at, n), value = ls_load_upto(v + at, n);
            ls_store_upto(y + at, t->m[i] + (value - t->m[i]) * gate(t->u[i] + key - t->s[i]), n);
            advance(t, i, key, value);
        }
    }
}

static void forward_tile(const LsNode *node, const Wkv *s, int64_t index)
{
    Tile t = tile_of(node, s, index);
    for (int64_t chunk = 0; chunk < s->chunks; chunk++) {
        int64_t first = chunk * WKV_CHUNK, end = ls_least(s->steps, first + WKV_CHUNK);
        for (int64_t i = 0; node->outputs > 1 && i < t.vectors; i++) {
            ls_store_acc(border_of(node, s, t.stream, chunk, 0) + t.first + i * LS_LANES, t.m[i]);
            ls_store_acc(border_of(node, s, t.stream, chunk, 1) + t.first + i * LS_LANES, t.s[i]);
        }
        if (t.vectors == WKV_VECTORS)
            forward_steps(node, s, &t, first, end, WKV_VECTORS);
        else
            forward_steps(node, s, &t, first, end, t.vectors);
    }
    for (int64_t i = 0; node->in[STATE] && i < t.vectors; i++) {
        int64_t at = t.first + i * LS_LANES, n = s->channels - at;
        acc *end = (acc *)node->in[STATE]->end->data + t.stream * STATE_ROWS * s->channels + at;
        ls_rows_store_acc(end, t.m[i], n);
        ls_rows_store_acc(end + s->channels, t.s[i], n);
        ls_rows_store_acc(end + 2 * s->channels, ls_splat(1), n);
    }
}

static LsStatus forward_all(const LsNode *node)
{
    Wkv s = wkv_of(node);
#pragma omp parallel for schedule(static) if (s.streams * s.steps * s.channels > 2048)
    for (int64_t i = 0; i < s.streams * s.tiles; i++)
        forward_tile(node, &s, i);
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    return ls_ranks_in_turn(node, run, node->in[STATE], false, forward_all);
}

/* The sums as they stand in the paper, after the largest exponent is taken out of them. */
static LsStatus reference_all(const LsNode *node)
{
    Wkv s = wkv_of(node);
    const acc *decay = node->in[DECAY]->data, *first = node->in[FIRST]->data;
    for (int64_t i = 0; i < s.streams * s.channels; i++) {
        int64_t b = i / s.channels, c = i % s.channels;
        acc *state = node->in[STATE] ? (acc *)node->in[STATE]->data + b * STATE_ROWS * s.channels + c : NULL;
        bool past = state && state[2 * s.channels] != 0;
        double w = -exp((double)decay[c]), u = (double)first[c], largest = past ? (double)state[s.channels] : -1e300;
        double over = past ? (double)state[0] : 0, under = past;
        for (int64_t t = 0; t < s.steps; t++) {
            int64_t at = (b * s.steps + t) * s.channels + c;
            double k = (double)ls_load1((const real *)node->in[K]->data + at),
                   v = (double)ls_load1((const real *)node->in[V]->data + at);
            double top = fmax(largest, u + k), old = exp(largest - top), now = exp(u + k - top);
            ls_store1((real *)node->out[0]->data + at, (acc)((old * over + now * v) / (old * under + now)));
            top = fmax(largest + w, k);
            old = exp(largest + w - top);
            now = exp(k - top);
            over = old * over + now * v;
            under = old * under + now;
            largest = top;
        }
        if (state) {
            acc *end = (acc *)node->in[STATE]->end->data + b * STATE_ROWS * s.channels + c;
            end[0] = (acc)(over / under);
            end[s.channels] = (acc)(largest + log(under));
            end[2 * s.channels] = 1;
        }
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    return ls_ranks_in_turn(node, run, node->in[STATE], false, reference_all);
}

/* ---- Backward ------------------------------------------------------------------------------------------------------ */

typedef struct Back {
    vacc m[WKV_CHUNK], s[WKV_CHUNK]; /* before each step of a chunk */
    vacc dm, ds, dw, du;
} Back;

/* One chunk of vector i of the tile, from its last step to its first. */
static void backward_chunk(const LsNode *node, const Wkv *s, Tile *t, Back *back, int64_t i, int64_t chunk)
{
    int64_t first = chunk * WKV_CHUNK, end = ls_least(s->steps, first + WKV_CHUNK), column = t->first + i * LS_LANES;
    int64_t n = s->channels - column, base = t->stream * s->steps * s->channels + column;
    const real *k = (const real *)node->in[K]->data + base, *v = (const real *)node->in[V]->data + base,
               *dy = (const real *)node->out[0]->grad + base;
    t->m[i] = ls_load_acc(border_of(node, s, t->stream, chunk, 0) + column);
    t->s[i] = ls_load_acc(border_of(node, s, t->stream, chunk, 1) + column);
    for (int64_t step = first; step < end; step++) {
        back->m[step - first] = t->m[i];
        back->s[step - first] = t->s[i];
        advance(t, i, ls_load_upto(k + step * s->channels, n), ls_load_upto(v + step * s->channels, n));
    }
    for (int64_t step = end - 1; step >= first; step--) {
        int64_t at = step * s->channels;
        vacc key = ls_load_upto(k + at, n), value = ls_load_upto(v + at, n), up = ls_load_upto(dy + at, n);
        vacc past = back->s[step - first], apart = value - back->m[step - first], f;
        vacc g = gate(t->u[i] + key - past);
        log_sum(past + t->w[i], key, &f);
        vacc p = up * apart * g * (1 - g), q = back->dm * apart * f * (1 - f), share = back->ds * f;
        vacc dw = back->ds - share - q;
        ls_rows_put(node, K, base + at, p + q + share, n);
        ls_rows_put(node, V, base + at, up * g + back->dm * f, n);
        back->dm = up * (1 - g) + back->dm * (1 - f);
        back->ds = dw - p;
        back->dw += dw;
        back->du += p;
    }
}

static void backward_tile(const LsNode *node, const Wkv *s, int64_t index)
{
    Tile t = tile_of(node, s, index);
    const LsTensor *state = node->in[STATE];
    bool carried = state && state->role == LS_ROLE_CARRY;
    acc *sums = (acc *)node->scratch + t.stream * 2 * s->padded;
    for (int64_t i = 0; i < t.vectors; i++) {
        int64_t column = t.first + i * LS_LANES, n = s->channels - column;
        int64_t place = t.stream * STATE_ROWS * s->channels + column;
        Back back = {.dm = {0}};
        if (carried) {
            back.dm = ls_rows_load_acc((const acc *)state->end->grad + place, n);
            back.ds = ls_rows_load_acc((const acc *)state->end->grad + place + s->channels, n);
        }
        for (int64_t chunk = s->chunks - 1; chunk >= 0; chunk--)
            backward_chunk(node, s, &t, &back, i, chunk);
        ls_store_acc(sums + column, back.dw * t.w[i]); /* dw/ddecay = w */
        ls_store_acc(sums + s->padded + column, back.du);
        if (!carried || !ls_wants(node, STATE))
            continue;
        /* without a past there is nothing that the start could change */
        vint there = ls_rows_load_acc((const acc *)state->data + place + 2 * s->channels, n) != 0;
        ls_rows_store_acc((acc *)state->grad + place, (vacc)((vint)back.dm & there), n);
        ls_rows_store_acc((acc *)state->grad + place + s->channels, (vacc)((vint)back.ds & there), n);
        ls_rows_store_acc((acc *)state->grad + place + 2 * s->channels, (vacc){0}, n);
    }
}

static LsStatus backward_all(const LsNode *node)
{
    Wkv s = wkv_of(node);
#pragma omp parallel for schedule(static) if (s.streams * s.steps * s.channels > 2048)
    for (int64_t i = 0; i < s.streams * s.tiles; i++)
        backward_tile(node, &s, i);
    for (int p = DECAY; p <= FIRST; p++) {
        acc *to = ls_wants(node, p) ? node->in[p]->grad : NULL;
        for (int64_t c = 0; to && c < s.channels; c++) {
            acc sum = 0;
            for (int64_t b = 0; b < s.streams; b++)
                sum += ((const acc *)node->scratch)[(b * 2 + p - DECAY) * s.padded + c];
            to[c] = ls_adds(node, p) ? to[c] + sum : sum;
        }
    }
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    return ls_ranks_in_turn(node, run, node->in[STATE], true, backward_all);
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){60 * count, 3 * count * sizeof(real)};
    *bwd = (LsCost){120 * count, 6 * count * sizeof(real)};
}

/* ls_wkv(g, k, v, decay, first, state): k, v: (B, T, C); decay, first: (C), parameters with LS_PRECISE; state:
 * (B, 3, C) of LS_ACC or NULL: mean and log weight of the past, and whether there is any (ls_state, ls_carry).
 * -> (B, T, C) */
LS_BUILDER LsTensor *ls_wkv(LsGraph *g, LsTensor *k, LsTensor *v, LsTensor *decay, LsTensor *first, LsTensor *state)
{
    return ls_node(g, "wkv", 5, (LsTensor *[]){k, v, decay, first, state}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t dim[3];
        double reach;
        bool carry;
    } table[] = {{{1, 1, 1}, 2, false}, {{2, 5, 19}, 3, false}, {{1, 70, 33}, 3, false},
                 {{2, 3, 70}, 6, true}, {{1, 40, 17}, 2, true}, {{2, 33, 5}, 60, false}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    const int64_t *dim = table[which].dim;
    double reach = table[which].reach;
    LsTensor *k = ls_case_input(g, "k", LS_REAL, -reach, reach, 3, dim);
    LsTensor *v = ls_case_input(g, "v", LS_REAL, -2, 2, 3, dim);
    LsTensor *decay = ls_case_param(g, "decay", LS_PRECISE, -4, 0.5, 1, &dim[2]);
    LsTensor *first = ls_case_param(g, "first", LS_PRECISE, -1, 1, 1, &dim[2]);
    ls_wkv(g, k, v, decay, first,
           table[which].carry ? ls_case_carry(g, "state", LS_ACC, 0.1, 2, 3, (int64_t[]){dim[0], STATE_ROWS, dim[2]})
                              : NULL);
    return true;
}

LS_OP(wkv) = {
    .name = "wkv",
    .formula = "y_t = mean of v_i, i <= t, weighted by e^(w (t-1-i) + k_i), of v_t by e^(u + k_t)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1 << K | 1 << V | 1 << DECAY | 1 << FIRST | 1 << STATE,
    .saves_out = 2,
    .param_in = 1 << DECAY | 1 << FIRST,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
    .tolerance = 256, /* of exponents: a weight e^60 is off by 60 2^-24 of itself */
};
