/* The selective scan's kernels on a block: some channels of one stream, one chunk of time.
 *
 * A block is staged: what does not depend on the state is computed row by row into vectors ordered by time, then the
 * recurrences run on those, then the results leave row by row. Lanes are channels, so sums over the states need no sums
 * of lanes; states are taken a few at a time with their h in registers, and time runs inside. In backward a and h of
 * those few states are kept for the chunk in the first cache level. Meanwhile the next block's rows, which lie too far
 * apart for the hardware to foresee, are fetched. */
#ifndef LS_OPS_SCAN_BLOCK_H
#define LS_OPS_SCAN_BLOCK_H

#include "ops/vec_math.h"

enum {
    SCAN_CHUNK = 32, /* steps between kept states: the trace of a chunk fits the first cache level */
    SCAN_GROUP = 4,  /* states at a time */
    /* in forward: twice as many where registers are enough and the next block's rows, of half the lines, can be
     * fetched in half the steps */
    SCAN_RUN = LS_LANES >= 16 && sizeof(real) == 2 ? 8 : SCAN_GROUP,
    SCAN_TILE = 16,  /* channels: a multiple of LS_LANES in every build; the partition is made of these */
    SCAN_WIDE = 128, /* channels of a block at most: its stage fits the second cache level */
    SCAN_LINES = 8,  /* cache lines fetched of each of four arrays while SCAN_CHUNK steps run */
};

#define SCAN_VECTORS (SCAN_WIDE / LS_LANES)
#define SCAN_LOG2_E ((acc)1.44269504088896340736)
#define SCAN_LN_2 ((acc)0.69314718055994530942)

/* One block. Pointers are at its first channel and first step; NULL: no gate, no gradient. */
typedef struct ScanBlock {
    int64_t steps, channels;
    int64_t stride, gate_stride; /* from step to step: of u, delta, dout, out, du, ddelta; of gate and dgate */
    int64_t states, padded;      /* N; from state to state of rate, h, carry, sums */
    const real *u, *delta, *gate, *bc, *dout;
    real *out, *du, *ddelta, *dgate;
    bool add_u, add_delta, add_gate;
    const acc *rate, *bias, *skip;     /* (N, padded): A log2 e; (padded): of delta; (padded): D */
    int64_t next_steps, next_channels; /* from this block to the next */
    const acc *next_h;                 /* backward: its kept states, or NULL */
    /* rows of the next block fetched at a time, from which `lines` takes its lines: */
    int64_t next_rows;
    int64_t lines[SCAN_LINES], gate_lines[SCAN_LINES];
} ScanBlock;

/* The values of a vector of channels that do not depend on the state, by step. x = delta' u; slope = dL/dout silu'(z);
 * dd and dx collect the gradients with respect to delta' (through the decay, over ln 2) and x. Values that the
 * recurrences read together lie together, so that with trace and pairs it just fits the first cache level, whose sets
 * repeat every 4 KiB: a cache line more than the steps, and a step of all columns is spread over the sets. */
typedef vacc ScanColumn[SCAN_CHUNK + 64 / LS_VEC_BYTES];
typedef struct ScanStage {
    ScanColumn d, x, y; /* d[SCAN_CHUNK]: the longest of d */
} ScanStage;
typedef struct ScanBackStage {
    ScanStage s;
    ScanColumn dy, dd, dx, u, slope, sigmoid;
} ScanBackStage;

/* Decay and state of SCAN_GROUP states of one vector at every step; h[0]: before the chunk. */
typedef struct ScanTrace {
    vacc a[SCAN_CHUNK][SCAN_GROUP], h[SCAN_CHUNK + 1][SCAN_GROUP];
} ScanTrace;

/* Lanes' parts of dL/dB and dL/dC of SCAN_GROUP states at every step. */
typedef vacc ScanPairs[SCAN_CHUNK][2][SCAN_GROUP];

/* B and C of some states at every step, for all lanes. */
typedef ls_spread ScanShared[SCAN_CHUNK][2][SCAN_RUN];

