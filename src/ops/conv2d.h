/* The three products of a two-dimensional convolution and of its transpose, channels last:
 *
 *     y[b, i, j, o] = sum_{k, l, c} w[o, k, l, c] x[b, i s + k d - p, j s + l d - p, c],   x zero outside the picture
 *
 * with stride s, dilation d, padding p. The windows of x are a matrix (pixels of y, kernel_height kernel_width C) of
 * runs that the products read where they lie (LsGemmRuns). With y = windows w^T:
 *
 *     dL/dw = dL/dy^T windows,   dL/dx = a convolution of dL/dy, for each of the s^2 classes of pixels of x that
 *     meet the same entries of the kernel
 *
 * With few filters (for dL/dx: channels) they are made directly (conv_narrow.h).
 */
#ifndef LS_OPS_CONV2D_H
#define LS_OPS_CONV2D_H

#include "ops/activation_rows.h"
#include "ops/conv_narrow_weights.h"

enum {
    CONV_SHORT = 8,   /* channels below which rows of windows are made longer by a padded copy of x */
    CONV_FILTERS = 96 /* from so many on windows are packed for dw, below it its transpose is made from them directly */
};

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

static bool conv_copies(const LsConv2d *c)
{
    return c->padding > 0 && c->dilation == 1 && c->channels < CONV_SHORT && c->kernel_width > 1;
}

/* A row of a window is one run: nothing of it is outside the picture. */
static bool conv_joins_columns(const LsConv2d *c) { return c->dilation == 1 && (c->padding == 0 || conv_copies(c)); }

static int64_t conv_offsets_bytes(const LsConv2d *c)
{
    int64_t runs = c->kernel_height * (conv_joins_columns(c) ? 1 : c->kernel_width);
    return conv_aligned(runs * c->out_height * c->out_width * (int64_t)sizeof(int32_t));
}

static int64_t conv_windows_space(const LsConv2d *c)
{
    int64_t padded = c->images * (c->height + 2 * c->padding) * (c->width + 2 * c->padding) * c->channels;
    return conv_plain(c) ? 0
                         : conv_offsets_bytes(c) + (conv_copies(c) ? conv_aligned(padded * (int64_t)sizeof(real)) : 0);
}

/* x: (B, H, W, C) -> out: (B, H + 2 p, W + 2 p, C) */
static void conv_pad(const LsConv2d *c, const real *x, real *out)
{
    int64_t row = c->width * c->channels, side = c->padding * c->channels, wide = row + 2 * side;
    int64_t tall = c->height + 2 * c->padding;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < c->images; b++)
        for (int64_t i = 0; i < tall; i++) {
            real *to = out + (b * tall + i) * wide;
            int64_t y = i - c->padding;
            memset(to, 0, (size_t)wide * sizeof *to);
            if (y >= 0 && y < c->height)
                memcpy(to + side, x + (b * c->height + y) * row, (size_t)row * sizeof *to);
        }
}

/* The windows of *x, which becomes what they are runs of. scratch: conv_windows_space bytes. */
static LsGemmRuns conv_windows(const LsConv2d *c, void *scratch, const real **x)
{
    int32_t *offset = scratch;
    int64_t height = c->height, width = c->width, padding = c->padding, rows = c->out_height * c->out_width;
    const bool joined = conv_joins_columns(c);
    const int64_t across = joined ? 1 : c->kernel_width, runs = c->kernel_height * across;
    if (conv_copies(c)) {
        real *copy = (real *)(void *)((char *)scratch + conv_offsets_bytes(c));
        conv_pad(c, *x, copy);
        *x = copy;
        height += 2 * padding, width += 2 * padding, padding = 0;
    }
    for (int64_t t = 0; t < runs; t++)
        for (int64_t row = 0; row < rows; row++) {
            int64_t i = row / c->out_width * c->stride + t / across * c->dilation - padding;
            int64_t j = row % c->out_width * c->stride + t % across * c->dilation - padding;
            bool inside = i >= 0 && i < height && j >= 0 && j < width;
            offset[t * rows + row] = inside ? (int32_t)((i * width + j) * c->channels) : -1;
        }
    return (LsGemmRuns){.offset = offset,
                        .runs = runs,
                        .length = c->channels * (joined ? c->kernel_width : 1),
                        .rows = rows,
                        .stride = height * width * c->channels};
}

