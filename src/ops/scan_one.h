/* One step of the selective scan for every stream: what a generated token costs. The states change where they lie.
 * Channels do not meet, so each thread has a range of them, and a result does not depend on how many threads there
 * are. */
#ifndef LS_OPS_SCAN_ONE_H
#define LS_OPS_SCAN_ONE_H

#include "ops/scan_scratch.h"
#include "ops/tile.h"

#include <omp.h>

/* Elements of the states from which threads share the channels. */
#define SCAN_ONE_SHARED 4096

/* A run of one step that leaves the states in the place where it found them. */
static bool is_one_step(const LsNode *node)
{
    return node->in[U]->dim[1] == 1 && node->in[STATE] && node->in[STATE]->role == LS_ROLE_STATE;
}

LS_INLINE vacc scan_load_acc_upto(const acc *x, int64_t n)
{
    return n >= LS_LANES ? ls_load_acc(x) : ls_load_acc_part(x, n);
}

LS_INLINE void scan_store_acc_upto(acc *x, vacc v, int64_t n)
{
    if (n >= LS_LANES)
        ls_store_acc(x, v);
    else
        ls_store_acc_part(x, v, n);
}

/* rate: (N, padded) = A log2 e, of the channels from first to before end; a_log: (E, N). By squares, in registers. */
static inline void scan_one_rates(const Cut *c, const acc *a_log, acc *rate, int64_t first, int64_t end)
{
    for (int64_t e = first; e < end; e += LS_LANES)
        for (int64_t n = 0; n < c->states; n += LS_LANES) {
            vacc square[LS_LANE_COUNT];
#pragma GCC unroll 16
            for (int64_t i = 0; i < LS_LANES; i++) {
                int64_t row = e + i < c->channels ? e + i : c->channels - 1;
                square[i] = -SCAN_LOG2_E * ls_exp(scan_load_acc_upto(a_log + row * c->states + n, c->states - n));
            }
            ls_transpose(square);
#pragma GCC unroll 16
            for (int64_t i = 0; i < LS_LANES; i++)
                if (n + i < c->states)
                    ls_store_acc(rate + (n + i) * c->padded + e, square[i]);
        }
}

/* `count` states from number n of one stream; h: (N, E), bc: (2 N); d, x, y: (padded). What is read next is fetched
 * meanwhile. */
LS_INLINE void scan_one_states(const Cut *c, int64_t n, int count, const real *bc, const acc *rate, acc *h,
                               const acc *d, const acc *x, acc *y, int64_t first, int64_t end)
{
    acc b[SCAN_GROUP], to_y[SCAN_GROUP];
    for (int i = 0; i < count; i++) {
        b[i] = ls_load1(bc + n + i);
        to_y[i] = ls_load1(bc + c->states + n + i);
    }
    for (int64_t e = first; e < end; e += LS_LANES) {
        int64_t lanes = c->channels - e;
        vacc delta = ls_load_acc(d + e), in = ls_load_acc(x + e), out = ls_load_acc(y + e);
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) {
            acc *at = h + (n + i) * c->channels + e;
            __builtin_prefetch(at + count * c->channels, 1);
            vacc state =
                ls_decay_of(delta, ls_load_acc(rate + (n + i) * c->padded + e), true) * scan_load_acc_upto(at, lanes) +
                in * b[i];
            out += state * to_y[i];
            scan_store_acc_upto(at, state, lanes);
        }
        ls_store_acc(y + e, out);
    }
}

/* All streams, the channels from first, a multiple of SCAN_TILE, to before end. room: acc (N + 3, padded). */
static inline void scan_one_range(const LsNode *node, const Cut *c, acc *room, int64_t first, int64_t end)
{
    const LsTensor *gate = node->in[GATE];
    const acc *bias = node->in[BIAS]->data, *skip = node->in[SKIP]->data;
    acc *rate = room, *d = rate + c->states * c->padded, *x = d + c->padded, *y = x + c->padded;
    scan_one_rates(c, node->in[A_LOG]->data, rate, first, end);
    for (int64_t b = 0; b < c->streams; b++) {
        const real *u = (const real *)node->in[U]->data + b * c->channels,
                   *delta = (const real *)node->in[DELTA]->data + b * c->channels;
        const real *bc = (const real *)node->in[BC]->data + b * 2 * c->states;
        const real *z = gate ? (const real *)gate->data + (b + 1) * gate->dim[2] - c->channels : NULL;
        acc *h = (acc *)node->in[STATE]->data + b * c->states * c->channels;
        for (int64_t e = first; e < end; e += LS_LANES) {
            int64_t lanes = c->channels - e;
            vacc in = ls_load_upto(u + e, lanes),
                 step = ls_vsoftplus(ls_load_upto(delta + e, lanes) + scan_load_acc_upto(bias + e, lanes));
            ls_store_acc(d + e, step);
            ls_store_acc(x + e, step * in);
            ls_store_acc(y + e, scan_load_acc_upto(skip + e, lanes) * in);
        }
        int64_t n = 0;
        for (; n + SCAN_GROUP <= c->states; n += SCAN_GROUP)
            scan_one_states(c, n, SCAN_GROUP, bc, rate, h, d, x, y, first, end);
        for (; n < c->states; n++)
            scan_one_states(c, n, 1, bc, rate, h, d, x, y, first, end);
        for (int64_t e = first; e < end; e += LS_LANES) {
            int64_t lanes = c->channels - e;
            vacc out = ls_load_acc(y + e);
            if (z) {
                vacc open = ls_load_upto(z + e, lanes);
                out *= open * ls_vsigmoid(open);
            }
            ls_store_upto((real *)node->out[0]->data + b * c->channels + e, out, lanes);
        }
    }
}

static inline void scan_one_step(const LsNode *node, const Cut *c)
{
#pragma omp parallel if (c->streams * c->padded * c->states > SCAN_ONE_SHARED)
    {
        int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
        int64_t first = c->tiles * thread / threads * SCAN_TILE, end = c->tiles * (thread + 1) / threads * SCAN_TILE;
        if (first < end)
            scan_one_range(node, c, node->scratch, first, end < c->channels ? end : c->channels);
    }
}

#endif
