/* Pooling over windows of a picture, channels last:
 *
 *     y[b, i, j, c] = max or mean over 0 <= k, l < size of x[b, i s + k - p, j s + l - p, c]
 *
 * Beyond the picture nothing is a maximum, and a mean counts zeros. Of equal maxima the first counts; NaN is larger
 * than any number. out[1] keeps where in its window each maximum was: k size + l. */
#include "ops/op_build.h"

enum { POOL_COLUMNS = 64 }; /* channels in registers or the nearest cache at once */

typedef struct Pool2d {
    LsPool kind;
    int64_t size, stride, padding;
} Pool2d;

/* The part of a window that is in the picture: its first pixel there, and entries from..to - 1 of the window. */
typedef struct Span {
    int64_t at, from, to;
} Span;

static Span span_of(const Pool2d *a, int64_t i, int64_t length)
{
    Span s = {.at = i * a->stride - a->padding, .to = a->size};
    s.from = s.at < 0 ? -s.at : 0;
    s.to = s.at + s.to > length ? length - s.at : s.to;
    return s;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    const Pool2d *a = node->attr;
    if (x->dtype != LS_REAL || x->rank != 4)
        return ls_node_fail(node, "pool2d: x %s must be (B, H, W, C)", ls_shape_text(x));
    if (a->kind != LS_POOL_MAX && a->kind != LS_POOL_MEAN)
        return ls_node_fail(node, "pool2d: a window has a maximum or a mean only");
    int64_t tall = x->dim[1] + 2 * a->padding - a->size, wide = x->dim[2] + 2 * a->padding - a->size;
    if (a->size < 1 || a->stride < 1 || a->padding < 0 || 2 * a->padding > a->size || tall < 0 || wide < 0 ||
        a->size > INT16_MAX)
        return ls_node_fail(node,
                            "pool2d: size %lld, stride %lld, padding %lld do not fit x %s: at least 1, 1 and 0, at "
                            "most half a window of padding, a window in the picture",
                            (long long)a->size, (long long)a->stride, (long long)a->padding, ls_shape_text(x));
    const int64_t dim[4] = {x->dim[0], tall / a->stride + 1, wide / a->stride + 1, x->dim[3]};
    if (!ls_node_output(node, LS_REAL, 4, dim))
        return LS_RESOURCE;
    bool keep = a->kind == LS_POOL_MAX && ls_graph_mode(node->graph) == LS_TRAIN;
    return !keep || ls_node_output(node, LS_I32, 4, dim) ? LS_OK : LS_RESOURCE;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* n channels of one window. x: of the picture's first pixel; at: where, or NULL. */
static void max_window(const Pool2d *a, const real *x, int64_t width, int64_t channels, Span down, Span across,
                       int64_t n, real *y, int32_t *at)
{
    acc best[POOL_COLUMNS];
    int32_t where[POOL_COLUMNS];
    for (int64_t c = 0; c < n; c++)
        best[c] = (acc)-INFINITY, where[c] = (int32_t)(down.from * a->size + across.from);
    for (int64_t k = down.from; k < down.to; k++)
        for (int64_t l = across.from; l < across.to; l++) {
            const real *from = x + ((down.at + k) * width + across.at + l) * channels;
            const int32_t entry = (int32_t)(k * a->size + l);
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                acc v = ls_load1(from + c);
                bool more = v > best[c] || v != v;
                best[c] = more ? v : best[c];
                where[c] = more ? entry : where[c];
            }
        }
    for (int64_t c = 0; c < n; c++)
        ls_store1(y + c, best[c]);
    if (at)
        memcpy(at, where, (size_t)n * sizeof *at);
}

