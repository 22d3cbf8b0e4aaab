/* Pooling over all positions of a picture or a sequence, or the first lengths[b] of it:
 *
 *     y[b, c] = mean, max, first or last over t < lengths[b] of x[b, t, c]
 *
 * Of equal maxima the first counts; NaN is larger than any number. out[1] keeps where the maxima were. */
#include "ops/op_build.h"

enum { POOL_COLUMNS = 64 }; /* channels at once */

typedef struct PoolGlobal {
    LsPool kind;
} PoolGlobal;

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *lengths = node->in[1];
    const PoolGlobal *a = node->attr;
    if (x->dtype != LS_REAL || (x->rank != 3 && x->rank != 4))
        return ls_node_fail(node, "pool_global: x %s must be (B, T, C) or (B, H, W, C)", ls_shape_text(x));
    if (lengths && (x->rank != 3 || lengths->dtype != LS_I32 || lengths->rank != 1 || lengths->dim[0] != x->dim[0]))
        return ls_node_fail(node,
                            "pool_global: lengths %s do not fit x %s: they must be (B), 32-bit integers, x (B, T, C)",
                            ls_shape_text(lengths), ls_shape_text(x));
    const int64_t dim[2] = {x->dim[0], x->dim[x->rank - 1]};
    if (!ls_node_output(node, LS_REAL, 2, dim))
        return LS_RESOURCE;
    bool keep = a->kind == LS_POOL_MAX && ls_graph_mode(node->graph) == LS_TRAIN;
    return !keep || ls_node_output(node, LS_I32, 2, dim) ? LS_OK : LS_RESOURCE;
}

static int64_t steps_of(const LsNode *node) { return node->in[0]->count / node->out[0]->count; }

static int64_t length_of(const LsNode *node, int64_t b)
{
    return node->in[1] ? ((const int32_t *)node->in[1]->data)[b] : steps_of(node);
}

