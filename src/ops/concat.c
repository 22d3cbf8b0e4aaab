/* y: (..., C_1 + C_2 + ...) = tensors x_k: (..., C_k) side by side along the last dimension: copies of their
 * columns. */
#include "ops/op_build.h"

static LsStatus infer(LsNode *node)
{
    const LsTensor *first = node->in[0];
    int64_t dim[LS_MAX_RANK] = {0}, columns = 0;
    for (int k = 0; k < node->inputs; k++) {
        const LsTensor *x = node->in[k];
        bool fits = x->dtype == LS_REAL && x->rank == first->rank && x->rank > 0;
        for (int i = 0; fits && i < x->rank - 1; i++)
            fits = x->dim[i] == first->dim[i];
        if (!fits)
            return ls_node_fail(node, "concat: %s %s cannot stand beside %s %s: only the last dimension may differ",
                                x->name, ls_shape_text(x), first->name, ls_shape_text(first));
        columns += x->dim[x->rank - 1];
    }
    memcpy(dim, first->dim, sizeof dim);
    dim[first->rank - 1] = columns;
    return ls_node_output(node, LS_REAL, first->rank, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *y = node->out[0];
    int64_t columns = y->dim[y->rank - 1], rows = y->count / columns;
#pragma omp parallel for schedule(static) if (y->count > 65536)
    for (int64_t i = 0; i < rows; i++) {
        real *to = (real *)y->data + i * columns;
        for (int k = 0; k < node->inputs; k++) {
            int64_t width = node->in[k]->dim[y->rank - 1];
            memcpy(to, (const real *)node->in[k]->data + i * width, (size_t)width * sizeof(real));
            to += width;
        }
    }
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *y = node->out[0];
    int64_t columns = y->dim[y->rank - 1], rows = y->count / columns;
#pragma omp parallel for schedule(static) if (y->count > 65536)
    for (int64_t i = 0; i < rows; i++) {
        const real *from = (const real *)y->grad + i * columns;
        for (int k = 0; k < node->inputs; k++) {
            int64_t width = node->in[k]->dim[y->rank - 1];
            real *to = ls_wants(node, k) ? (real *)node->in[k]->grad + i * width : NULL;
            for (int64_t j = 0; to && j < width; j++)
                ls_store1(to + j, ls_adds(node, k) ? ls_load1(to + j) + ls_load1(from + j) : ls_load1(from + j));
            from += width;
        }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){0, 2 * count * sizeof(real)};
    *bwd = (LsCost){0, 2 * count * sizeof(real)};
}

/* ls_concat(g, parts, x): x: `parts` (at most LS_MAX_IN) tensors (..., C_k) -> (..., sum of C_k). */
LS_BUILDER LsTensor *ls_concat(LsGraph *g, int parts, LsTensor *const *x)
{
    return ls_node(g, "concat", parts, x, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t rows[2];
        int parts;
        int64_t width[3];
    } table[] = {{{1, 1}, 1, {1}}, {{2, 3}, 2, {3, 4}}, {{3, 5}, 3, {1, 2, 17}}, {{1, 2}, 2, {33, 16}}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    LsTensor *x[3];
    for (int k = 0; k < table[which].parts; k++) {
        char name[2] = {(char)('a' + k), 0};
        x[k] = ls_case_input(g, name, LS_REAL, -2, 2, 3,
                             (int64_t[]){table[which].rows[0], table[which].rows[1], table[which].width[k]});
    }
    ls_concat(g, table[which].parts, x);
    return true;
}

LS_OP(concat) = {
    .name = "concat",
    .formula = "y = x_1, x_2, ... side by side",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .cases = cases,
};
