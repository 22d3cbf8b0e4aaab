/* y = act(x w^T + bias) with the weights in 8 bits: w_jk = scale_j q_jk, q_jk = round(w_jk / scale_j), scale_j = max_k
 * |w_jk| / 127.
 *
 * Row j of the exact layer is off by at most scale_j / 2 times sum_k |x_k|. The layer is forward only; ls_linear makes
 * it in graphs with int8_weights. Where the rows of x are few, the time is that of reading the weights: a fourth of
 * those in float. */
#include "ops/linear.h"

static LsStatus infer(LsNode *node)
{
    int64_t dim[LS_MAX_RANK];
    LS_TRY(ls_linear_shape(node, LS_I8, dim));
    return ls_node_output(node, LS_REAL, node->in[0]->rank, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data, *bias = node->in[2] ? node->in[2]->data : NULL;
    const int8_t *w = node->in[1]->data;
    const float *scale = ls_param_row_scale(node->graph, node->in[1]);
    const Linear *linear = node->attr;
    int64_t n = node->in[1]->dim[0], k = node->in[1]->dim[1], m = node->in[0]->count / k;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double h = 0;
            for (int64_t p = 0; p < k; p++)
                h += (double)ls_load1(x + i * k + p) * w[j * k + p];
            h = h * (double)scale[j] + (bias ? (double)ls_load1(bias + j) : 0);
            ls_store1((real *)node->out[0]->data + i * n + j, (acc)ls_activations[linear->activation].plain(h));
        }
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
#ifdef LS_BUILD_FLOAT64
    return reference(node, run); /* for checks only */
#else
    (void)run;
    Epilogue epilogue;
    LsGemm product = ls_linear_product(node, node->out[0]->data, &epilogue);
    product.b_scale = ls_param_row_scale(node->graph, node->in[1]);
    return ls_gemm(&product);
#endif
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double x = (double)node->in[0]->count, w = (double)node->in[1]->count, y = (double)node->out[0]->count;
    *fwd = (LsCost){2 * y * (double)node->in[1]->dim[1], (x + y) * sizeof(real) + w + 4 * (double)node->in[1]->dim[0]};
    *bwd = (LsCost){0};
}

/* ls_linear_int8(g, x, w, bias, activation): x: (..., K), w: parameter (N, K), bias: parameter (N) or NULL -> (..., N).
 * Of graphs with int8_weights only. */
LS_BUILDER LsTensor *ls_linear_int8(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *bias, LsActivation activation)
{
    return ls_node(g, "linear_int8", 3, (LsTensor *[]){x, ls_param_int8(g, w), bias}, &(Linear){activation},
                   sizeof(Linear));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, k, n;
        bool bias;
        LsActivation activation;
    } list[] = {{1, 1, 1, 1, false, LS_NO_ACTIVATION}, {2, 3, 5, 7, true, LS_NO_ACTIVATION},
                {3, 7, 17, 33, true, LS_GELU},         {1, 1, 130, 19, true, LS_GELU_TANH},
                {2, 8, 64, 35, false, LS_SILU},        {1, 20, 9, 48, true, LS_RELU}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t n = list[which].n, k = list[which].k;
    /* a state: forward only */
    LsTensor *x = ls_case_state(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){list[which].b, list[which].t, k});
    LsTensor *w = ls_case_param(g, "w", 0, -1, 1, 2, (int64_t[]){n, k});
    LsTensor *bias = list[which].bias ? ls_case_param(g, "bias", 0, -1, 1, 1, (int64_t[]){n}) : NULL;
    ls_linear_int8(g, x, w, bias, list[which].activation);
    return true;
}

LS_OP(linear_int8) = {
    .name = "linear_int8",
    .formula = "y = act(x (scale q)^T + bias)",
    .infer = infer,
    .forward = forward,
    .reference = reference,
    .cost = cost,
    .param_in = 6,
    .cases = cases,
    /* Many rows of x meet weights widened to bfloat16, off by 2^-8 of themselves, and an activation stored again. */
    .bf16_ulps = 2,
};
