/* y = x_p w_p, x_p the p-th of the equal parts that the columns of x fall into, w_p: (R, N) the p-th matrix of w: the
 * second halves of several maps of low rank whose first halves are one product (RWKV-6).
 *
 *     dL/dx_p = dL/dy w_p^T,   dL/dw_p = x_p^T dL/dy */
#include "ops/op_build.h"

typedef struct LinearPart {
    int64_t part;
} LinearPart;

typedef struct Part {
    int64_t rows, columns, rank, outputs, first, start; /* columns of x; its part's first; where w_p begins */
} Part;

static Part part_of(const LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1];
    Part p = {.columns = w->dim[0] * w->dim[1], .rank = w->dim[1], .outputs = w->dim[2]};
    p.rows = x->count / p.columns;
    p.first = ((const LinearPart *)node->attr)->part * p.rank;
    p.start = p.first * p.outputs;
    return p;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1];
    int64_t part = ((const LinearPart *)node->attr)->part, dim[LS_MAX_RANK];
    if (x->dtype != LS_REAL || w->dtype != LS_REAL || w->rank != 3 || x->dim[x->rank - 1] != w->dim[0] * w->dim[1])
        return ls_node_fail(node, "linear_part: x %s does not fit w %s: x must be (..., P R), w (P, R, N)",
                            ls_shape_text(x), ls_shape_text(w));
    if (part < 0 || part >= w->dim[0])
        return ls_node_fail(node, "linear_part: there is no part %lld of w %s", (long long)part, ls_shape_text(w));
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = w->dim[2];
    return ls_node_output(node, LS_REAL, x->rank, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Part p = part_of(node);
    return ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = p.rows,
                             .n = p.outputs,
                             .k = p.rank,
                             .a = (const real *)node->in[0]->data + p.first,
                             .lda = p.columns,
                             .b = (const real *)node->in[1]->data + p.start,
                             .ldb = p.outputs,
                             .c = node->out[0]->data,
                             .ldc = p.outputs});
}

/* Where this node is the first to write a gradient, what other parts add to is zero before. */
static void clear_others(const LsNode *node, const Part *p)
{
    if (ls_wants(node, 1) && !ls_adds(node, 1))
        memset(node->in[1]->grad, 0, (size_t)node->in[1]->count * sizeof(acc));
    if (ls_wants(node, 0) && !ls_adds(node, 0) && !ls_partial_grad(node, 0))
        memset(node->in[0]->grad, 0, (size_t)(p->rows * p->columns) * sizeof(real));
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Part p = part_of(node);
    clear_others(node, &p);
    if (ls_wants(node, 1))
        LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                                 .m = p.rank,
                                 .n = p.outputs,
                                 .k = p.rows,
                                 .a = (const real *)node->in[0]->data + p.first,
                                 .lda = p.columns,
                                 .transpose_a = true,
                                 .b = node->out[0]->grad,
                                 .ldb = p.outputs,
                                 .c = (acc *)node->in[1]->grad + p.start,
                                 .ldc = p.outputs,
                                 .c_float = true,
                                 .accumulate = ls_adds(node, 1)}));
    if (!ls_wants(node, 0))
        return LS_OK;
    return ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = p.rows,
                             .n = p.rank,
                             .k = p.outputs,
                             .a = node->out[0]->grad,
                             .lda = p.outputs,
                             .b = (const real *)node->in[1]->data + p.start,
                             .ldb = p.outputs,
                             .transpose_b = true,
                             .c = (real *)node->in[0]->grad + p.first,
                             .ldc = p.columns,
                             .accumulate = ls_adds(node, 0)});
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    Part p = part_of(node);
    const real *x = (const real *)node->in[0]->data + p.first, *w = (const real *)node->in[1]->data + p.start;
    for (int64_t i = 0; i < p.rows; i++)
        for (int64_t j = 0; j < p.outputs; j++) {
            double sum = 0;
            for (int64_t k = 0; k < p.rank; k++)
                sum += (double)ls_load1(x + i * p.columns + k) * (double)ls_load1(w + k * p.outputs + j);
            ls_store1((real *)node->out[0]->data + i * p.outputs + j, (acc)sum);
        }
    return LS_OK;
}

static bool grad_columns(const LsNode *node, int i, int64_t *first, int64_t *count)
{
    Part p = part_of(node);
    *first = p.first;
    *count = p.rank;
    return i == 0;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Part p = part_of(node);
    double y = (double)node->out[0]->count, flops = 2 * y * (double)p.rank;
    double bytes = (double)(p.rows * p.rank) + (double)(p.rank * p.outputs) + y;
    *fwd = (LsCost){.flops = flops, .bytes = bytes * sizeof(real), .products = flops};
    *bwd = (LsCost){.flops = 2 * flops, .bytes = 2 * bytes * sizeof(real), .products = 2 * flops};
}

/* ls_linear_part(g, x, w, part): x: (..., P R); w: (P, R, N), a parameter; part: which of the P. -> (..., N) */
LS_BUILDER LsTensor *ls_linear_part(LsGraph *g, LsTensor *x, LsTensor *w, int64_t part)
{
    return ls_node(g, "linear_part", 2, (LsTensor *[]){x, w}, &(LinearPart){part}, sizeof(LinearPart));
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][6] = {/* B, T, P, R, N, part */
                                      {1, 1, 1, 1, 1, 0},
                                      {2, 3, 2, 5, 7, 1},
                                      {2, 9, 3, 8, 33, 0},
                                      {1, 40, 2, 17, 20, 1}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *c = list[which];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){c[0], c[1], c[2] * c[3]});
    ls_linear_part(g, x, ls_case_param(g, "w", 0, -1, 1, 3, &c[2]), c[5]);
    return true;
}

LS_OP(linear_part) = {
    .name = "linear_part",
    .formula = "y = x_p w_p",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .grad_columns = grad_columns,
    .saves_in = 3,
    .param_in = 2,
    .cases = cases,
};
