/* y = x / sqrt(mean(x^2) + eps) scale over the last dimension (Zhang and Sennrich 2019, "Root mean square layer
 * normalization"). Forward and backward are in src/ops/norm.h; out[1] keeps 1 / sqrt(mean(x^2) + eps) of each row. */
#include "ops/norm.h"

static LsStatus infer(LsNode *node) { return ls_norm_infer(node, 1); }

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    return ls_norm_forward(node, false);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    return ls_norm_backward(node, false);
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    const acc *scale = node->in[1]->data;
    acc *rstd = node->out[1]->data;
    real *y = node->out[0]->data;
    int64_t columns = node->in[1]->count, rows = node->in[0]->count / columns;
    for (int64_t r = 0; r < rows; r++) {
        double square = 0;
        for (int64_t j = 0; j < columns; j++)
            square += pow((double)ls_load1(x + r * columns + j), 2);
        double factor = 1 / sqrt(square / (double)columns + ((const Norm *)node->attr)->eps);
        for (int64_t j = 0; j < columns; j++)
            ls_store1(y + r * columns + j, (acc)((double)ls_load1(x + r * columns + j) * factor * (double)scale[j]));
        rstd[r] = (acc)factor;
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[0]->count;
    *fwd = (LsCost){4 * count, 2 * count * sizeof(real)};
    *bwd = (LsCost){11 * count, 3 * count * sizeof(real)};
}

/* ls_rms_norm(g, x, scale, eps): x: (..., C), scale: (C) -> (..., C). Declare scale with LS_PRECISE | LS_NO_DECAY. */
LS_BUILDER LsTensor *ls_rms_norm(LsGraph *g, LsTensor *x, LsTensor *scale, double eps)
{
    return ls_node(g, "rms_norm", 2, (LsTensor *[]){x, scale}, &(Norm){eps}, sizeof(Norm));
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][3] = {{1, 1, 4}, {2, 3, 5}, {3, 37, 17}, {1, 3, 133}}; /* B, T, C */
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 2, 3, list[which]);
    ls_rms_norm(g, x, ls_case_param(g, "scale", LS_PRECISE, 0.5, 1.5, 1, &list[which][2]), 1e-5);
    return true;
}

LS_OP(rms_norm) = {
    .name = "rms_norm",
    .formula = "y = x / sqrt(mean(x^2) + eps) scale",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .saves_out = 2,
    .param_in = 2,
    .fuses = "add",
    .cases = cases,
};