/* ---- y ----------------------------------------------------------------------------------------------------------- */

/* y (pixels, filters) = windows w^T, without bias and epilogue. */
static LsGemm conv_product(const LsConv2d *c, const real *x, const real *w, real *y, void *scratch)
{
    int64_t k = conv_window(c);
    LsGemm product = {.type = LS_GEMM_REAL,
                      .m = conv_rows(c),
                      .n = c->filters,
                      .k = k,
                      .lda = k,
                      .b = w,
                      .ldb = k,
                      .transpose_b = true,
                      .c = y,
                      .ldc = c->filters};
    if (!conv_plain(c))
        product.a_runs = conv_windows(c, scratch, &x);
    product.a = x;
    return product;
}

/* Scratch memory of y. */
static int64_t conv_forward_space(const LsConv2d *c)
{
    ConvNarrow n = narrow_forward_of(c);
    return n.beside ? narrow_run_bytes(&n) : conv_windows_space(c);
}

/* y = or += windows w^T + bias; bias: (filters) or NULL. finish: as in LsGemm, or NULL. scratch: `bytes` of it, at
 * least conv_forward_space. */
static LsStatus conv_forward(const LsConv2d *c, const real *x, const real *w, const real *bias, NarrowTarget y,
                             void *scratch, int64_t bytes)
{
    ConvNarrow n = narrow_forward_of(c);
    if (n.beside) {
        narrow_run(&n, x, w, bias, &y, scratch, bytes);
        return LS_OK;
    }
    LsGemm product = conv_product(c, x, w, y.to, scratch);
    product.accumulate = y.add;
    product.bias = bias;
    product.finish = y.finish;
    product.self = y.self;
    return ls_gemm(&product);
}

/* ---- dL/dw ------------------------------------------------------------------------------------------------------- */

static bool conv_turns(const LsConv2d *c) { return !conv_plain(c) && c->filters < CONV_FILTERS; }

static int64_t conv_weight_space(const LsConv2d *c)
{
    ConvNarrow n = narrow_forward_of(c);
    if (n.beside)
        return narrow_weight_bytes(&n);
    int64_t turned = conv_turns(c) ? conv_aligned(c->filters * conv_window(c) * (int64_t)sizeof(acc)) : 0;
    return turned + conv_windows_space(c);
}

/* dw: (O, K) = turned: (K, O), or += */
static void conv_turn(const acc *turned, acc *dw, int64_t filters, int64_t window, bool add)
{
    enum { SIDE = 16 };
#pragma omp parallel for schedule(static) if (filters * window > 16384)
    for (int64_t k = 0; k < window; k += SIDE)
        for (int64_t o = 0; o < filters; o++) {
            int64_t end = k + SIDE < window ? k + SIDE : window;
            for (int64_t i = k; i < end; i++)
                dw[o * window + i] = (add ? dw[o * window + i] : 0) + turned[i * filters + o];
        }
}

/* dw (O, window) = g^T windows, or +=; g: (pixels of y, O). scratch: `bytes` of it, at least
 * conv_weight_space. */
