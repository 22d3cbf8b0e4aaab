/* y = (x - mean) / sqrt(variance + eps) scale + bias, mean and variance of each group of channels by itself (Wu and He
 * 2018, "Group normalization", over one position). Rows are normalised by src/ops/norm.h, a group as a row; out[1] and
 * out[2] keep mean and 1 / sqrt(variance + eps) of each. */
#include "ops/norm.h"

#include "base/pieces.h"

typedef struct GroupNorm {
    double eps;
    int64_t groups;
} GroupNorm;

static int64_t columns_of(const LsNode *node) { return node->in[1]->count; }
static int64_t rows_of(const LsNode *node) { return node->in[0]->count / columns_of(node); }
static int64_t groups_of(const LsNode *node) { return ((const GroupNorm *)node->attr)->groups; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    int64_t groups = groups_of(node), columns = x->dim[x->rank - 1];
    if (x->rank < 2 || x->dtype != LS_REAL)
        return ls_node_fail(node, "group_norm: x %s must be (..., C)", ls_shape_text(x));
    if (groups < 1 || columns % groups)
        return ls_node_fail(node, "group_norm: %lld channels do not make %lld groups", (long long)columns,
                            (long long)groups);
    for (int i = 1; i < 3; i++)
        if (node->in[i]->rank != 1 || node->in[i]->dim[0] != columns || node->in[i]->dtype != LS_ACC)
            return ls_node_fail(node, "group_norm: %s %s must be (%lld), precise, for x %s", i == 1 ? "scale" : "bias",
                                ls_shape_text(node->in[i]), (long long)columns, ls_shape_text(x));
    if (!ls_node_output(node, LS_REAL, x->rank, x->dim))
        return LS_RESOURCE;
    int64_t kept[] = {x->count / columns, groups};
    for (int i = 0; i < 2; i++)
        if (!ls_node_output(node, LS_ACC, 2, kept))
            return LS_RESOURCE;
    node->scratch_backward = 2 * ls_norm_chunks(x->count / columns) * columns * (int64_t)sizeof(acc);
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    const acc *scale = node->in[1]->data, *bias = node->in[2]->data;
    acc *mean = node->out[1]->data, *rstd = node->out[2]->data;
    real *y = node->out[0]->data;
    int64_t columns = columns_of(node), rows = rows_of(node), groups = groups_of(node), size = columns / groups;
    double eps = ((const GroupNorm *)node->attr)->eps;
#pragma omp parallel for schedule(static) if (rows * columns > 8192)
    for (int64_t i = 0; i < rows * groups; i++) {
        int64_t at = i * size, column = i % groups * size;
        ls_norm_statistics(true, x + at, size, eps, &mean[i], &rstd[i]);
        for (int64_t j = 0; j < size; j += LS_LANES) {
            vacc h = (ls_load_upto(x + at + j, size - j) - mean[i]) * rstd[i];
            ls_store_upto(y + at + j,
                          h * ls_norm_load_acc(scale + column, j, size) + ls_norm_load_acc(bias + column, j, size),
                          size - j);
        }
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    const acc *scale = node->in[1]->data, *bias = node->in[2]->data;
    int64_t columns = columns_of(node), groups = groups_of(node), size = columns / groups;
    for (int64_t i = 0; i < rows_of(node) * groups; i++) {
        double sum = 0, square = 0;
        for (int64_t j = 0; j < size; j++)
            sum += (double)ls_load1(x + i * size + j);
        double mean = sum / (double)size;
        for (int64_t j = 0; j < size; j++)
            square += pow((double)ls_load1(x + i * size + j) - mean, 2);
        double rstd = 1 / sqrt(square / (double)size + ((const GroupNorm *)node->attr)->eps);
        for (int64_t j = 0; j < size; j++) {
            int64_t column = i % groups * size + j;
            double h = ((double)ls_load1(x + i * size + j) - mean) * rstd;
            ls_store1((real *)node->out[0]->data + i * size + j,
                      (acc)(h * (double)scale[column] + (double)bias[column]));
        }
        ((acc *)node->out[1]->data)[i] = (acc)mean;
        ((acc *)node->out[2]->data)[i] = (acc)rstd;
    }
    return LS_OK;
}

/* Rows from first to before end: dx, and their share of dscale and dbias into part: (groups, 2, size). */
static void backward_rows(const LsNode *node, int64_t first, int64_t end, acc *part)
{
    int64_t columns = columns_of(node), groups = groups_of(node), size = columns / groups;
    memset(part, 0, (size_t)(2 * columns) * sizeof *part);
    for (int64_t i = first * groups; i < end * groups; i++) {
        int64_t group = i % groups;
        real *dx = ls_wants(node, 0) ? node->in[0]->grad : NULL;
        NormBack b = {.x = node->in[0]->data,
                      .dy = node->out[0]->grad,
                      .scale = (const acc *)node->in[1]->data + group * size,
                      .mean = node->out[1]->data,
                      .rstd = node->out[2]->data,
                      .columns = size,
                      .plus = ls_adds(node, 0) ? dx : NULL,
                      .dx = dx};
        ls_norm_back_row(&b, i, part + 2 * group * size);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t columns = columns_of(node), rows = rows_of(node), size = columns / groups_of(node);
    int64_t each = ls_norm_chunk(rows), chunks = ls_norm_chunks(rows);
    acc *parts = node->scratch;
#pragma omp parallel for schedule(static) if (rows * columns > 8192)
    for (int64_t chunk = 0; chunk < chunks; chunk++)
        backward_rows(node, chunk * each, ls_least(rows, (chunk + 1) * each), parts + chunk * 2 * columns);
    for (int k = 1; k < 3; k++)
        for (int64_t j = 0; ls_wants(node, k) && j < columns; j++) {
            acc *to = (acc *)node->in[k]->grad + j, sum = 0;
            for (int64_t chunk = 0; chunk < chunks; chunk++)
                sum += parts[chunk * 2 * columns + (2 * (j / size) + k - 1) * size + j % size];
            *to = ls_adds(node, k) ? *to + sum : sum;
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[0]->count;
    *fwd = (LsCost){7 * count, 2 * count * sizeof(real)};
    *bwd = (LsCost){15 * count, 3 * count * sizeof(real)};
}

/* ls_group_norm(g, x, scale, bias, groups, eps): x: (..., C), scale, bias: (C), parameters with LS_PRECISE |
 * LS_NO_DECAY; groups of C / groups channels beside each other. -> (..., C) */
LS_BUILDER LsTensor *ls_group_norm(LsGraph *g, LsTensor *x, LsTensor *scale, LsTensor *bias, int64_t groups, double eps)
{
    return ls_node(g, "group_norm", 3, (LsTensor *[]){x, scale, bias}, &(GroupNorm){eps, groups}, sizeof(GroupNorm));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, c, groups;
    } list[] = {{1, 1, 4, 1}, {2, 3, 10, 2}, {3, 37, 51, 3}, {1, 3, 132, 2}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t c = list[which].c;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 2, 3, (int64_t[]){list[which].b, list[which].t, c});
    LsTensor *scale = ls_case_param(g, "scale", LS_PRECISE, 0.5, 1.5, 1, &c);
    ls_group_norm(g, x, scale, ls_case_param(g, "bias", LS_PRECISE, -1, 1, 1, &c), list[which].groups, 1e-3);
    return true;
}

LS_OP(group_norm) = {
    .name = "group_norm",
    .formula = "y = (x - mean) / sqrt(variance + eps) scale + bias, by group of channels",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .saves_out = 6,
    .param_in = 6,
    .cases = cases,
};
