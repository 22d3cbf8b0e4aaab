/* The selective scan's kernels on one vector of channels of one stream, chunk by chunk of time.
 *
 * Lanes are channels, so sums over the states need no sums of lanes; states are taken a few at a time with their h in registers, and time
 * runs inside. In backward a and h of those few states are kept for one chunk in the first cache level. */
#ifndef LS_OPS_SCAN_BLOCK_H
#define LS_OPS_SCAN_BLOCK_H

#include "ops/vec_math.h"

enum {
    SCAN_CHUNK = 32, /* steps between kept states: what a chunk needs fits the first cache level */
    SCAN_GROUP = 4,  /* states at a time */
    SCAN_TILE = 16,  /* channels: a multiple of LS_LANES in every build; the partition is made of these */
    SCAN_MOST_STATES = 256
};

#define SCAN_LOG2_E ((acc)1.44269504088896340736)
#define SCAN_LN_2 ((acc)0.69314718055994530942)

/* One vector of channels of one stream; pointers at its first channel and the stream's first step. NULL: no gate, no gradient. */
typedef struct ScanBlock {
    int64_t lanes;  /* channels that exist */
    int64_t stride; /* channels: from step to step of u, delta, dout, du, ddelta */
    int64_t gate_stride;
    int64_t states, padded; /* N; from state to state of rate, border and sums */
    const real *u, *delta, *gate, *bc, *dout;
    real *out, *du, *ddelta, *dgate;
    bool add_u, add_delta, add_gate;
    const acc *rate; /* (N, padded): A log2 e */
    vacc bias, skip; /* of delta; D */
} ScanBlock;

/* One chunk of it: what does not depend on the state. x = delta' u; slope = dL/dout silu'(z); dd and dx collect the gradients with respect
 * to delta' (through the decay, over ln 2) and x. */
typedef struct ScanChunk {
    vacc d[SCAN_CHUNK], x[SCAN_CHUNK], y[SCAN_CHUNK];
    vacc u[SCAN_CHUNK], dy[SCAN_CHUNK], slope[SCAN_CHUNK], sigmoid[SCAN_CHUNK], dd[SCAN_CHUNK], dx[SCAN_CHUNK];
} ScanChunk;

/* The decay and state of SCAN_GROUP states at every step of a chunk. */
typedef struct ScanTrace {
    vacc a[SCAN_CHUNK][SCAN_GROUP], h[SCAN_CHUNK + 1][SCAN_GROUP];
} ScanTrace;

/* ---- Forward ------------------------------------------------------------------------------------------------------------ */

LS_INLINE void scan_load(const ScanBlock *k, int64_t first, int64_t steps, ScanChunk *c)
{
    for (int64_t t = 0; t < steps; t++) {
        vacc u = ls_load_upto(k->u + (first + t) * k->stride, k->lanes);
        vacc d = ls_vsoftplus(ls_load_upto(k->delta + (first + t) * k->stride, k->lanes) + k->bias);
        c->d[t] = d;
        c->x[t] = d * u;
        c->y[t] = k->skip * u;
    }
}

/* `count` states from number n: h: (count) vectors padded apart, from before the chunk to after it. */
LS_INLINE void scan_states(const ScanBlock *k, int64_t first, int64_t steps, int64_t n, int count, acc *border, ScanChunk *c)
{
    vacc rate[SCAN_GROUP], h[SCAN_GROUP];
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        rate[i] = ls_load_acc(k->rate + (n + i) * k->padded);
        h[i] = ls_load_acc(border + (n + i) * k->padded);
    }
    const real *b = k->bc + first * 2 * k->states + n;
    for (int64_t t = 0; t < steps; t++, b += 2 * k->states) {
        vacc d = c->d[t], x = c->x[t], y = c->y[t];
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) {
            h[i] = ls_decay(d * rate[i]) * h[i] + x * ls_load1(b + i);
            y += h[i] * ls_load1(b + k->states + i);
        }
        c->y[t] = y;
    }
#pragma GCC unroll 4
    for (int i = 0; i < count; i++)
        ls_store_acc(border + (n + i) * k->padded, h[i]);
}

LS_INLINE void scan_all_states(const ScanBlock *k, int64_t first, int64_t steps, acc *border, ScanChunk *c)
{
    int64_t n = 0;
    for (; n + SCAN_GROUP <= k->states; n += SCAN_GROUP)
        scan_states(k, first, steps, n, SCAN_GROUP, border, c);
    for (; n < k->states; n++)
        scan_states(k, first, steps, n, 1, border, c);
}

/* Steps first to first + steps - 1; h: (N, padded) is taken from before them to after them. */
static inline void scan_forward(const ScanBlock *k, int64_t first, int64_t steps, acc *h)
{
    ScanChunk c;
    scan_load(k, first, steps, &c);
    scan_all_states(k, first, steps, h, &c);
    for (int64_t t = 0; t < steps; t++) {
        vacc y = c.y[t];
        if (k->gate) {
            vacc z = ls_load_upto(k->gate + (first + t) * k->gate_stride, k->lanes);
            y *= z * ls_vsigmoid(z);
        }
        ls_store_upto(k->out + (first + t) * k->stride, y, k->lanes);
    }
}

