/* y: (B, 1, C) = the last time step of x: (B, T, C), for generation and for many-to-one models. */
#include "ops/op_build.h"

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    if (x->rank != 3 || x->dtype != LS_REAL)
        return ls_node_fail(node, "last: x %s must be (B, T, C)", ls_shape_text(x));
    return ls_node_output(node, LS_REAL, 3, (int64_t[]){x->dim[0], 1, x->dim[2]}) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0];
    int64_t streams = x->dim[0], steps = x->dim[1], columns = x->dim[2];
    for (int64_t b = 0; b < streams; b++)
        memcpy((real *)node->out[0]->data + b * columns, (const real *)x->data + (b * steps + steps - 1) * columns,
               (size_t)columns * sizeof(real));
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0];
    int64_t streams = x->dim[0], steps = x->dim[1], columns = x->dim[2];
    const real *dy = node->out[0]->grad;
    real *dx = x->grad;
    if (!ls_adds(node, 0))
        memset(dx, 0, (size_t)x->count * sizeof(real));
    for (int64_t b = 0; b < streams; b++)
        for (int64_t i = 0; i < columns; i++) {
            real *to = dx + (b * steps + steps - 1) * columns + i;
            ls_store1(to, ls_load1(to) + ls_load1(dy + b * columns + i));
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    *fwd = (LsCost){0, 2 * (double)node->out[0]->count * sizeof(real)};
    *bwd = (LsCost){0, (double)node->in[0]->count * sizeof(real)};
}

/* ls_last(g, x): x: (B, T, C) -> (B, 1, C). */
LS_BUILDER LsTensor *ls_last(LsGraph *g, LsTensor *x) { return ls_node(g, "last", 1, &x, NULL, 0); }

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][3] = {{1, 1, 1}, {2, 3, 5}, {3, 4, 17}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    ls_last(g, ls_case_input(g, "x", LS_REAL, -2, 2, 3, dims[which]));
    return true;
}

LS_OP(last) = {
    .name = "last",
    .formula = "y = x[:, T - 1, :]",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .mixes_time = true,
    .cases = cases,
};