static LsStatus conv_weight_gradient(const LsConv2d *c, const real *g, const real *x, acc *dw, bool add, void *scratch,
                                     int64_t bytes)
{
    int64_t k = conv_window(c), rows = conv_rows(c);
    ConvNarrow narrow = narrow_forward_of(c);
    if (narrow.beside) {
        narrow_weight_gradient(&narrow, g, x, dw, add, NULL, false, scratch, bytes);
        return LS_OK;
    }
    if (!conv_turns(c)) {
        LsGemm product = {.type = LS_GEMM_REAL,
                          .m = c->filters,
                          .n = k,
                          .k = rows,
                          .a = g,
                          .lda = c->filters,
                          .transpose_a = true,
                          .a_rowwise_error = true, /* a filter's gradient is that of its largest pixels */
                          .ldb = k,
                          .c = dw,
                          .ldc = k,
                          .c_float = true,
                          .accumulate = add};
        if (!conv_plain(c))
            product.b_runs = conv_windows(c, scratch, &x);
        product.b = x;
        return ls_gemm(&product);
    }
    acc *turned = scratch;
    LsGemmRuns windows = conv_windows(c, (char *)scratch + conv_aligned(c->filters * k * (int64_t)sizeof(acc)), &x);
    LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = k,
                             .n = c->filters,
                             .k = rows,
                             .a = x,
                             .a_runs = windows,
                             .transpose_a = true,
                             .b = g,
                             .ldb = c->filters,
                             .b_columnwise_error = true,
                             .c = turned,
                             .ldc = c->filters,
                             .c_float = true}));
    conv_turn(turned, dw, c->filters, k, add);
    return LS_OK;
}

/* ---- dL/dx ------------------------------------------------------------------------------------------------------- */

/* A class of pixels of x, those from (row, column) on in steps of the stride: what its pixels are made of. */
typedef struct ConvClass {
    int64_t row, column, height, width; /* of its first pixel; of the class */
    LsGemmRuns windows, weights;
} ConvClass;

/* Offsets of a class's windows, those of its weights, and its result, which is not where it belongs. */
typedef struct ConvInputSpace {
    int64_t windows, weights, result;
} ConvInputSpace;

static ConvInputSpace conv_input_parts(const LsConv2d *c)
{
    int64_t taps = c->kernel_height * c->kernel_width, pixels = conv_class_pixels(c);
    return (ConvInputSpace){conv_aligned(taps * pixels * (int64_t)sizeof(int32_t)),
                            conv_aligned(taps * c->filters * (int64_t)sizeof(int32_t)),
                            c->stride > 1 ? conv_aligned(c->images * pixels * c->channels * (int64_t)sizeof(real)) : 0};
}

static int64_t conv_input_space(const LsConv2d *c)
{
    ConvInputSpace parts = conv_input_parts(c);
    ConvNarrow n = narrow_input_of(c);
    if (n.beside)
        return narrow_run_bytes(&n);
    return conv_plain(c) ? 0 : parts.windows + parts.weights + parts.result;
}

/* Entry k of the kernel meets pixel y: of which row of the result, if any. Or columns likewise. */
static bool conv_meets(const LsConv2d *c, int64_t y, int64_t k)
{
    return (y + c->padding - k * c->dilation) % c->stride == 0;
}

static ConvClass conv_class(const LsConv2d *c, int64_t row, int64_t column, int32_t *windows, int32_t *weights)
{
    ConvClass k = {
        row, column, (c->height - row + c->stride - 1) / c->stride, (c->width - column + c->stride - 1) / c->stride,
        {0}, {0}};
    int64_t pixels = k.height * k.width, runs = 0;
    for (int64_t tap = 0; tap < c->kernel_height * c->kernel_width; tap++) {
        int64_t down = tap / c->kernel_width, across = tap % c->kernel_width;
        if (!conv_meets(c, row, down) || !conv_meets(c, column, across))
            continue;
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            int64_t i = row + pixel / k.width * c->stride + c->padding - down * c->dilation;
            int64_t j = column + pixel % k.width * c->stride + c->padding - across * c->dilation;
            bool inside = i >= 0 && i / c->stride < c->out_height && j >= 0 && j / c->stride < c->out_width;
            windows[runs * pixels + pixel] =
                inside ? (int32_t)((i / c->stride * c->out_width + j / c->stride) * c->filters) : -1;
        }
        for (int64_t o = 0; o < c->filters; o++)
            weights[runs * c->filters + o] = (int32_t)(o * conv_window(c) + tap * c->channels);
        runs++;
    }
    k.windows = (LsGemmRuns){windows, runs, c->filters, pixels, c->out_height * c->out_width * c->filters, 0};
    k.weights = (LsGemmRuns){weights, 1, c->channels, runs * c->filters, 0, 0};
    return k;
}

