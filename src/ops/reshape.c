/* y = the elements of x, in order, in another shape. */
#include "ops/pass.h"

typedef struct Reshape {
    int rank;
    int64_t dim[LS_MAX_RANK]; /* one of them may be -1: what is left */
} Reshape;

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    const Reshape *a = node->attr;
    int64_t dim[LS_MAX_RANK] = {0}, count = 1;
    int left = -1, wrong = x->dtype != LS_REAL || a->rank < 1;
    for (int i = 0; i < a->rank; i++) {
        dim[i] = a->dim[i];
        wrong |= dim[i] < -1 || dim[i] == 0 || (dim[i] == -1 && left >= 0);
        if (dim[i] == -1)
            left = i;
        else
            count *= dim[i];
    }
    if (!wrong && left >= 0 && x->count % count == 0)
        count *= dim[left] = x->count / count;
    if (wrong || count != x->count)
        return ls_node_fail(node, "reshape: the %lld elements of x %s do not fill the shape wanted",
                            (long long)x->count, ls_shape_text(x));
    return ls_node_output(node, LS_REAL, a->rank, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    real *y = node->out[0]->data;
    int64_t count = node->out[0]->count, piece = 16384;
    if (x == y)
        return LS_OK;
#pragma omp parallel for schedule(static) if (count > piece)
    for (int64_t from = 0; from < count; from += piece)
        memcpy(y + from, x + from, (size_t)(count - from < piece ? count - from : piece) * sizeof(real));
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    ls_pass_gradient(node, 0);
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = *bwd = (LsCost){0, 2 * count * sizeof(real)};
}

/* ls_reshape(g, x, rank, dim): x: any shape -> (dim[0], ..., dim[rank - 1]), of which one may be -1: what is left.
 * Nothing is copied where nobody else reads x. ls_flatten(g, x) is the shape (B, -1). */
LS_BUILDER LsTensor *ls_reshape(LsGraph *g, LsTensor *x, int rank, const int64_t *dim)
{
    Reshape a = {.rank = rank <= LS_MAX_RANK ? rank : 0};
    memcpy(a.dim, dim, (size_t)(a.rank > 0 ? a.rank : 0) * sizeof *dim);
    return ls_node(g, "reshape", 1, &x, &a, sizeof a);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t from[4];
        int rank;
        int64_t to[LS_MAX_RANK];
    } list[] = {{{1, 1, 1, 1}, 1, {1}},
                {{2, 3, 5, 7}, 2, {2, -1}},
                {{3, 4, 1, 6}, 3, {-1, 4, 2}},
                {{2, 3, 4, 5}, 5, {2, 2, 3, 2, 5}}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    ls_reshape(g, ls_case_input(g, "x", LS_REAL, -2, 2, 4, list[which].from), list[which].rank, list[which].to);
    return true;
}

LS_OP(reshape) = {
    .name = "reshape",
    .formula = "y = x in another shape",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .in_place = 1,
    .cases = cases,
};
