/* y = a + b, element by element: the residual connection; or the sum of two losses. */
#include "ops/pair.h"
#include "ops/pass.h"

static bool are_losses(const LsNode *node) { return node->in[0]->dtype == LS_ACC && node->in[1]->dtype == LS_ACC; }

static LsStatus infer(LsNode *node)
{
    if (!are_losses(node) || node->in[0]->count != 1 || node->in[1]->count != 1)
        return ls_pair_infer(node);
    return ls_node_output(node, LS_ACC, 1, (int64_t[]){1}) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (are_losses(node)) {
        *(acc *)node->out[0]->data = *(const acc *)node->in[0]->data + *(const acc *)node->in[1]->data;
        return LS_OK;
    }
    ls_sum_of(node->in[0]->data, node->in[1]->data, node->out[0]->data, node->out[0]->count);
    return LS_OK;
}

/* dL/da = dL/db = dL/dy */
static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    for (int i = 0; i < 2 && are_losses(node); i++) {
        acc *dx = node->in[i]->grad, dy = *(const acc *)node->out[0]->grad;
        if (ls_wants(node, i))
            *dx = ls_adds(node, i) ? *dx + dy : dy;
    }
    if (are_losses(node))
        return LS_OK;
    ls_pass_gradient(node, 0);
    ls_pass_gradient(node, 1);
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){count, 3 * count * sizeof(real)};
    *bwd = (LsCost){count, 3 * count * sizeof(real)};
}

/* ls_add(g, a, b): a, b: any one shape, or two losses (1) LS_ACC -> the same. May take over the memory of either. A
 * norm that follows does both in one pass. */
LS_BUILDER LsTensor *ls_add(LsGraph *g, LsTensor *a, LsTensor *b)
{
    return ls_node(g, "add", 2, (LsTensor *[]){a, b}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 33}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    ls_add(g, ls_case_input(g, "a", LS_REAL, -2, 2, 2, dims[which]),
           ls_case_input(g, "b", LS_REAL, -2, 2, 2, dims[which]));
    return true;
}

LS_OP(add) = {
    .name = "add",
    .formula = "y = a + b",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .in_place = 3,
    .cases = cases,
};
