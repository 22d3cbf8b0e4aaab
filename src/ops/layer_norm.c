/* y = (x - mean) / sqrt(variance + eps) scale + bias over the last dimension (Ba, Kiros, Hinton 2016, "Layer
 * normalization"). Forward and backward are in src/ops/norm.h; out[1] and out[2] keep mean and 1 / sqrt(variance + eps)
 * of each row. */
#include "ops/norm.h"

static LsStatus infer(LsNode *node) { return ls_norm_infer(node, 2); }

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    return ls_norm_forward(node, true);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    return ls_norm_backward(node, true);
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    const acc *scale = node->in[1]->data, *bias = node->in[2] ? node->in[2]->data : NULL;
    acc *mean = node->out[1]->data, *rstd = node->out[2]->data;
    real *y = node->out[0]->data;
    int64_t columns = node->in[1]->count, rows = node->in[0]->count / columns;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, square = 0;
        for (int64_t j = 0; j < columns; j++)
            sum += (double)ls_load1(x + r * columns + j);
        double center = sum / (double)columns;
        for (int64_t j = 0; j < columns; j++)
            square += pow((double)ls_load1(x + r * columns + j) - center, 2);
        double factor = 1 / sqrt(square / (double)columns + ((const Norm *)node->attr)->eps);
        for (int64_t j = 0; j < columns; j++) {
            double h = ((double)ls_load1(x + r * columns + j) - center) * factor;
            ls_store1(y + r * columns + j, (acc)(h * (double)scale[j] + (bias ? (double)bias[j] : 0)));
        }
        mean[r] = (acc)center;
        rstd[r] = (acc)factor;
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[0]->count;
    *fwd = (LsCost){7 * count, 2 * count * sizeof(real)};
    *bwd = (LsCost){15 * count, 3 * count * sizeof(real)};
}

/* ls_layer_norm(g, x, scale, bias, eps): x: (..., C), scale: (C), bias: (C) or NULL -> (..., C). Declare scale and bias
 * with LS_PRECISE | LS_NO_DECAY. */
LS_BUILDER LsTensor *ls_layer_norm(LsGraph *g, LsTensor *x, LsTensor *scale, LsTensor *bias, double eps)
{
    return ls_node(g, "layer_norm", 3, (LsTensor *[]){x, scale, bias}, &(Norm){eps}, sizeof(Norm));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, c;
        bool bias;
    } list[] = {{1, 1, 4, true}, {2, 3, 5, true}, {3, 37, 17, true}, {2, 2, 40, false}, {1, 3, 133, true}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t c = list[which].c;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 2, 3, (int64_t[]){list[which].b, list[which].t, c});
    LsTensor *scale = ls_case_param(g, "scale", LS_PRECISE, 0.5, 1.5, 1, &c);
    ls_layer_norm(g, x, scale, list[which].bias ? ls_case_param(g, "bias", LS_PRECISE, -1, 1, 1, &c) : NULL, 1e-5);
    return true;
}

LS_OP(layer_norm) = {
    .name = "layer_norm",
    .formula = "y = (x - mean) / sqrt(variance + eps) scale + bias",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .saves_out = 6,
    .param_in = 6,
    .fuses = "add",
    .cases = cases,
};