/* ---- Fetching ---------------------------------------------------------------------------------------------------- */

/* The next block lies next_steps and next_channels from this one. */
static inline void scan_foresee(ScanBlock *k, int64_t next_steps, int64_t next_channels)
{
    const int64_t line = 64 / (int64_t)sizeof(real);
    int64_t lines = SCAN_LINES;
    while (lines > 1 && lines / 2 * line >= k->channels)
        lines /= 2;
    k->next_steps = next_steps;
    k->next_channels = next_channels;
    k->next_rows = SCAN_LINES / lines;
    for (int64_t i = 0; i < SCAN_LINES; i++) {
        k->lines[i] = i / lines * k->stride + i % lines * line;
        k->gate_lines[i] = i / lines * k->gate_stride + i % lines * line;
    }
}

/* The first of next_rows rows of four arrays of the next block, and where their lines are. */
typedef struct ScanFetch {
    const real *row[4];
    const int64_t *lines[4];
} ScanFetch;

LS_INLINE const real *scan_next(const ScanBlock *k, const real *x, int64_t row, int64_t stride)
{
    return x && row < SCAN_CHUNK ? x + (k->next_steps + row) * stride + k->next_channels : k->u;
}

LS_INLINE ScanFetch scan_fetch_inputs(const ScanBlock *k, int64_t call)
{
    int64_t row = call * k->next_rows;
    return (ScanFetch){{scan_next(k, k->u, row, k->stride), scan_next(k, k->delta, row, k->stride),
                        scan_next(k, k->gate, row, k->gate_stride),
                        scan_next(k, k->dout ? k->dout : k->out, row, k->stride)},
                       {k->lines, k->lines, k->gate_lines, k->lines}};
}

LS_INLINE ScanFetch scan_fetch_outputs(const ScanBlock *k, int64_t call)
{
    int64_t row = call * k->next_rows;
    return (ScanFetch){{scan_next(k, k->du, row, k->stride), scan_next(k, k->ddelta, row, k->stride),
                        scan_next(k, k->dgate, row, k->gate_stride), k->u},
                       {k->lines, k->lines, k->gate_lines, k->lines}};
}

/* The lines of one array, one in each of a run of SCAN_LINES steps. */
LS_INLINE void scan_fetch(const ScanFetch *fetch, int64_t run, int64_t t)
{
    __builtin_prefetch(fetch->row[run] + fetch->lines[run][t - run * SCAN_LINES], 0, 2);
}

/* The step after run number `run` of the chunk's. */
LS_INLINE int64_t scan_run_end(const ScanBlock *k, int64_t run)
{
    int64_t end = (run + 1) * SCAN_LINES;
    return end < k->steps ? end : k->steps;
}