/* The epilogue of a class's product: pixels to where they belong. */
typedef struct ConvScatter {
    const LsConv2d *conv;
    const ConvClass *of;
    const real *from; /* (images, pixels of the class, channels) */
    real *to;         /* (images, height, width, channels) */
    bool add;
} ConvScatter;

static void conv_scatter(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const ConvScatter *s = self;
    const LsConv2d *c = s->conv;
    const int64_t width = s->of->width, pixels = s->of->height * width;
    for (int64_t r = row; r < row + rows; r++) {
        int64_t image = r / pixels, i = s->of->row + r % pixels / width * c->stride,
                j = s->of->column + r % width * c->stride;
        const real *from = s->from + r * c->channels + column;
        real *to = s->to + ((image * c->height + i) * c->width + j) * c->channels + column;
        if (!s->add)
            memcpy(to, from, (size_t)columns * sizeof *to);
        for (int64_t k = 0; s->add && k < columns; k++)
            ls_store1(to + k, ls_load1(to + k) + ls_load1(from + k));
    }
}

/* The bias of each channel, where a row of the product is a picture. */
typedef struct ConvBias {
    real *to;
    const real *bias;
    int64_t channels, window;
} ConvBias;

static void conv_add_bias(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const ConvBias *s = self;
    for (int64_t i = row; i < row + rows; i++)
        for (int64_t j = column; j < column + columns; j++) {
            real *to = s->to + i * s->window + j;
            ls_store1(to, ls_load1(to) + ls_load1(s->bias + j % s->channels));
        }
}

/* x is one row of the windows, or rows are pixels. */
static LsStatus conv_plain_input(const LsConv2d *c, const real *g, const real *w, const real *bias, real *dx, bool add)
{
    int64_t k = conv_window(c);
    ConvBias each = {dx, bias, c->channels, k};
    return ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = conv_rows(c),
                             .n = k,
                             .k = c->filters,
                             .a = g,
                             .lda = c->filters,
                             .b = w,
                             .ldb = k,
                             .c = dx,
                             .ldc = k,
                             .accumulate = add,
                             .finish = bias ? conv_add_bias : NULL,
                             .self = &each});
}

/* dx (B, H, W, C) = what g: (pixels of y, O) gives it, or +=; bias: (C) or NULL is added. scratch: `bytes` of it,
 * at least conv_input_space. */
static LsStatus conv_input_gradient(const LsConv2d *c, const real *g, const real *w, const real *bias, real *dx,
                                    bool add, void *scratch, int64_t bytes)
{
    if (conv_plain(c))
        return conv_plain_input(c, g, w, bias, dx, add);
    ConvNarrow narrow = narrow_input_of(c);
    if (narrow.beside) {
        narrow_run(&narrow, g, w, bias, &(NarrowTarget){.to = dx, .add = add}, scratch, bytes);
        return LS_OK;
    }
    ConvInputSpace parts = conv_input_parts(c);
    int32_t *windows = scratch, *weights = (int32_t *)(void *)((char *)scratch + parts.windows);
    real *result = (real *)(void *)((char *)scratch + parts.windows + parts.weights);
    const bool direct = c->stride == 1;
    for (int64_t row = 0; row < c->stride && row < c->height; row++)
        for (int64_t column = 0; column < c->stride && column < c->width; column++) {
            ConvClass k = conv_class(c, row, column, windows, weights);
            ConvScatter scatter = {c, &k, result, dx, add};
            LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                                     .m = c->images * k.height * k.width,
                                     .n = c->channels,
                                     .k = k.windows.runs * c->filters,
                                     .a = g,
                                     .a_runs = k.windows,
                                     .a_rowwise_error = true, /* the weights of all filters are alike */
                                     .b = w,
                                     .b_runs = k.weights,
                                     .c = direct ? dx : result,
                                     .ldc = c->channels,
                                     .accumulate = direct && add,
                                     .bias = bias,
                                     .finish = direct ? NULL : conv_scatter,
                                     .self = &scatter}));
        }
    return LS_OK;
}

#endif