/* ---- Backward ----------------------------------------------------------------------------------------------------------- */

LS_INLINE void scan_load_backward(const ScanBlock *k, int64_t first, int64_t steps, ScanChunk *c)
{
    for (int64_t t = 0; t < steps; t++) {
        vacc u = ls_load_upto(k->u + (first + t) * k->stride, k->lanes);
        vacc raw = ls_load_upto(k->delta + (first + t) * k->stride, k->lanes) + k->bias;
        vacc dout = ls_load_upto(k->dout + (first + t) * k->stride, k->lanes);
        /* softplus and its slope, the sigmoid, from one exponential */
        vacc e = ls_exp(-ls_abs(raw));
        vacc d = ls_vmax(raw, (vacc){0}) + ls_vlog1p(e);
        c->sigmoid[t] = ls_select(raw < 0, e, ls_splat(1)) / (1 + e);
        c->u[t] = u;
        c->d[t] = d;
        c->x[t] = d * u;
        c->y[t] = k->skip * u;
        c->dd[t] = c->dx[t] = (vacc){0};
        if (k->gate) {
            vacc z = ls_load_upto(k->gate + (first + t) * k->gate_stride, k->lanes), s = ls_vsigmoid(z);
            c->dy[t] = dout * z * s;
            c->slope[t] = dout * s * (1 + z * (1 - s));
        } else {
            c->dy[t] = dout;
        }
    }
}

/* h and a of `count` states at every step of the chunk again, from the kept state before it; and y, for the gate's gradient. */
LS_INLINE void scan_recompute(const ScanBlock *k, int64_t first, int64_t steps, int64_t n, int count, const acc *border, ScanChunk *c,
                              ScanTrace *trace)
{
    vacc rate[SCAN_GROUP], h[SCAN_GROUP];
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        rate[i] = ls_load_acc(k->rate + (n + i) * k->padded);
        trace->h[0][i] = h[i] = ls_load_acc(border + (n + i) * k->padded);
    }
    const real *b = k->bc + first * 2 * k->states + n;
    for (int64_t t = 0; t < steps; t++, b += 2 * k->states) {
        vacc d = c->d[t], x = c->x[t], y = c->y[t];
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) {
            vacc a = ls_decay(d * rate[i]);
            h[i] = a * h[i] + x * ls_load1(b + i);
            y += h[i] * ls_load1(b + k->states + i);
            trace->a[t][i] = a;
            trace->h[t + 1][i] = h[i];
        }
        c->y[t] = y;
    }
}

/* With w_t = a_{t+1} dL/dh_{t+1} carried from the step after:
 *     dL/dh_t = C_t dL/dy_t + w_t,  dL/dC_t = h_t dL/dy_t,  dL/dB_t = x_t dL/dh_t,  dL/dx_t = sum_n B_t dL/dh_t,
 *     q = a_t h_{t-1} dL/dh_t:  dL/dA = sum_t delta'_t q,  dL/ddelta'_t = sum_n A q (here with A log2 e)
 * pair: for each step `count` lanes-wise sums for B, then for C. */
LS_INLINE void scan_reverse(const ScanBlock *k, int64_t first, int64_t steps, int64_t n, int count, ScanChunk *c, const ScanTrace *trace,
                            acc *carry, acc *rate_sum, vacc *pair)
{
    vacc rate[SCAN_GROUP], w[SCAN_GROUP], sum[SCAN_GROUP];
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        rate[i] = ls_load_acc(k->rate + (n + i) * k->padded);
        w[i] = ls_load_acc(carry + (n + i) * k->padded);
        sum[i] = (vacc){0};
    }
    const real *b = k->bc + (first + steps - 1) * 2 * k->states + n;
    for (int64_t t = steps - 1; t >= 0; t--, b -= 2 * k->states) {
        vacc d = c->d[t], x = c->x[t], dy = c->dy[t], dd = c->dd[t], dx = c->dx[t], *to = pair + t * 2 * count;
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) {
            vacc dh = dy * ls_load1(b + k->states + i) + w[i];
            to[i] += dh * x;
            to[count + i] += dy * trace->h[t + 1][i];
            dx += dh * ls_load1(b + i);
            w[i] = dh * trace->a[t][i];
            vacc q = w[i] * trace->h[t][i];
            sum[i] += q * d;
            dd += q * rate[i];
        }
        c->dd[t] = dd;
        c->dx[t] = dx;
    }
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        ls_store_acc(carry + (n + i) * k->padded, w[i]);
        acc *to = rate_sum + (n + i) * k->padded;
        ls_store_acc(to, ls_load_acc(to) + sum[i]);
    }
}

