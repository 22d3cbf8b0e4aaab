/* One step of the state-space dual scan for every stream: what a generated token costs. The states change where they
 * lie. Channels do not meet, so a result does not depend on how many threads share them. A part of
 * src/ops/ssd_scan.c. */
#ifndef LS_OPS_SSD_ONE_H
#define LS_OPS_SSD_ONE_H

#include "ops/ssd_steps.h"

/* Elements of the states from which threads share the heads. */
#define SSD_ONE_SHARED 4096

/* A run of one step that leaves the states in the place where it found them. */
static bool is_one_step(const LsNode *node)
{
    return node->in[XBC]->dim[1] == 1 && node->in[STATE] && node->in[STATE]->role == LS_ROLE_STATE;
}

LS_INLINE vacc load_acc_upto(const acc *x, int64_t n)
{
    return n >= LS_LANES ? ls_load_acc(x) : ls_load_acc_part(x, n);
}
LS_INLINE void store_acc_upto(acc *x, vacc v, int64_t n)
{
    if (n >= LS_LANES)
        ls_store_acc(x, v);
    else
        ls_store_acc_part(x, v, n);
}

/* The values of a step that all channels of a head share. */
typedef struct Step {
    acc decay, delta, skip;
} Step;

enum { ONE_VECTORS = 4 }; /* whose results stay in registers while the states go by */

/* Up to ONE_VECTORS vectors of channels, `left` of them, of one head; what is read next is fetched meanwhile. */
LS_INLINE void one_columns(const Shape *s, acc *h, Step step, const real *x, const real *in, const real *from,
                           real *out, int64_t left)
{
    vacc put[ONE_VECTORS], y[ONE_VECTORS];
    const int64_t vectors = left < ONE_VECTORS * LS_LANES ? ls_ceil_div(left, LS_LANES) : ONE_VECTORS;
    for (int64_t v = 0; v < vectors; v++) {
        vacc u = ls_load_upto(x + v * LS_LANES, left - v * LS_LANES);
        put[v] = u * step.delta;
        y[v] = u * step.skip;
    }
    for (int64_t n = 0; n < s->states; n++, h += s->channels) {
        acc b = ls_load1(in + n), c = ls_load1(from + n);
        for (int64_t v = 0; v < vectors; v++) {
            acc *at = h + v * LS_LANES;
            __builtin_prefetch(at + 2 * s->channels, 1);
            vacc state = load_acc_upto(at, left - v * LS_LANES) * step.decay + put[v] * b;
            y[v] += state * c;
            store_acc_upto(at, state, left - v * LS_LANES);
        }
    }
    for (int64_t v = 0; v < vectors; v++)
        ls_store_upto(out + v * LS_LANES, y[v], left - v * LS_LANES);
}

/* h = decay h + delta B x', y = C h + D x of one head of stream b; h: (N, P), E from row to row. */
static void one_head(const LsNode *node, const Shape *s, int64_t b, int64_t head)
{
    const Ssd *ssd = node->attr;
    const real *x = (const real *)node->in[XBC]->data + b * s->row, *rows = x + s->channels;
    int64_t group = head / (s->heads / s->groups);
    const real *in = rows + group * s->states, *from = in + s->groups * s->states;
    acc *h = (acc *)node->in[STATE]->data + b * s->states * s->channels + head * s->size;
    acc raw = ls_load1((const real *)node->in[DELTA]->data + b * s->delta_row + s->first + head) +
              ((const acc *)node->in[BIAS]->data)[head];
    acc delta = ls_vsoftplus(ls_splat(raw))[0], skip = ((const acc *)node->in[SKIP]->data)[head];
    delta = delta < (acc)ssd->low ? (acc)ssd->low : delta > (acc)ssd->high ? (acc)ssd->high : delta;
    acc rate = -SSD_LOG2_E * (acc)exp((double)((const acc *)node->in[A_LOG]->data)[head]);
    acc decay = ls_decay(ls_splat(delta * rate))[0];
    real *out = (real *)node->out[0]->data + b * s->channels + head * s->size;
    for (int64_t e = 0; e < s->size; e += ONE_VECTORS * LS_LANES)
        one_columns(s, h + e, (Step){decay, delta, skip}, x + head * s->size + e, in, from, out + e, s->size - e);
}

static void one_step(const LsNode *node, const Shape *s)
{
#pragma omp parallel for collapse(2) schedule(static) if (s->streams * s->channels * s->states > SSD_ONE_SHARED)
    for (int64_t b = 0; b < s->streams; b++)
        for (int64_t head = 0; head < s->heads; head++)
            one_head(node, s, b, head);
}

#endif
