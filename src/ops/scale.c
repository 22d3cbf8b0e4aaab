/* y = factor x, element by element. */
#include "ops/op_build.h"

typedef struct Scale {
    double factor;
} Scale;

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    if (x->dtype != LS_REAL)
        return ls_node_fail(node, "scale: x %s must hold activations", ls_shape_text(x));
    return ls_node_output(node, LS_REAL, x->rank, x->dim) ? LS_OK : LS_RESOURCE;
}

/* y is, or has added, factor x. */
static void scale_all(const LsNode *node, const real *x, real *y, int64_t count, bool add)
{
    acc factor = (acc)((const Scale *)node->attr)->factor;
#pragma omp parallel for simd schedule(static) if (count > 4096)
    for (int64_t i = 0; i < count; i++)
        ls_store1(y + i, (add ? ls_load1(y + i) : 0) + factor * ls_load1(x + i));
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    scale_all(node, node->in[0]->data, node->out[0]->data, node->out[0]->count, false);
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    scale_all(node, node->out[0]->grad, node->in[0]->grad, node->out[0]->count, ls_adds(node, 0));
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = *bwd = (LsCost){count, 2 * count * sizeof(real)};
}

/* ls_scale(g, x, factor): x: any shape -> the same */
LS_BUILDER LsTensor *ls_scale(LsGraph *g, LsTensor *x, double factor)
{
    return ls_node(g, "scale", 1, (LsTensor *[]){x}, &(Scale){factor}, sizeof(Scale));
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 33}, {5, 1000}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    ls_scale(g, ls_case_input(g, "x", LS_REAL, -2, 2, 2, dims[which]), which % 2 ? 3.7 : -0.25);
    return true;
}

LS_OP(scale) = {
    .name = "scale",
    .formula = "y = factor x",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .in_place = 1,
    .cases = cases,
};
