/* x: (..., C) cut along its last dimension into parts of given widths, one result each: copies of the columns. */
#include "ops/op_build.h"

typedef struct Split {
    int parts;
    int64_t width[LS_MAX_OUT];
} Split;

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    const Split *split = node->attr;
    int64_t sum = 0, dim[LS_MAX_RANK];
    for (int k = 0; k < split->parts && k < LS_MAX_OUT; k++)
        sum += split->width[k];
    if (x->dtype != LS_REAL || split->parts < 1 || split->parts > LS_MAX_OUT || sum != x->dim[x->rank - 1])
        return ls_node_fail(node, "split: %d parts (at most %d) of widths that sum to %lld do not fit x %s",
                            split->parts, LS_MAX_OUT, (long long)sum, ls_shape_text(x));
    memcpy(dim, x->dim, sizeof dim);
    for (int k = 0; k < split->parts; k++) {
        dim[x->rank - 1] = split->width[k];
        LsTensor *y = ls_node_output(node, LS_REAL, x->rank, dim);
        if (!y)
            return LS_RESOURCE;
        y->needs_grad = node->want != 0;
    }
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0];
    int64_t columns = x->dim[x->rank - 1], rows = x->count / columns;
#pragma omp parallel for schedule(static) if (x->count > 65536)
    for (int64_t i = 0; i < rows; i++) {
        const real *from = (const real *)x->data + i * columns;
        for (int k = 0; k < node->outputs; k++) {
            int64_t width = node->out[k]->dim[x->rank - 1];
            memcpy((real *)node->out[k]->data + i * width, from, (size_t)width * sizeof(real));
            from += width;
        }
    }
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0];
    int64_t columns = x->dim[x->rank - 1], rows = x->count / columns;
    bool add = ls_adds(node, 0);
#pragma omp parallel for schedule(static) if (x->count > 65536)
    for (int64_t i = 0; i < rows; i++) {
        real *to = (real *)x->grad + i * columns;
        for (int k = 0; k < node->outputs; k++) {
            int64_t width = node->out[k]->dim[x->rank - 1];
            const real *from = (const real *)node->out[k]->grad + i * width;
            for (int64_t j = 0; j < width; j++)
                ls_store1(to + j, add ? ls_load1(to + j) + ls_load1(from + j) : ls_load1(from + j));
            to += width;
        }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[0]->count;
    *fwd = (LsCost){0, 2 * count * sizeof(real)};
    *bwd = (LsCost){0, 2 * count * sizeof(real)};
}

/* ls_split(g, x, parts, width): x: (..., C) -> the first of `parts` (at most LS_MAX_OUT) tensors (..., width[k]); the
 * widths sum to C. The others are ls_tensor_sibling(first, 1), (first, 2), ... All have gradients. */
LS_BUILDER LsTensor *ls_split(LsGraph *g, LsTensor *x, int parts, const int64_t *width)
{
    Split split = {.parts = parts};
    for (int k = 0; k < parts && k < LS_MAX_OUT; k++)
        split.width[k] = width[k];
    return ls_node(g, "split", 1, &x, &split, sizeof split);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t dim[3];
        int parts;
        int64_t width[4];
    } table[] = {
        {{1, 1, 1}, 1, {1}}, {{2, 3, 7}, 2, {3, 4}}, {{3, 5, 20}, 3, {1, 2, 17}}, {{1, 2, 33}, 4, {16, 1, 15, 1}}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    ls_split(g, ls_case_input(g, "x", LS_REAL, -2, 2, 3, table[which].dim), table[which].parts, table[which].width);
    return true;
}

LS_OP(split) = {
    .name = "split",
    .formula = "y_k = columns of x",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .cases = cases,
};
