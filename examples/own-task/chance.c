/* p = (1 + x / (1 + |x|)) / 2, element by element: a probability that comes to 0 and 1 more slowly than the logistic
 * function's. dL/dx = dL/dp / (2 (1 + |x|)^2). The op of own_task.c; lockstep_add_ops compiles it for each
 * precision. */
#include <lockstep/op_build.h>

#include <math.h>

/* x: any shape -> p: the same */
static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    if (x->dtype != LS_REAL)
        return ls_node_fail(node, "chance: %s holds no real numbers", x->name);
    return ls_node_output(node, LS_REAL, x->rank, x->dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    real *p = node->out[0]->data;
    for (int64_t i = 0; i < node->out[0]->count; i++) {
        acc v = ls_load1(x + i);
        ls_store1(p + i, (1 + v / (1 + (v < 0 ? -v : v))) / 2);
    }
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data, *dp = node->out[0]->grad;
    real *dx = node->in[0]->grad;
    bool adds = ls_adds(node, 0);
    for (int64_t i = 0; i < node->out[0]->count; i++) {
        acc v = ls_load1(x + i), wide = 1 + (v < 0 ? -v : v);
        ls_store1(dx + i, (adds ? ls_load1(dx + i) : 0) + ls_load1(dp + i) / (2 * wide * wide));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){.flops = 4 * count, .bytes = 2 * count * sizeof(real)};
    *bwd = (LsCost){.flops = 5 * count, .bytes = 3 * count * sizeof(real)};
}

/* own_chance(g, x): x: any shape -> the same */
LS_BUILDER LsTensor *own_chance(LsGraph *g, LsTensor *x) { return ls_node(g, "chance", 1, (LsTensor *[]){x}, NULL, 0); }

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 33}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    own_chance(g, ls_case_input(g, "x", LS_REAL, -3, 3, 2, dims[which]));
    return true;
}

LS_OP(chance) = {
    .name = "chance",
    .formula = "p = (1 + x / (1 + |x|)) / 2",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 1, /* bit 0: backward reads the data of in[0] */
    .cases = cases,
};
