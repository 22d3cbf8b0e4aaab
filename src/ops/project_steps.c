/* A sequence's steps as so many sums of them, whatever its length (Wang et al. 2020, "Linformer", equation 7):
 *
 *     y_b = w_p x_b over the columns of each of P equal parts, w_p: (K, N) from its first column to the length of x_b
 *     dL/dx_b = w_p^T dL/dy_b,   dL/dw_p = sum_b dL/dy_b x_b^T */
#include "ops/op_build.h"

enum { X, W, LENGTHS, INPUTS };

typedef struct Steps {
    int64_t steps, width, parts, outputs, most, columns; /* T, C, P, K, N, C / P */
} Steps;

static Steps steps_of(const LsNode *node)
{
    const LsTensor *x = node->in[X], *w = node->in[W];
    return (Steps){x->dim[1], x->dim[2], w->dim[0], w->dim[1], w->dim[2], x->dim[2] / w->dim[0]};
}

static int64_t length_of(const LsNode *node, int64_t b)
{
    return node->in[LENGTHS] ? ((const int32_t *)node->in[LENGTHS]->data)[b] : node->in[X]->dim[1];
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[X], *w = node->in[W], *lengths = node->in[LENGTHS];
    if (x->dtype != LS_REAL || x->rank != 3 || w->dtype != LS_REAL || w->rank != 3 || x->dim[2] % w->dim[0])
        return ls_node_fail(node, "project_steps: x %s must be (B, T, P C), w %s (P, K, N)", ls_shape_text(x),
                            ls_shape_text(w));
    if (x->dim[1] > w->dim[2])
        return ls_node_fail(node, "project_steps: %lld steps are more than the %lld that w %s is for",
                            (long long)x->dim[1], (long long)w->dim[2], ls_shape_text(w));
    if (lengths && (lengths->rank != 1 || lengths->dtype != LS_I32 || lengths->dim[0] != x->dim[0]))
        return ls_node_fail(node, "project_steps: lengths %s must be (%lld), 32-bit integers", ls_shape_text(lengths),
                            (long long)x->dim[0]);
    return ls_node_output(node, LS_REAL, 3, (int64_t[]){x->dim[0], w->dim[1], x->dim[2]}) ? LS_OK : LS_RESOURCE;
}

static LsStatus check_lengths(const LsNode *node)
{
    for (int64_t b = 0; b < node->in[X]->dim[0]; b++)
        if (length_of(node, b) < 0 || length_of(node, b) > node->in[X]->dim[1])
            return ls_fail(LS_DATA, "%s: length %lld of sample %lld is not within 0 and the %lld steps that there are",
                           node->name, (long long)length_of(node, b), (long long)b, (long long)node->in[X]->dim[1]);
    return LS_OK;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Steps s = steps_of(node);
    LS_TRY(check_lengths(node));
    for (int64_t b = 0; b < node->in[X]->dim[0]; b++) {
        real *y = (real *)node->out[0]->data + b * s.outputs * s.width;
        if (length_of(node, b) == 0)
            memset(y, 0, (size_t)(s.outputs * s.width) * sizeof *y);
        for (int64_t p = 0; length_of(node, b) > 0 && p < s.parts; p++)
            LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                                     .m = s.outputs,
                                     .n = s.columns,
                                     .k = length_of(node, b),
                                     .a = (const real *)node->in[W]->data + p * s.outputs * s.most,
                                     .lda = s.most,
                                     .b = (const real *)node->in[X]->data + b * s.steps * s.width + p * s.columns,
                                     .ldb = s.width,
                                     .c = y + p * s.columns,
                                     .ldc = s.width}));
    }
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Steps behind the end of sample b. */
static void clear_rest(const LsNode *node, const Steps *s, int64_t b)
{
    int64_t length = length_of(node, b);
    real *dx = (real *)node->in[X]->grad + (b * s->steps + length) * s->width;
    memset(dx, 0, (size_t)((s->steps - length) * s->width) * sizeof *dx);
}