/* Some lines of the next block's kept states, whose reading would hold up its recurrences. */
LS_INLINE void scan_fetch_states(const ScanBlock *k, int64_t call, int64_t vectors)
{
    for (int64_t i = call * SCAN_GROUP; k->next_h && i < (call + 1) * SCAN_GROUP && i < vectors * k->states; i++)
        __builtin_prefetch(k->next_h + i / vectors * k->padded + i % vectors * LS_LANES, 0, 2);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

LS_INLINE int64_t scan_vectors(const ScanBlock *k) { return (k->channels + LS_LANES - 1) / LS_LANES; }

/* delta + bias of one step, and of each the exponential that softplus and sigmoid are made of. Loops that do one
 * thing at a time have several vectors under way: the chain of a whole softplus is longer than what a processor
 * looks ahead. */
typedef struct ScanRow {
    vacc raw[SCAN_VECTORS], e[SCAN_VECTORS];
} ScanRow;

LS_INLINE void scan_load_row(const ScanBlock *k, int64_t t, ScanRow *row)
{
    for (int64_t v = 0; v < scan_vectors(k); v++) {
        int64_t at = v * LS_LANES;
        row->raw[v] = ls_load_upto(k->delta + t * k->stride + at, k->channels - at) + ls_load_acc(k->bias + at);
        row->e[v] = ls_exp_small(-ls_abs(row->raw[v]));
    }
}

static inline void scan_load(const ScanBlock *k, ScanStage *s)
{
    ScanRow row;
    for (int64_t v = 0; v < scan_vectors(k); v++)
        s[v].d[SCAN_CHUNK] = (vacc){0};
    for (int64_t t = 0; t < k->steps; t++) {
        scan_load_row(k, t, &row);
        for (int64_t v = 0; v < scan_vectors(k); v++) {
            int64_t at = v * LS_LANES;
            vacc u = ls_load_upto(k->u + t * k->stride + at, k->channels - at);
            vacc d = ls_softplus_of(row.raw[v], row.e[v]);
            s[v].d[t] = d;
            s[v].d[SCAN_CHUNK] = ls_vmax(s[v].d[SCAN_CHUNK], d);
            s[v].x[t] = d * u;
            s[v].y[t] = ls_load_acc(k->skip + at) * u;
        }
    }
}

/* Of `count` states from number n; all vectors of channels use them. */
LS_INLINE void scan_share(const ScanBlock *k, int64_t n, int count, ScanShared shared)
{
    for (int64_t t = 0; t < k->steps; t++)
#pragma GCC unroll 2
        for (int64_t j = 0; j < 2; j++)
#pragma GCC unroll 8
            for (int i = 0; i < count; i++)
                shared[t][j][i] = ls_spread_of(k->bc + (2 * t + j) * k->states + n + i);
}

/* Has one of the `count` states a decay so far down, somewhere in the chunk, that ls_decay_of must be told? */
LS_INLINE bool scan_decays_far(const ScanStage *s, const vacc *rate, int count)
{
    vint far = {0};
#pragma GCC unroll 8
    for (int i = 0; i < count; i++)
        far |= s->d[SCAN_CHUNK] * rate[i] < LS_DECAY_FAR;
    return ls_any(far);
}

/* The recurrences of `count` states through the chunk. */
LS_INLINE void scan_run_states(const ScanBlock *k, int count, const ScanShared shared, const vacc *rate, vacc *h,
                               ScanStage *s, ScanFetch fetch, bool far)
{
    for (int64_t run = 0, t = 0; t < k->steps; run++)
        for (int64_t end = scan_run_end(k, run); t < end; t++) {
            vacc d = s->d[t], x = s->x[t], y = s->y[t];
#pragma GCC unroll 8
            for (int i = 0; i < count; i++) {
                h[i] = ls_decay_of(d, rate[i], far) * h[i] + x * shared[t][0][i];
                y += h[i] * shared[t][1][i];
            }
            s->y[t] = y;
            scan_fetch(&fetch, run, t);
        }
}

/* `count` states from number n of vector v; h is taken from before the chunk to after it. */
LS_INLINE void scan_states(const ScanBlock *k, int64_t v, int64_t n, int count, const ScanShared shared, acc *h_at,
                           ScanStage *s, ScanFetch fetch)
{
    vacc rate[SCAN_RUN], h[SCAN_RUN];
    int64_t at = n * k->padded + v * LS_LANES;
#pragma GCC unroll 8
    for (int i = 0; i < count; i++) {
        rate[i] = ls_load_acc(k->rate + at + i * k->padded);
        h[i] = ls_load_acc(h_at + at + i * k->padded);
    }
    if (scan_decays_far(s, rate, count))
        scan_run_states(k, count, shared, rate, h, s, fetch, true);
    else
        scan_run_states(k, count, shared, rate, h, s, fetch, false);
#pragma GCC unroll 8
    for (int i = 0; i < count; i++)
        ls_store_acc(h_at + at + i * k->padded, h[i]);
}

static inline void scan_run(const ScanBlock *k, acc *h, ScanStage *s)
{
    int64_t call = 0, n = 0;
    ScanShared shared;
    for (; n + SCAN_RUN <= k->states; n += SCAN_RUN) {
        scan_share(k, n, SCAN_RUN, shared);
        for (int64_t v = 0; v < scan_vectors(k); v++)
            scan_states(k, v, n, SCAN_RUN, shared, h, s + v, scan_fetch_inputs(k, call++));
    }
    for (; n + SCAN_GROUP <= k->states; n += SCAN_GROUP) {
        scan_share(k, n, SCAN_GROUP, shared);
        for (int64_t v = 0; v < scan_vectors(k); v++)
            scan_states(k, v, n, SCAN_GROUP, shared, h, s + v, scan_fetch_inputs(k, call++));
    }
    for (; n < k->states; n++) {
        scan_share(k, n, 1, shared);
        for (int64_t v = 0; v < scan_vectors(k); v++)
            scan_states(k, v, n, 1, shared, h, s + v, scan_fetch_inputs(k, call++));
    }
}

/* h: (N, padded) at the block's first channel is taken from before the chunk to after it. */
static inline void scan_forward(const ScanBlock *k, acc *h)
{
    ScanStage s[SCAN_VECTORS];
    scan_load(k, s);
    scan_run(k, h, s);
    for (int64_t t = 0; t < k->steps; t++)
        for (int64_t v = 0; v < scan_vectors(k); v++) {
            int64_t at = v * LS_LANES, lanes = k->channels - at;
            vacc y = s[v].y[t];
            if (k->gate) {
                vacc z = ls_load_upto(k->gate + t * k->gate_stride + at, lanes);
                y *= z * ls_vsigmoid(z);
            }
            ls_store_upto(k->out + t * k->stride + at, y, lanes);
        }
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* dL/dy and, of the gate, the slope, of one step. */
LS_INLINE void scan_load_gate(const ScanBlock *k, int64_t t, ScanBackStage *g)
{
    for (int64_t v = 0; v < scan_vectors(k); v++) {
        int64_t at = v * LS_LANES, lanes = k->channels - at;
        vacc dout = ls_load_upto(k->dout + t * k->stride + at, lanes);
        g[v].dy[t] = dout;
        if (k->gate) {
            vacc z = ls_load_upto(k->gate + t * k->gate_stride + at, lanes), sigmoid = ls_vsigmoid(z);
            g[v].dy[t] = dout * z * sigmoid;
            g[v].slope[t] = dout * sigmoid * (1 + z * (1 - sigmoid));
        }
    }
}

static inline void scan_load_backward(const ScanBlock *k, ScanBackStage *g)
{
    ScanRow row;
    for (int64_t v = 0; v < scan_vectors(k); v++)
        g[v].s.d[SCAN_CHUNK] = (vacc){0};
    for (int64_t t = 0; t < k->steps; t++) {
        scan_load_row(k, t, &row);
        for (int64_t v = 0; v < scan_vectors(k); v++) {
            int64_t at = v * LS_LANES;
            vacc u = ls_load_upto(k->u + t * k->stride + at, k->channels - at);
            vacc raw = row.raw[v], e = row.e[v], d = ls_softplus_of(raw, e);
            g[v].sigmoid[t] = ls_select(raw < 0, e, ls_splat(1)) * ls_reciprocal(1 + e); /* softplus's slope */
            g[v].u[t] = u;
            g[v].s.d[t] = d;
            g[v].s.d[SCAN_CHUNK] = ls_vmax(g[v].s.d[SCAN_CHUNK], d);
            g[v].s.x[t] = d * u;
            g[v].s.y[t] = ls_load_acc(k->skip + at) * u;
            g[v].dd[t] = g[v].dx[t] = (vacc){0};
        }
        scan_load_gate(k, t, g);
    }
}

/* The same, and what they go through. */
LS_INLINE void scan_run_trace(const ScanBlock *k, int count, const ScanShared shared, const vacc *rate, vacc *h,
                              ScanStage *s, ScanTrace *trace, ScanFetch fetch, bool far)
{
    for (int64_t run = 0, t = 0; t < k->steps; run++)
        for (int64_t end = scan_run_end(k, run); t < end; t++) {
            vacc d = s->d[t], x = s->x[t], y = s->y[t];
#pragma GCC unroll 4
            for (int i = 0; i < count; i++) {
                vacc a = ls_decay_of(d, rate[i], far);
                h[i] = a * h[i] + x * shared[t][0][i];
                y += h[i] * shared[t][1][i];
                trace->a[t][i] = a;
                trace->h[t + 1][i] = h[i];
            }
            s->y[t] = y;
            scan_fetch(&fetch, run, t);
        }
}

/* a and h of `count` states at every step again, from h before the chunk; and y, for the gate's gradient. */
LS_INLINE void scan_recompute(const ScanBlock *k, int64_t v, int64_t n, int count, const ScanShared shared,
                              const acc *h_at, ScanStage *s, ScanTrace *trace, ScanFetch fetch)
{
    vacc rate[SCAN_GROUP], h[SCAN_GROUP];
    int64_t at = n * k->padded + v * LS_LANES;
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        rate[i] = ls_load_acc(k->rate + at + i * k->padded);
        trace->h[0][i] = h[i] = ls_load_acc(h_at + at + i * k->padded);
    }
    if (scan_decays_far(s, rate, count))
        scan_run_trace(k, count, shared, rate, h, s, trace, fetch, true);
    else
        scan_run_trace(k, count, shared, rate, h, s, trace, fetch, false);
}

/* With w_t = a_{t+1} dL/dh_{t+1} carried from the step after:
 *     dL/dh_t = C_t dL/dy_t + w_t,  dL/dC_t = h_t dL/dy_t,  dL/dB_t = x_t dL/dh_t,  dL/dx_t = sum_n B_t dL/dh_t,
 *     q = a_t h_{t-1} dL/dh_t:  dL/dA = sum_t delta'_t q,  dL/ddelta'_t = sum_n A q (here with A log2 e) */
LS_INLINE void scan_reverse(const ScanBlock *k, int64_t v, int64_t n, int count, const ScanShared shared,
                            ScanBackStage *restrict g, const ScanTrace *restrict trace, acc *carry, acc *sums,
                            ScanPairs pairs, ScanFetch fetch)
{
    vacc rate[SCAN_GROUP], w[SCAN_GROUP], sum[SCAN_GROUP], h[SCAN_GROUP];
    int64_t at = n * k->padded + v * LS_LANES;
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        rate[i] = ls_load_acc(k->rate + at + i * k->padded);
        w[i] = ls_load_acc(carry + at + i * k->padded);
        sum[i] = (vacc){0};
        h[i] = trace->h[k->steps][i];
    }
    for (int64_t run = (k->steps - 1) / SCAN_LINES; run >= 0; run--)
        for (int64_t t = scan_run_end(k, run) - 1; t >= run * SCAN_LINES; t--) {
            vacc d = g->s.d[t], x = g->s.x[t], dy = g->dy[t], dd = g->dd[t], dx = g->dx[t];
#pragma GCC unroll 4
            for (int i = 0; i < count; i++) {
                vacc dh = dy * shared[t][1][i] + w[i];
                pairs[t][0][i] += dh * x;
                pairs[t][1][i] += dy * h[i];
                h[i] = trace->h[t][i];
                dx += dh * shared[t][0][i];
                w[i] = dh * trace->a[t][i];
                vacc q = w[i] * h[i];
                sum[i] += q * d;
                dd += q * rate[i];
            }
            g->dd[t] = dd;
            g->dx[t] = dx;
            scan_fetch(&fetch, run, t);
        }
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        ls_store_acc(carry + at + i * k->padded, w[i]);
        ls_store_acc(sums + at + i * k->padded, ls_load_acc(sums + at + i * k->padded) + sum[i]);
    }
}

