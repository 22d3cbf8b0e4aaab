/* y = [a, b, ...] along the last dimension: the two directions of a recurrent layer, a query beside its context. */
#include "ops/op_build.h"

static int64_t width_of(const LsTensor *x) { return x->dim[x->rank - 1]; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *first = node->in[0];
    int64_t dim[LS_MAX_RANK], width = 0;
    for (int i = 0; i < node->inputs; i++) {
        const LsTensor *x = node->in[i];
        bool fits = x->dtype == LS_REAL && x->rank == first->rank && x->rank >= 1;
        for (int j = 0; fits && j < x->rank - 1; j++)
            fits = x->dim[j] == first->dim[j];
        if (!fits)
            return ls_node_fail(node, "concat: %s does not fit %s: all dimensions but the last must agree",
                                ls_shape_text(x), ls_shape_text(first));
        width += width_of(x);
    }
    for (int j = 0; j < first->rank; j++)
        dim[j] = first->dim[j];
    dim[first->rank - 1] = width;
    return ls_node_output(node, LS_REAL, first->rank, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t width = width_of(node->out[0]), rows = node->out[0]->count / width, at = 0;
    for (int i = 0; i < node->inputs; i++) {
        const real *x = node->in[i]->data;
        real *y = (real *)node->out[0]->data + at;
        int64_t own = width_of(node->in[i]);
#pragma omp parallel for schedule(static) if (rows * own > 4096)
        for (int64_t row = 0; row < rows; row++)
            memcpy(y + row * width, x + row * own, (size_t)own * sizeof(real));
        at += own;
    }
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t width = width_of(node->out[0]), rows = node->out[0]->count / width, at = 0;
    for (int i = 0; i < node->inputs; i++) {
        int64_t own = width_of(node->in[i]);
        const real *dy = (const real *)node->out[0]->grad + at;
        real *dx = node->in[i]->grad;
        bool add = ls_adds(node, i);
        at += own;
        if (!ls_wants(node, i))
            continue;
#pragma omp parallel for schedule(static) if (rows * own > 4096)
        for (int64_t row = 0; row < rows; row++)
            for (int64_t c = 0; c < own; c++)
                ls_store1(dx + row * own + c,
                          (add ? ls_load1(dx + row * own + c) : 0) + ls_load1(dy + row * width + c));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double bytes = 2 * (double)node->out[0]->count * sizeof(real);
    *fwd = (LsCost){.bytes = bytes};
    *bwd = (LsCost){.bytes = bytes};
}

/* ls_concat(g, a, b): a: (..., A), b: (..., B) -> (..., A + B). */
LS_BUILDER LsTensor *ls_concat(LsGraph *g, LsTensor *a, LsTensor *b)
{
    return ls_node(g, "concat", 2, (LsTensor *[]){a, b}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][4] = {{1, 1, 1, 1}, {2, 3, 5, 2}, {3, 1, 17, 40}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *d = list[which];
    LsTensor *a = ls_case_input(g, "a", LS_REAL, -2, 2, 3, d);
    ls_concat(g, a, ls_case_input(g, "b", LS_REAL, -2, 2, 3, (int64_t[]){d[0], d[1], d[3]}));
    return true;
}

LS_OP(concat) = {
    .name = "concat",
    .formula = "y = [a, b]",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .cases = cases,
};