static LsStatus backward_part(const LsNode *node, const Steps *s, int64_t b, int64_t p)
{
    int64_t from = b * s->steps * s->width + p * s->columns, length = length_of(node, b);
    const real *dy = (const real *)node->out[0]->grad + b * s->outputs * s->width + p * s->columns;
    LsGemm dw = {.type = LS_GEMM_REAL, /* (K, length) += dy x^T */
                 .m = s->outputs,
                 .n = length,
                 .k = s->columns,
                 .a = dy,
                 .lda = s->width,
                 .b = (const real *)node->in[X]->data + from,
                 .ldb = s->width,
                 .transpose_b = true,
                 .c = (acc *)node->in[W]->grad + p * s->outputs * s->most,
                 .ldc = s->most,
                 .c_float = true,
                 .accumulate = true};
    LsGemm dx = {.type = LS_GEMM_REAL, /* (length, C / P) = w^T dy */
                 .m = length,
                 .n = s->columns,
                 .k = s->outputs,
                 .a = (const real *)node->in[W]->data + p * s->outputs * s->most,
                 .lda = s->most,
                 .transpose_a = true,
                 .b = dy,
                 .ldb = s->width,
                 .c = (real *)node->in[X]->grad + from,
                 .ldc = s->width,
                 .accumulate = ls_adds(node, X)};
    if (ls_wants(node, W))
        LS_TRY(ls_gemm(&dw));
    return ls_wants(node, X) ? ls_gemm(&dx) : LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Steps s = steps_of(node);
    if (ls_wants(node, W) && !ls_adds(node, W))
        memset(node->in[W]->grad, 0, (size_t)node->in[W]->count * sizeof(acc));
    for (int64_t b = 0; b < node->in[X]->dim[0]; b++) {
        if (ls_wants(node, X) && !ls_adds(node, X))
            clear_rest(node, &s, b);
        for (int64_t p = 0; length_of(node, b) > 0 && p < s.parts; p++)
            LS_TRY(backward_part(node, &s, b, p));
    }
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    Steps s = steps_of(node);
    LS_TRY(check_lengths(node));
    const real *x = node->in[X]->data, *w = node->in[W]->data;
    for (int64_t i = 0; i < node->out[0]->count; i++) {
        int64_t b = i / (s.outputs * s.width), row = i / s.width % s.outputs, column = i % s.width;
        double sum = 0;
        for (int64_t t = 0; t < length_of(node, b); t++)
            sum += (double)ls_load1(w + (column / s.columns * s.outputs + row) * s.most + t) *
                   (double)ls_load1(x + (b * s.steps + t) * s.width + column);
        ls_store1((real *)node->out[0]->data + i, (acc)sum);
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Steps s = steps_of(node);
    double x = (double)node->in[X]->count, w = (double)node->in[W]->count, y = (double)node->out[0]->count;
    double flops = 2 * x * (double)s.outputs;
    *fwd = (LsCost){.flops = flops, .bytes = (x + w + y) * sizeof(real), .products = flops};
    *bwd =
        (LsCost){.flops = 2 * flops, .bytes = (2 * x + w + y) * sizeof(real) + w * sizeof(acc), .products = 2 * flops};
}

/* ls_project_steps(g, x, w, lengths): x: (B, T, P C); w: (P, K, N), a parameter, N at least T; lengths: (B) of LS_I32
 * or NULL: steps from there on count for nothing -> (B, K, P C). Forward fails with LS_DATA on a length past T. */
LS_BUILDER LsTensor *ls_project_steps(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *lengths)
{
    return ls_node(g, "project_steps", INPUTS, (LsTensor *[]){x, w, lengths}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][7] = {/* B, T, columns, P, K, N, lengths */
                                      {1, 1, 1, 1, 1, 1, 0},
                                      {2, 5, 3, 2, 4, 5, 0},
                                      {3, 7, 2, 3, 5, 11, 1},
                                      {2, 40, 17, 1, 9, 64, 1},
                                      {1, 130, 8, 4, 20, 130, 0}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *c = list[which];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){c[0], c[1], c[2] * c[3]}), *lengths = NULL;
    LsTensor *w = ls_case_param(g, "w", 0, -1, 1, 3, &c[3]);
    if (c[6])
        lengths = ls_case_input(g, "lengths", LS_I32, 0, (double)c[1] + 1, 1, c);
    ls_project_steps(g, x, w, lengths);
    return true;
}

LS_OP(project_steps) = {
    .name = "project_steps",
    .formula = "y = w x over the steps",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1u << X | 1u << W | 1u << LENGTHS,
    .param_in = 1u << W,
    .mixes_time = true,
    .cases = cases,
};