/* dL/dB and dL/dC of `count` states from number n: the lanes' sums of pairs, into or onto dbc: (steps, 2 N). */
static inline void scan_sum_pairs(const ScanBlock *k, int64_t n, int64_t count, ScanPairs pairs, acc *dbc, bool add)
{
    acc sums[SCAN_CHUNK][2][SCAN_GROUP];
    for (int64_t i = 0; i < SCAN_CHUNK * 2 * SCAN_GROUP; i += LS_LANES)
        ls_store_acc(&sums[0][0][0] + i, ls_hsums(&pairs[0][0][0] + i));
    for (int64_t t = 0; t < k->steps; t++)
        for (int64_t j = 0; j < 2; j++)
            for (int64_t i = 0; i < count; i++) {
                acc *to = dbc + (2 * t + j) * k->states + n + i;
                *to = add ? *to + sums[t][j][i] : sums[t][j][i];
            }
}

LS_INLINE void scan_give(real *grad, vacc g, bool add, int64_t lanes)
{
    ls_store_upto(grad, add ? ls_load_upto(grad, lanes) + g : g, lanes);
}

/* The gradients of the block's inputs; sums: (N + 2, padded) with those of D and bias at the end. */
static inline void scan_store_backward(const ScanBlock *k, const ScanBackStage *g, acc *sums)
{
    for (int64_t t = 0; t < k->steps; t++)
        for (int64_t v = 0; v < scan_vectors(k); v++) {
            int64_t at = v * LS_LANES, lanes = k->channels - at;
            vacc dx = g[v].dx[t], u = g[v].u[t], dy = g[v].dy[t];
            vacc ddelta = (g[v].dd[t] * SCAN_LN_2 + dx * u) * g[v].sigmoid[t];
            acc *skip = sums + k->states * k->padded + at, *bias = skip + k->padded;
            ls_store_acc(skip, ls_load_acc(skip) + dy * u);
            ls_store_acc(bias, ls_load_acc(bias) + ddelta);
            if (k->du)
                scan_give(k->du + t * k->stride + at, dx * g[v].s.d[t] + dy * ls_load_acc(k->skip + at), k->add_u,
                          lanes);
            if (k->ddelta)
                scan_give(k->ddelta + t * k->stride + at, ddelta, k->add_delta, lanes);
            if (k->dgate)
                scan_give(k->dgate + t * k->gate_stride + at, g[v].slope[t] * g[v].s.y[t], k->add_gate, lanes);
        }
}

