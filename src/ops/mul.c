/* y = a b, element by element: gates. dL/da = b dL/dy, dL/db = a dL/dy. */
#include "ops/pair.h"

enum { BLOCK = 4096 }; /* elements a thread takes at a time */

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *a = node->in[0]->data, *b = node->in[1]->data;
    real *y = node->out[0]->data;
    int64_t count = node->out[0]->count;
#pragma omp parallel for simd schedule(static) if (count > BLOCK)
    for (int64_t i = 0; i < count; i++)
        ls_store1(y + i, ls_load1(a + i) * ls_load1(b + i));
    return LS_OK;
}

/* Both gradients block by block, a's first: where a and b are one tensor, b's adds to a's. */
static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *dy = node->out[0]->grad;
    int64_t count = node->out[0]->count;
#pragma omp parallel for schedule(static) if (count > BLOCK)
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t last = first + BLOCK < count ? first + BLOCK : count;
        for (int k = 0; k < 2; k++) {
            if (!ls_wants(node, k))
                continue;
            const real *other = node->in[1 - k]->data;
            real *dx = node->in[k]->grad;
            if (ls_adds(node, k))
                for (int64_t i = first; i < last; i++)
                    ls_store1(dx + i, ls_load1(dx + i) + ls_load1(dy + i) * ls_load1(other + i));
            else
                for (int64_t i = first; i < last; i++)
                    ls_store1(dx + i, ls_load1(dy + i) * ls_load1(other + i));
        }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){count, 3 * count * sizeof(real)};
    *bwd = (LsCost){2 * count, 5 * count * sizeof(real)};
}

/* ls_mul(g, a, b): a, b: any one shape -> the same. */
LS_BUILDER LsTensor *ls_mul(LsGraph *g, LsTensor *a, LsTensor *b)
{
    return ls_node(g, "mul", 2, (LsTensor *[]){a, b}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 733}, {4, 9}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    LsTensor *a = ls_case_input(g, "a", LS_REAL, -2, 2, 2, dims[which]);
    ls_mul(g, a, which == 3 ? a : ls_case_input(g, "b", LS_REAL, -2, 2, 2, dims[which])); /* the last: a square */
    return true;
}

LS_OP(mul) = {
    .name = "mul",
    .formula = "y = a b",
    .infer = ls_pair_infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 3,
    .cases = cases,
};