static void mean_window(const Pool2d *a, const real *x, int64_t width, int64_t channels, Span down, Span across,
                        int64_t n, real *y)
{
    acc sum[POOL_COLUMNS] = {0};
    for (int64_t k = down.from; k < down.to; k++)
        for (int64_t l = across.from; l < across.to; l++) {
            const real *from = x + ((down.at + k) * width + across.at + l) * channels;
#pragma omp simd
            for (int64_t c = 0; c < n; c++)
                sum[c] += ls_load1(from + c);
        }
    for (int64_t c = 0; c < n; c++)
        ls_store1(y + c, sum[c] / (acc)(a->size * a->size));
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *y = node->out[0];
    const Pool2d *a = node->attr;
    int64_t height = x->dim[1], width = x->dim[2], channels = x->dim[3];
#pragma omp parallel for collapse(2) schedule(static) if (x->count > 16384)
    for (int64_t b = 0; b < y->dim[0]; b++)
        for (int64_t i = 0; i < y->dim[1]; i++)
            for (int64_t j = 0; j < y->dim[2]; j++)
                for (int64_t c = 0; c < channels; c += POOL_COLUMNS) {
                    int64_t n = channels - c < POOL_COLUMNS ? channels - c : POOL_COLUMNS,
                            to = ((b * y->dim[1] + i) * y->dim[2] + j) * channels + c;
                    const real *from = (const real *)x->data + b * height * width * channels + c;
                    Span down = span_of(a, i, height), across = span_of(a, j, width);
                    if (a->kind == LS_POOL_MAX)
                        max_window(a, from, width, channels, down, across, n, (real *)y->data + to,
                                   node->outputs > 1 ? (int32_t *)node->out[1]->data + to : NULL);
                    else
                        mean_window(a, from, width, channels, down, across, n, (real *)y->data + to);
                }
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* dx of one picture: += what each window gives. */
static void max_backward(const Pool2d *a, const LsTensor *y, int64_t width, const real *dy, const int32_t *at, real *dx)
{
    int64_t channels = y->dim[3];
    for (int64_t i = 0; i < y->dim[1]; i++)
        for (int64_t j = 0; j < y->dim[2]; j++) {
            int64_t from = (i * y->dim[2] + j) * channels;
            real *to = dx + ((i * a->stride - a->padding) * width + j * a->stride - a->padding) * channels;
            for (int64_t c = 0; c < channels; c++) {
                int64_t entry = at[from + c];
                real *pixel = to + (entry / a->size * width + entry % a->size) * channels + c;
                ls_store1(pixel, ls_load1(pixel) + ls_load1(dy + from + c));
            }
        }
}

static void mean_backward(const Pool2d *a, const LsTensor *y, int64_t height, int64_t width, const real *dy, real *dx)
{
    int64_t channels = y->dim[3];
    const acc scale = 1 / (acc)(a->size * a->size);
    for (int64_t i = 0; i < y->dim[1]; i++)
        for (int64_t j = 0; j < y->dim[2]; j++) {
            Span down = span_of(a, i, height), across = span_of(a, j, width);
            const real *from = dy + (i * y->dim[2] + j) * channels;
            for (int64_t k = down.from; k < down.to; k++)
                for (int64_t l = across.from; l < across.to; l++) {
                    real *to = dx + ((down.at + k) * width + across.at + l) * channels;
#pragma omp simd
                    for (int64_t c = 0; c < channels; c++)
                        ls_store1(to + c, ls_load1(to + c) + ls_load1(from + c) * scale);
                }
        }
}

/* A thread has whole pictures: windows may overlap. */
static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *y = node->out[0];
    const Pool2d *a = node->attr;
    int64_t from_count = x->count / x->dim[0], to_count = y->count / y->dim[0];
#pragma omp parallel for schedule(static) if (x->count > 16384)
    for (int64_t b = 0; b < x->dim[0]; b++) {
        real *dx = (real *)x->grad + b * from_count;
        const real *dy = (const real *)y->grad + b * to_count;
        if (!ls_adds(node, 0))
            memset(dx, 0, (size_t)from_count * sizeof *dx);
        if (a->kind == LS_POOL_MAX)
            max_backward(a, y, x->dim[2], dy, (const int32_t *)node->out[1]->data + b * to_count, dx);
        else
            mean_backward(a, y, x->dim[1], x->dim[2], dy, dx);
    }
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *y = node->out[0];
    const Pool2d *a = node->attr;
    for (int64_t n = 0; n < y->count; n++) {
        int64_t c = n % y->dim[3], j = n / y->dim[3] % y->dim[2], i = n / y->dim[3] / y->dim[2] % y->dim[1],
                b = n / (y->count / y->dim[0]);
        double sum = 0, best = -INFINITY;
        int64_t where = -1;
        for (int64_t entry = 0; entry < a->size * a->size; entry++) {
            int64_t row = i * a->stride - a->padding + entry / a->size,
                    column = j * a->stride - a->padding + entry % a->size;
            if (row < 0 || row >= x->dim[1] || column < 0 || column >= x->dim[2])
                continue;
            double v =
                (double)ls_load1((const real *)x->data + ((b * x->dim[1] + row) * x->dim[2] + column) * x->dim[3] + c);
            sum += v;
            if (where < 0 || v > best)
                best = v, where = entry;
        }
        if (node->outputs > 1)
            ((int32_t *)node->out[1]->data)[n] = (int32_t)where;
        ls_store1((real *)y->data + n, (acc)(a->kind == LS_POOL_MAX ? best : sum / (double)(a->size * a->size)));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    const Pool2d *a = node->attr;
    double x = (double)node->in[0]->count, y = (double)node->out[0]->count, flops = y * (double)(a->size * a->size);
    double kept = node->outputs > 1 ? y * sizeof(int32_t) : 0;
    *fwd = (LsCost){flops, (x + y) * sizeof(real) + kept};
    *bwd = (LsCost){a->kind == LS_POOL_MAX ? y : flops, (x + y) * sizeof(real) + kept};
}

/* ls_pool2d(g, x, kind, size, stride, padding): x: (B, H, W, C) -> (B, OH, OW, C), OH = (H + 2 padding - size) /
 * stride + 1 rounded down. kind: LS_POOL_MAX or LS_POOL_MEAN. padding: at most size / 2. */
LS_BUILDER LsTensor *ls_pool2d(LsGraph *g, LsTensor *x, LsPool kind, int64_t size, int64_t stride, int64_t padding)
{
    return ls_node(g, "pool2d", 1, &x, &(Pool2d){kind, size, stride, padding}, sizeof(Pool2d));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t x[4], size, stride, padding;
    } list[] = {{{1, 1, 1, 1}, 1, 1, 0}, {{2, 6, 8, 3}, 2, 2, 0},  {{3, 7, 5, 17}, 3, 2, 1},
                {{1, 5, 6, 4}, 3, 1, 1}, {{2, 4, 4, 70}, 2, 3, 1}, {{1, 9, 7, 2}, 4, 3, 2}};
    int shapes = (int)LS_COUNT_OF(list), n = which % shapes;
    if (which >= 2 * shapes)
        return false;
    ls_pool2d(g, ls_case_input(g, "x", LS_REAL, -2, 2, 4, list[n].x), which < shapes ? LS_POOL_MAX : LS_POOL_MEAN,
              list[n].size, list[n].stride, list[n].padding);
    return true;
}

LS_OP(pool2d) = {
    .name = "pool2d",
    .formula = "y = max or mean of windows of x",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_out = 2,
    .cases = cases,
    .bf16_ulps = 4, /* sums of the gradients of windows that overlap are rounded one by one */
};