/* h: (N, padded) before the chunk; carry: (N, padded) is taken from after the chunk to before it; sums: (N + 2, padded)
 * are added to, for A, D and bias; dbc: (steps, 2 N) is written or, for all but the first block of its channels, added
 * to. */
static inline void scan_backward(const ScanBlock *k, const acc *h, acc *carry, acc *sums, acc *dbc, bool add)
{
    ScanBackStage g[SCAN_VECTORS];
    ScanTrace trace;
    ScanPairs pairs;
    ScanShared shared;
    int64_t call = 0;
    scan_load_backward(k, g);
    for (int64_t n = 0; n < k->states;) {
        bool whole = n + SCAN_GROUP <= k->states;
        memset(pairs, 0, sizeof pairs);
        if (whole)
            scan_share(k, n, SCAN_GROUP, shared);
        else
            scan_share(k, n, 1, shared);
        for (int64_t v = 0; v < scan_vectors(k); v++, call++) {
            scan_fetch_states(k, call, scan_vectors(k));
            if (whole) {
                scan_recompute(k, v, n, SCAN_GROUP, shared, h, &g[v].s, &trace, scan_fetch_inputs(k, call));
                scan_reverse(k, v, n, SCAN_GROUP, shared, g + v, &trace, carry, sums, pairs,
                             scan_fetch_outputs(k, call));
            } else {
                scan_recompute(k, v, n, 1, shared, h, &g[v].s, &trace, scan_fetch_inputs(k, call));
                scan_reverse(k, v, n, 1, shared, g + v, &trace, carry, sums, pairs, scan_fetch_outputs(k, call));
            }
        }
        scan_sum_pairs(k, n, whole ? SCAN_GROUP : 1, pairs, dbc, add);
        n += whole ? SCAN_GROUP : 1;
    }
    scan_store_backward(k, g, sums);
}

#endif