LS_INLINE void scan_give(real *grad, vacc g, bool add, int64_t lanes)
{
    if (grad)
        ls_store_upto(grad, add ? ls_load_upto(grad, lanes) + g : g, lanes);
}

/* The gradients of the chunk's inputs; skip_sum, bias_sum: dL/dD, dL/dbias. */
LS_INLINE void scan_store_backward(const ScanBlock *k, int64_t first, int64_t steps, const ScanChunk *c, acc *skip_sum, acc *bias_sum)
{
    vacc skip = ls_load_acc(skip_sum), bias = ls_load_acc(bias_sum);
    for (int64_t t = 0; t < steps; t++) {
        int64_t at = (first + t) * k->stride;
        vacc ddelta = (c->dd[t] * SCAN_LN_2 + c->dx[t] * c->u[t]) * c->sigmoid[t];
        skip += c->dy[t] * c->u[t];
        bias += ddelta;
        scan_give(k->du ? k->du + at : NULL, c->dx[t] * c->d[t] + c->dy[t] * k->skip, k->add_u, k->lanes);
        scan_give(k->ddelta ? k->ddelta + at : NULL, ddelta, k->add_delta, k->lanes);
        if (k->dgate)
            scan_give(k->dgate + (first + t) * k->gate_stride, c->slope[t] * c->y[t], k->add_gate, k->lanes);
    }
    ls_store_acc(skip_sum, skip);
    ls_store_acc(bias_sum, bias);
}

/* Steps first to first + steps - 1, given the kept state before them. carry: (N, padded) is taken from after them to before them; sums:
 * (N + 2, padded) for A, D and bias; pairs: 2 N SCAN_CHUNK vectors to which the lanes' parts of dL/dB and dL/dC are added. */
static inline void scan_backward(const ScanBlock *k, int64_t first, int64_t steps, const acc *border, acc *carry, acc *sums, vacc *pairs)
{
    ScanChunk c;
    ScanTrace trace;
    scan_load_backward(k, first, steps, &c);
    int64_t n = 0;
    for (; n + SCAN_GROUP <= k->states; n += SCAN_GROUP) {
        scan_recompute(k, first, steps, n, SCAN_GROUP, border, &c, &trace);
        scan_reverse(k, first, steps, n, SCAN_GROUP, &c, &trace, carry, sums, pairs + n * 2 * SCAN_CHUNK);
    }
    for (; n < k->states; n++) {
        scan_recompute(k, first, steps, n, 1, border, &c, &trace);
        scan_reverse(k, first, steps, n, 1, &c, &trace, carry, sums, pairs + n * 2 * SCAN_CHUNK);
    }
    scan_store_backward(k, first, steps, &c, sums + k->states * k->padded, sums + (k->states + 1) * k->padded);
}

/* Adds up the lanes: dbc: (steps, 2 N) gets dL/dB and dL/dC of one chunk. */
static inline void scan_sum_lanes(const vacc *pairs, int64_t steps, int64_t states, acc *dbc)
{
    for (int64_t n = 0; n < states;) {
        int64_t count = n + SCAN_GROUP <= states ? SCAN_GROUP : 1;
        const vacc *pair = pairs + n * 2 * SCAN_CHUNK;
        for (int64_t t = 0; t < steps; t++)
            for (int64_t i = 0; i < count; i++) {
                dbc[t * 2 * states + n + i] = ls_hsum(pair[t * 2 * count + i]);
                dbc[t * 2 * states + states + n + i] = ls_hsum(pair[t * 2 * count + count + i]);
            }
        n += count;
    }
}

/* ---- Summaries, for scans over parts of the time ------------------------------------------------------------------------- */

/* The state after these steps had it been h before, and the sum of delta'. */
static inline void scan_summary(const ScanBlock *k, int64_t first, int64_t steps, acc *h, vacc *delta_sum)
{
    ScanChunk c;
    scan_load(k, first, steps, &c);
    scan_all_states(k, first, steps, h, &c);
    for (int64_t t = 0; t < steps; t++)
        *delta_sum += c.d[t];
}

/* The carry before these steps had it been this after, and the sum of delta'. */
static inline void scan_reverse_summary(const ScanBlock *k, int64_t first, int64_t steps, acc *carry, vacc *delta_sum)
{
    ScanChunk c;
    scan_load_backward(k, first, steps, &c);
    for (int64_t n = 0; n < k->states; n++) {
        vacc rate = ls_load_acc(k->rate + n * k->padded), w = ls_load_acc(carry + n * k->padded);
        for (int64_t t = steps - 1; t >= 0; t--)
            w = ls_decay(c.d[t] * rate) * (c.dy[t] * ls_load1(k->bc + (first + t) * 2 * k->states + k->states + n) + w);
        ls_store_acc(carry + n * k->padded, w);
    }
    for (int64_t t = 0; t < steps; t++)
        *delta_sum += c.d[t];
}

#endif
