/* The gates from which the linear recurrence's a_t and b_t are computed, for a vector of channels, and their
 * gradients. */
#ifndef LS_OPS_LINEAR_SCAN_GATES_H
#define LS_OPS_LINEAR_SCAN_GATES_H

#include "ops/op_build.h"
#include "ops/vec_math.h"

/* Rows of one stream from some channel on: what makes a, what makes b where that is another tensor. */
typedef struct ScanRows {
    const real *x, *addend;
    int64_t stride, channels; /* of x from step to step (addend: channels); E, from part to part of a packed row */
} ScanRows;

/* a and b of one step, and what their gradients need besides: k = log(i / f) or the gate's input, g the candidate, its
 * slope, how k depends on f and i. */
typedef struct ScanGates {
    vacc a, b, open, candidate, slope, by_f, by_i;
} ScanGates;

/* sigmoid(k), and 1 - sigmoid(k) = sigmoid(-k) without cancellation. */
LS_INLINE void scan_open(vacc k, vacc *open, vacc *closed)
{
    vacc e = ls_exp_small(-ls_abs(k)), large = ls_reciprocal((acc)1 + e), small = e * large;
    *open = ls_select(k >= 0, large, small);
    *closed = ls_select(k >= 0, small, large);
}

/* g(v) = v + 1/2 from 0 on, sigmoid(v) below: above 0, so that it has a logarithm. */
LS_INLINE vacc scan_candidate(vacc v, vacc *slope)
{
    vacc e = ls_exp_small(-ls_abs(v)), large = ls_reciprocal((acc)1 + e), small = e * large;
    *slope = ls_select(v >= 0, ls_splat(1), small * large);
    return ls_select(v >= 0, v + (acc)0.5, small);
}

/* One step of the channels from number `at`, of which `lanes` exist. */
LS_INLINE ScanGates scan_gates(LsScanForm form, const ScanRows *r, int64_t t, int64_t at, int64_t lanes)
{
    const real *x = r->x + t * r->stride + at;
    ScanGates s = {0};
    if (form == LS_SCAN_PLAIN) {
        s.a = ls_load_upto(x, lanes);
        s.b = ls_load_upto(r->addend + t * r->channels + at, lanes);
        return s;
    }
    vacc k = ls_load_upto(x, lanes), v = ls_load_upto(x + r->channels, lanes);
    if (form == LS_SCAN_MINLSTM) {
        vacc f = k, i = v, closed_f, closed_i, unused;
        v = ls_load_upto(x + 2 * r->channels, lanes);
        k = ls_vsoftplus(-f) - ls_vsoftplus(-i); /* log(sigmoid(i) / sigmoid(f)) */
        scan_open(f, &unused, &closed_f);
        scan_open(i, &unused, &closed_i);
        s.by_f = -closed_f;
        s.by_i = closed_i;
    }
    scan_open(k, &s.open, &s.a);
    s.candidate = scan_candidate(v, &s.slope);
    s.b = s.open * s.candidate;
    return s;
}

/* Gradients of one step's inputs, written or added to. */
typedef struct ScanGrads {
    real *x, *addend; /* NULL: not wanted */
    bool add_x, add_addend;
} ScanGrads;

LS_INLINE void scan_put(real *to, vacc v, int64_t lanes, bool add)
{
    ls_store_upto(to, add ? ls_load_upto(to, lanes) + v : v, lanes);
}

/* slope: dL/dh_t; before: h_{t-1}. */
LS_INLINE void scan_put_gates(LsScanForm form, const ScanRows *r, const ScanGates *s, const ScanGrads *to, int64_t t,
                              int64_t at, int64_t lanes, vacc slope, vacc before)
{
    real *x = to->x ? to->x + t * r->stride + at : NULL;
    if (form == LS_SCAN_PLAIN) {
        if (x)
            scan_put(x, slope * before, lanes, to->add_x);
        if (to->addend)
            scan_put(to->addend + t * r->channels + at, slope, lanes, to->add_addend);
        return;
    }
    vacc dk = slope * (s->candidate - before) * s->open * s->a, dv = slope * s->open * s->slope;
    if (!x)
        return;
    if (form == LS_SCAN_MINGRU) {
        scan_put(x, dk, lanes, to->add_x);
        scan_put(x + r->channels, dv, lanes, to->add_x);
    } else {
        scan_put(x, dk * s->by_f, lanes, to->add_x);
        scan_put(x + r->channels, dk * s->by_i, lanes, to->add_x);
        scan_put(x + 2 * r->channels, dv, lanes, to->add_x);
    }
}

#endif
