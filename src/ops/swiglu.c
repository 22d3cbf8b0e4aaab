/* y = silu(gate) up: the gated linear unit of feed-forward layers (Shazeer 2020, "GLU variants improve Transformer"),
 * one pass over memory where silu and mul would make two and keep their product's factor.
 *
 * With s = sigmoid(gate): dL/dup = silu(gate) dL/dy, dL/dgate = up s (1 + gate (1 - s)) dL/dy. */
#include "ops/pair.h"
#include "ops/vec_math.h"

enum { BLOCK = 4096 }; /* elements a thread takes at a time */

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *gate = node->in[0]->data, *up = node->in[1]->data;
    real *y = node->out[0]->data;
    int64_t count = node->out[0]->count;
#pragma omp parallel for schedule(static) if (count > BLOCK)
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t last = first + BLOCK < count ? first + BLOCK : count;
        for (int64_t i = first; i < last; i += LS_LANES) {
            vacc a = ls_load_upto(gate + i, last - i);
            ls_store_upto(y + i, a * ls_vsigmoid(a) * ls_load_upto(up + i, last - i), last - i);
        }
    }
    return LS_OK;
}

LS_INLINE void give(real *grad, vacc g, bool want, bool add, int64_t n)
{
    if (want)
        ls_store_upto(grad, add ? ls_load_upto(grad, n) + g : g, n);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *gate = node->in[0]->data, *up = node->in[1]->data, *dy = node->out[0]->grad;
    real *dgate = node->in[0]->grad, *dup = node->in[1]->grad;
    bool want_gate = ls_wants(node, 0), want_up = ls_wants(node, 1), add_gate = ls_adds(node, 0),
         add_up = ls_adds(node, 1);
    int64_t count = node->out[0]->count;
#pragma omp parallel for schedule(static) if (count > BLOCK)
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t last = first + BLOCK < count ? first + BLOCK : count;
        for (int64_t i = first; i < last; i += LS_LANES) {
            int64_t n = last - i;
            vacc a = ls_load_upto(gate + i, n), b = ls_load_upto(up + i, n), g = ls_load_upto(dy + i, n),
                 s = ls_vsigmoid(a);
            give(dgate + i, g * b * s * (1 + a * (1 - s)), want_gate, add_gate, n);
            give(dup + i, g * a * s, want_up, add_up, n);
        }
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *gate = node->in[0]->data, *up = node->in[1]->data;
    real *y = node->out[0]->data;
    for (int64_t i = 0; i < node->out[0]->count; i++) {
        double a = (double)ls_load1(gate + i);
        ls_store1(y + i, (acc)(a / (1 + exp(-a)) * (double)ls_load1(up + i)));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){21 * count, 3 * count * sizeof(real)};
    *bwd = (LsCost){27 * count, 5 * count * sizeof(real)};
}

/* ls_swiglu(g, gate, up): gate, up: any one shape -> the same. */
LS_BUILDER LsTensor *ls_swiglu(LsGraph *g, LsTensor *gate, LsTensor *up)
{
    return ls_node(g, "swiglu", 2, (LsTensor *[]){gate, up}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 733}, {4, 9}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    LsTensor *gate = ls_case_input(g, "gate", LS_REAL, -4, 4, 2, dims[which]);
    ls_swiglu(g, gate, which == 3 ? gate : ls_case_input(g, "up", LS_REAL, -2, 2, 2, dims[which]));
    return true;
}

LS_OP(swiglu) = {
    .name = "swiglu",
    .formula = "y = silu(gate) up",
    .infer = ls_pair_infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .cases = cases,
    .bf16_ulps = 1, /* where gate and up are one tensor, its gradient is stored twice */
};
