/* The sizes of a two-dimensional convolution, channels last, and what follows from them alone. */
#ifndef LS_OPS_CONV_SHAPE_H
#define LS_OPS_CONV_SHAPE_H

#include "ops/op_build.h"

typedef struct LsConv2d {
    int64_t images, height, width, channels; /* x: (images, height, width, channels) */
    int64_t out_height, out_width, filters;  /* y: (images, out_height, out_width, filters) */
    int64_t kernel_height, kernel_width;     /* w: (filters, kernel_height, kernel_width, channels) */
    int64_t stride, padding, dilation;
} LsConv2d;

static int64_t conv_aligned(int64_t bytes) { return (bytes + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN; }

/* Numbers of a window; windows; pixels of a class of x. */
static int64_t conv_window(const LsConv2d *c) { return c->kernel_height * c->kernel_width * c->channels; }
static int64_t conv_rows(const LsConv2d *c) { return c->images * c->out_height * c->out_width; }
static int64_t conv_class_pixels(const LsConv2d *c)
{
    return ((c->height + c->stride - 1) / c->stride) * ((c->width + c->stride - 1) / c->stride);
}

/* Whether the sizes fit into the 32 bits with which the products address them. */
static bool conv_fits(const LsConv2d *c)
{
    int64_t tall = c->height + 2 * c->padding, wide = c->width + 2 * c->padding;
    return tall * wide * c->channels <= INT32_MAX && c->out_height * c->out_width * c->filters <= INT32_MAX &&
           c->filters * conv_window(c) <= INT32_MAX;
}

/* The windows are a matrix that lies in memory: x itself. */
static bool conv_plain(const LsConv2d *c)
{
    bool points = c->kernel_height == 1 && c->kernel_width == 1 && c->stride == 1;
    bool whole = c->kernel_height == c->height && c->kernel_width == c->width && c->dilation == 1;
    return c->padding == 0 && (points || whole);
}

#endif
