/* Summaries of a block, for scans over parts of the time: what a part makes of zero, and its sum of delta'. */
#ifndef LS_OPS_SCAN_SUMMARY_H
#define LS_OPS_SCAN_SUMMARY_H

#include "ops/scan_block.h"

LS_INLINE void scan_add_deltas(const ScanBlock *k, const ScanStage *s, acc *delta_sum)
{
    for (int64_t v = 0; v < scan_vectors(k); v++) {
        vacc sum = ls_load_acc(delta_sum + v * LS_LANES);
        for (int64_t t = 0; t < k->steps; t++)
            sum += s[v].d[t];
        ls_store_acc(delta_sum + v * LS_LANES, sum);
    }
}

/* h alone, and delta' added to delta_sum: (padded). */
static inline void scan_summary(const ScanBlock *k, acc *h, acc *delta_sum)
{
    ScanStage s[SCAN_VECTORS];
    scan_load(k, s);
    scan_run(k, h, s);
    scan_add_deltas(k, s, delta_sum);
}

/* delta' and, as y, dL/dy. */
static inline void scan_load_reverse(const ScanBlock *k, ScanStage *s)
{
    for (int64_t t = 0; t < k->steps; t++)
        for (int64_t v = 0; v < scan_vectors(k); v++) {
            int64_t at = v * LS_LANES, lanes = k->channels - at;
            vacc dy = ls_load_upto(k->dout + t * k->stride + at, lanes);
            if (k->gate) {
                vacc z = ls_load_upto(k->gate + t * k->gate_stride + at, lanes);
                dy *= z * ls_vsigmoid(z);
            }
            s[v].d[t] = ls_vsoftplus(ls_load_upto(k->delta + t * k->stride + at, lanes) + ls_load_acc(k->bias + at));
            s[v].y[t] = dy;
        }
}

/* w of `count` states from number n of vector v, from after the chunk to before it: scan_reverse without the
 * gradients. */
LS_INLINE void scan_reverse_states(const ScanBlock *k, int64_t v, int64_t n, int count, const ScanStage *s, acc *carry)
{
    vacc rate[SCAN_GROUP], w[SCAN_GROUP];
    int64_t at = n * k->padded + v * LS_LANES;
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        rate[i] = ls_load_acc(k->rate + at + i * k->padded);
        w[i] = ls_load_acc(carry + at + i * k->padded);
    }
    const real *c = k->bc + (2 * k->steps - 1) * k->states + n;
    for (int64_t t = k->steps - 1; t >= 0; t--, c -= 2 * k->states) {
        vacc d = s->d[t], dy = s->y[t];
#pragma GCC unroll 4
        for (int i = 0; i < count; i++)
            w[i] = ls_decay_of(d, rate[i], true) * (dy * ls_load1(c + i) + w[i]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < count; i++)
        ls_store_acc(carry + at + i * k->padded, w[i]);
}

/* The carry alone, and delta' added to delta_sum. */
static inline void scan_reverse_summary(const ScanBlock *k, acc *carry, acc *delta_sum)
{
    ScanStage s[SCAN_VECTORS];
    scan_load_reverse(k, s);
    for (int64_t v = 0; v < scan_vectors(k); v++) {
        int64_t n = 0;
        for (; n + SCAN_GROUP <= k->states; n += SCAN_GROUP)
            scan_reverse_states(k, v, n, SCAN_GROUP, s + v, carry);
        for (; n < k->states; n++)
            scan_reverse_states(k, v, n, 1, s + v, carry);
    }
    scan_add_deltas(k, s, delta_sum);
}

#endif
