/* y ~ N(0, s^2), independent numbers: what a generator makes its samples from, or what blurs them. s halves every so
 * many steps, or stays.
 *
 * Each is a function of (seed, step, node's name, sample, element), sample being the global number of the row of the
 * first dimension, element counted from the beginning of the sample's sequence (run->token): the same on any number
 * of ranks and threads. Drawn in evaluation too. */
#include "ops/op_build.h"

typedef struct Noise {
    double scale, halving; /* s = scale 2^(-step / halving), or scale where halving is 0 */
    int rank;
    int64_t dim[LS_MAX_RANK];
} Noise;

static LsStatus infer(LsNode *node)
{
    const Noise *a = node->attr;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] < 1)
            return ls_node_fail(node, "noise: dimension %d is %lld", i, (long long)a->dim[i]);
    return ls_node_output(node, LS_REAL, a->rank, a->dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    const LsTensor *y = node->out[0];
    const Noise *a = node->attr;
    const acc scale = (acc)(a->halving > 0 ? a->scale * exp2(-(double)run->step / a->halving) : a->scale);
    uint32_t block[4];
    ls_philox(run->seed, node->key, (uint64_t)run->step, block);
    const uint64_t key = (uint64_t)block[1] << 32 | block[0];
    const int64_t row = y->count / y->dim[0], before = y->rank < 3 ? 0 : run->token * (row / y->dim[1]);
#pragma omp parallel for schedule(static) if (y->count > 256)
    for (int64_t i = 0; i < y->count; i++)
        ls_store1((real *)y->data + i,
                  scale * (acc)ls_normal_at(key, (uint64_t)(run->sample + i / row), (uint64_t)(before + i % row)));
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){60 * count, count * sizeof(real)};
    *bwd = (LsCost){0};
}

/* ls_noise(g, scale, halving, rank, dim): -> (dim[0], ...), dim[0] the samples that run->sample numbers. halving:
 * steps in which the scale halves, 0: it stays. */
LS_BUILDER LsTensor *ls_noise(LsGraph *g, double scale, double halving, int rank, const int64_t *dim)
{
    Noise a = {.scale = scale, .halving = halving, .rank = rank};
    for (int i = 0; i < rank && i < LS_MAX_RANK; i++)
        a.dim[i] = dim[i];
    return ls_node(g, "noise", 0, NULL, &a, sizeof a);
}

/* Beside an input, so that there is a gradient to look at. */
static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][3] = {{1, 1, 1}, {3, 5, 2}, {7, 3, 11}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -2, 2, 3, dims[which]);
    ls_node(g, "mul", 2, (LsTensor *[]){x, ls_noise(g, which ? 0.5 : 1, 10.0 * which, 3, dims[which])}, NULL, 0);
    return true;
}

LS_OP(noise) = {
    .name = "noise",
    .formula = "y ~ N(0, s^2)",
    .infer = infer,
    .forward = forward,
    .cost = cost,
    .cases = cases,
    .bf16_ulps = 1, /* numbers are rounded as they are stored, and what multiplies them sees that */
};
