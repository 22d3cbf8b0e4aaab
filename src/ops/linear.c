/* y = act(x w^T + bias): the dense layer.
 *
 * With h = x w^T + bias and g = dL/dy act'(h):
 *     dL/dx = g w,   dL/dw = g^T x,   dL/dbias = sum of the rows of g
 * out[1] keeps act'(h) for the backward where there is an activation: forward has most of it at hand. */
#include "ops/linear.h"

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    const Linear *linear = node->attr;
    int64_t dim[LS_MAX_RANK];
    LS_TRY(ls_linear_shape(node, LS_REAL, dim));
    int64_t rows = x->count / w->dim[1];
    if (bias)
        node->scratch_backward = ls_bias_space(rows, w->dim[0]);
    if (!ls_node_output(node, LS_REAL, x->rank, dim))
        return LS_RESOURCE;
    bool keep = linear->activation != LS_NO_ACTIVATION && ls_graph_mode(node->graph) == LS_TRAIN;
    return !keep || ls_node_output(node, LS_REAL, x->rank, dim) ? LS_OK : LS_RESOURCE;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Epilogue epilogue;
    LsGemm product = ls_linear_product(node, node->out[node->outputs > 1]->data, &epilogue);
    return ls_gemm(&product);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    const Linear *linear = node->attr;
    int64_t n = w->dim[0], k = w->dim[1], m = x->count / k;
    real *g = node->out[0]->grad; /* (M, N), dL/dy at entry: nobody reads it after this node */
    bool want_bias = bias && ls_wants(node, 2);
    LsGemm dw = {.type = LS_GEMM_REAL,
                 .m = n, /* (N, K) = g^T x */
                 .n = k,
                 .k = m,
                 .a = g,
                 .lda = n,
                 .transpose_a = true,
                 .b = x->data,
                 .ldb = k,
                 .c = w->grad,
                 .ldc = k,
                 .c_float = true,
                 .accumulate = ls_adds(node, 1)};
    LsGemm dx = {.type = LS_GEMM_REAL,
                 .m = m, /* (M, K) = g w */
                 .n = k,
                 .k = n,
                 .a = g,
                 .lda = n,
                 .b = w->data,
                 .ldb = k,
                 .c = x->grad,
                 .ldc = k,
                 .accumulate = ls_adds(node, 0)};
    if (want_bias && ls_wants(node, 1) && ls_gemm_sums_rows(&dw)) {
        dw.row_sums = bias->grad;
        dw.add_row_sums = ls_adds(node, 2);
        want_bias = false;
    }
    if (linear->activation != LS_NO_ACTIVATION || want_bias)
        ls_make_g(node->outputs > 1 ? node->out[1]->data : NULL, g, m, n, node->scratch, want_bias ? bias->grad : NULL,
                  ls_adds(node, 2));
    if (ls_wants(node, 0) && ls_wants(node, 1))
        return ls_gemm_both(&dw, &dx);
    if (ls_wants(node, 1))
        return ls_gemm(&dw);
    return ls_wants(node, 0) ? ls_gemm(&dx) : LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data, *w = node->in[1]->data, *bias = node->in[2] ? node->in[2]->data : NULL;
    const Linear *linear = node->attr;
    real *y = node->out[0]->data;
    int64_t n = node->in[1]->dim[0], k = node->in[1]->dim[1], m = node->in[0]->count / k;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double h = bias ? (double)ls_load1(bias + j) : 0;
            for (int64_t p = 0; p < k; p++)
                h += (double)ls_load1(x + i * k + p) * (double)ls_load1(w + j * k + p);
            if (node->outputs > 1)
                ls_store1((real *)node->out[1]->data + i * n + j, (acc)ls_activations[linear->activation].slope(h));
            ls_store1(y + i * n + j, (acc)ls_activations[linear->activation].plain(h));
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double x = (double)node->in[0]->count, w = (double)node->in[1]->count, y = (double)node->out[0]->count;
    double flops = 2 * y * (double)node->in[1]->dim[1];
    *fwd = (LsCost){.flops = flops, .bytes = (x + w + y * node->outputs) * sizeof(real), .products = flops};
    *bwd = (LsCost){.flops = 2 * flops,
                    .bytes = (2 * x + w + y * node->outputs) * sizeof(real) + w * sizeof(acc),
                    .products = 2 * flops};
}

/* ls_linear(g, x, w, bias, activation): x: (..., K), w: (N, K) parameter, bias: (N) parameter or NULL -> (..., N).
 * activation: see LsActivation in lockstep/ops.h. */
LS_BUILDER LsTensor *ls_linear(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *bias, LsActivation activation)
{
    if (ls_graph_int8_weights(g) && w->role == LS_ROLE_PARAM)
        return ls_node(g, "linear_int8", 3, (LsTensor *[]){x, ls_param_int8(g, w), bias}, &(Linear){activation},
                       sizeof(Linear));
    return ls_node(g, "linear", 3, (LsTensor *[]){x, w, bias}, &(Linear){activation}, sizeof(Linear));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, k, n;
        bool bias;
        LsActivation activation;
    } list[] = {{1, 1, 1, 1, false, LS_NO_ACTIVATION}, {2, 3, 5, 7, true, LS_NO_ACTIVATION},
                {3, 11, 17, 33, true, LS_GELU},        {1, 9, 16, 19, true, LS_GELU_TANH},
                {2, 13, 8, 35, false, LS_SILU},        {1, 20, 9, 48, true, LS_RELU},
                {2, 4, 6, 5, false, LS_GELU_TANH},     {3, 300, 128, 40, true, LS_GELU} /* for tiles, deep */};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t n = list[which].n, k = list[which].k;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){list[which].b, list[which].t, k});
    LsTensor *w = ls_case_param(g, "w", 0, -1, 1, 2, (int64_t[]){n, k});
    LsTensor *bias = list[which].bias ? ls_case_param(g, "bias", 0, -1, 1, 1, (int64_t[]){n}) : NULL;
    ls_linear(g, x, w, bias, list[which].activation);
    return true;
}

LS_OP(linear) = {
    .name = "linear",
    .formula = "y = act(x w^T + bias)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .saves_out = 2,
    .param_in = 6,
    .cases = cases,
    /* In bfloat16 act'(h) is made of an h that was rounded, and is rounded, as is g: an element of g is off by
     * (|act''(h) h| + 2 |act'(h)|) 2^-9 dy, of which the brackets stay below 3; in sums over them errors of random sign
     * grow no faster than the sums. */
    .bf16_ulps = 2,
};