static LsStatus check_lengths(const LsNode *node)
{
    for (int64_t b = 0; b < node->in[0]->dim[0]; b++)
        if (length_of(node, b) < 1 || length_of(node, b) > steps_of(node))
            return ls_fail(LS_DATA, "%s: length %lld of sample %lld is outside 1..%lld", node->name,
                           (long long)length_of(node, b), (long long)b, (long long)steps_of(node));
    return LS_OK;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* x: (length, channels) from a channel on, n of them. */
static void mean_columns(const real *x, int64_t length, int64_t channels, int64_t n, real *y)
{
    acc sum[POOL_COLUMNS] = {0};
    for (int64_t t = 0; t < length; t++)
#pragma omp simd
        for (int64_t c = 0; c < n; c++)
            sum[c] += ls_load1(x + t * channels + c);
    for (int64_t c = 0; c < n; c++)
        ls_store1(y + c, sum[c] / (acc)length);
}

static void max_columns(const real *x, int64_t length, int64_t channels, int64_t n, real *y, int32_t *at)
{
    acc best[POOL_COLUMNS];
    int32_t where[POOL_COLUMNS] = {0};
    for (int64_t c = 0; c < n; c++)
        best[c] = (acc)-INFINITY;
    for (int64_t t = 0; t < length; t++)
#pragma omp simd
        for (int64_t c = 0; c < n; c++) {
            acc v = ls_load1(x + t * channels + c);
            bool more = v > best[c] || v != v;
            best[c] = more ? v : best[c];
            where[c] = more ? (int32_t)t : where[c];
        }
    for (int64_t c = 0; c < n; c++)
        ls_store1(y + c, best[c]);
    if (at)
        memcpy(at, where, (size_t)n * sizeof *at);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_lengths(node));
    const PoolGlobal *a = node->attr;
    int64_t steps = steps_of(node), channels = node->out[0]->dim[1], samples = node->out[0]->dim[0];
#pragma omp parallel for collapse(2) schedule(static) if (node->in[0]->count > 16384)
    for (int64_t b = 0; b < samples; b++)
        for (int64_t c = 0; c < channels; c += POOL_COLUMNS) {
            int64_t n = channels - c < POOL_COLUMNS ? channels - c : POOL_COLUMNS, length = length_of(node, b);
            const real *x = (const real *)node->in[0]->data + b * steps * channels + c;
            real *y = (real *)node->out[0]->data + b * channels + c;
            if (a->kind == LS_POOL_MEAN)
                mean_columns(x, length, channels, n, y);
            else if (a->kind == LS_POOL_MAX)
                max_columns(x, length, channels, n, y,
                            node->outputs > 1 ? (int32_t *)node->out[1]->data + b * channels + c : NULL);
            else
                memcpy(y, a->kind == LS_POOL_FIRST ? x : x + (length - 1) * channels, (size_t)n * sizeof *y);
        }
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* dx: (steps, channels) of one sample, dy: (channels) */
static void backward_sample(const LsNode *node, int64_t b, const real *dy, real *dx)
{
    const PoolGlobal *a = node->attr;
    int64_t steps = steps_of(node), channels = node->out[0]->dim[1], length = length_of(node, b);
    if (!ls_adds(node, 0))
        memset(dx, 0, (size_t)(steps * channels) * sizeof *dx);
    if (a->kind == LS_POOL_MEAN) {
        const acc scale = 1 / (acc)length;
        for (int64_t t = 0; t < length; t++)
#pragma omp simd
            for (int64_t c = 0; c < channels; c++)
                ls_store1(dx + t * channels + c, ls_load1(dx + t * channels + c) + ls_load1(dy + c) * scale);
        return;
    }
    const int32_t *at = a->kind == LS_POOL_MAX ? (const int32_t *)node->out[1]->data + b * channels : NULL;
    int64_t only = a->kind == LS_POOL_FIRST ? 0 : length - 1;
    for (int64_t c = 0; c < channels; c++) {
        real *to = dx + (at ? at[c] : only) * channels + c;
        ls_store1(to, ls_load1(to) + ls_load1(dy + c));
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t channels = node->out[0]->dim[1], samples = node->out[0]->dim[0], each = node->in[0]->count / samples;
#pragma omp parallel for schedule(static) if (node->in[0]->count > 16384)
    for (int64_t b = 0; b < samples; b++)
        backward_sample(node, b, (const real *)node->out[0]->grad + b * channels, (real *)node->in[0]->grad + b * each);
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_lengths(node));
    const PoolGlobal *a = node->attr;
    int64_t steps = steps_of(node), channels = node->out[0]->dim[1];
    for (int64_t i = 0; i < node->out[0]->count; i++) {
        int64_t b = i / channels, length = length_of(node, b), where = a->kind == LS_POOL_LAST ? length - 1 : 0;
        const real *x = (const real *)node->in[0]->data + b * steps * channels + i % channels;
        double sum = 0;
        for (int64_t t = 0; t < length; t++) {
            sum += (double)ls_load1(x + t * channels);
            if (a->kind == LS_POOL_MAX && ls_load1(x + t * channels) > ls_load1(x + where * channels))
                where = t;
        }
        if (node->outputs > 1)
            ((int32_t *)node->out[1]->data)[i] = (int32_t)where;
        ls_store1((real *)node->out[0]->data + i,
                  a->kind == LS_POOL_MEAN ? (acc)(sum / (double)length) : ls_load1(x + where * channels));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double x = (double)node->in[0]->count, y = (double)node->out[0]->count;
    *fwd = (LsCost){x, (x + y) * sizeof(real)};
    *bwd = (LsCost){x, (x + y) * sizeof(real)};
}

/* ls_pool_global(g, x, lengths, kind): x: (B, H, W, C), or (B, T, C) with lengths: (B) LS_I32 in 1..T or NULL for all
 * -> (B, C). kind: LS_POOL_MEAN, LS_POOL_MAX, LS_POOL_FIRST or LS_POOL_LAST. Forward fails with LS_DATA on any other
 * length. */
LS_BUILDER LsTensor *ls_pool_global(LsGraph *g, LsTensor *x, LsTensor *lengths, LsPool kind)
{
    return ls_node(g, "pool_global", 2, (LsTensor *[]){x, lengths}, &(PoolGlobal){kind}, sizeof(PoolGlobal));
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][4] = {{1, 1, 1, 0}, {2, 5, 3, 0}, {3, 7, 70, 0}, {2, 3, 4, 5}, {2, 6, 17, 0}};
    static const LsPool kinds[] = {LS_POOL_MEAN, LS_POOL_MAX, LS_POOL_FIRST, LS_POOL_LAST};
    int shapes = (int)LS_COUNT_OF(dims), n = which % shapes;
    if (which >= shapes * (int)LS_COUNT_OF(kinds))
        return false;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -2, 2, dims[n][3] ? 4 : 3, dims[n]), *lengths = NULL;
    if (!dims[n][3] && n > 0)
        lengths = ls_case_input(g, "lengths", LS_I32, 1, (double)(dims[n][1] + 1), 1, dims[n]);
    ls_pool_global(g, x, lengths, kinds[which / shapes]);
    return true;
}

LS_OP(pool_global) = {
    .name = "pool_global",
    .formula = "y = mean, max, first or last of x[:, t, :], t < length",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 2,
    .saves_out = 2,
    .mixes_time = true,
    .cases = cases,
};
