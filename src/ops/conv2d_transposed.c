/* y = the transpose of a convolution: what conv2d's backward makes of a gradient x (conv2d.h has the sums):
 *
 *     y[b, i s + k - p, j s + l - p, o] += w[c, k, l, o] x[b, i, j, c] for all i, j, k, l, c;   + bias[o]
 *
 * (Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning"). The weights are those of PyTorch's
 * ConvTranspose2d, (C, O, KH, KW), with the axes in the order (C, KH, KW, O). */
#include "ops/conv2d.h"

typedef struct Transposed {
    int64_t stride, padding;
} Transposed;

/* The convolution whose transpose it is, from y to x. */
static LsConv2d shape_of(const LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1];
    const Transposed *a = node->attr;
    return (LsConv2d){.images = x->dim[0],
                      .height = (x->dim[1] - 1) * a->stride - 2 * a->padding + w->dim[1],
                      .width = (x->dim[2] - 1) * a->stride - 2 * a->padding + w->dim[2],
                      .channels = w->dim[3],
                      .out_height = x->dim[1],
                      .out_width = x->dim[2],
                      .filters = x->dim[3],
                      .kernel_height = w->dim[1],
                      .kernel_width = w->dim[2],
                      .stride = a->stride,
                      .padding = a->padding,
                      .dilation = 1};
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    const Transposed *a = node->attr;
    if (x->dtype != LS_REAL || w->dtype != LS_REAL || x->rank != 4 || w->rank != 4 || x->dim[3] != w->dim[0])
        return ls_node_fail(node, "conv2d_transposed: x %s does not fit w %s: x must be (B, H, W, C), w (C, KH, KW, O)",
                            ls_shape_text(x), ls_shape_text(w));
    if (bias && (bias->rank != 1 || bias->dim[0] != w->dim[3] || bias->dtype != LS_REAL))
        return ls_node_fail(node, "conv2d_transposed: bias %s does not fit w %s: it must be (O)", ls_shape_text(bias),
                            ls_shape_text(w));
    LsConv2d c = shape_of(node);
    if (a->stride < 1 || a->padding < 0 || c.height < 1 || c.width < 1 || !conv_fits(&c))
        return ls_node_fail(node,
                            "conv2d_transposed: x %s, w %s, stride %lld and padding %lld give no picture, or one "
                            "of more than 2^31 elements",
                            ls_shape_text(x), ls_shape_text(w), (long long)a->stride, (long long)a->padding);
    int64_t dw = conv_weight_space(&c), dx = conv_forward_space(&c), pixels = c.images * c.height * c.width,
            sums = bias ? ls_bias_space(pixels, c.channels) : 0;
    node->scratch_forward = conv_input_space(&c);
    node->scratch_backward = sums > dw ? sums : dw;
    node->scratch_backward = dx > node->scratch_backward ? dx : node->scratch_backward;
    const int64_t dim[4] = {c.images, c.height, c.width, c.channels};
    return ls_node_output(node, LS_REAL, 4, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LsConv2d c = shape_of(node);
    return conv_input_gradient(&c, node->in[0]->data, node->in[1]->data, node->in[2] ? node->in[2]->data : NULL,
                               node->out[0]->data, false, node->scratch, node->scratch_forward);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LsConv2d c = shape_of(node);
    real *g = node->out[0]->grad; /* (B, H, W, O) */
    if (node->in[2] && ls_wants(node, 2))
        ls_make_g(NULL, g, c.images * c.height * c.width, c.channels, node->scratch, node->in[2]->grad,
                  ls_adds(node, 2));
    if (ls_wants(node, 1))
        LS_TRY(conv_weight_gradient(&c, node->in[0]->data, g, node->in[1]->grad, ls_adds(node, 1), node->scratch,
                                    node->scratch_backward));
    if (!ls_wants(node, 0))
        return LS_OK;
    return conv_forward(&c, g, node->in[1]->data, NULL,
                        (NarrowTarget){.to = node->in[0]->grad, .add = ls_adds(node, 0)}, node->scratch,
                        node->scratch_backward);
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

/* Pixel (i, j) of picture b: all entries of the kernel that meet it. */
static double reference_pixel(const LsNode *node, const LsConv2d *c, int64_t b, int64_t i, int64_t j, int64_t o)
{
    const real *x = node->in[0]->data, *w = node->in[1]->data;
    double y = node->in[2] ? (double)ls_load1((const real *)node->in[2]->data + o) : 0;
    for (int64_t k = 0; k < c->kernel_height; k++)
        for (int64_t l = 0; l < c->kernel_width; l++) {
            int64_t row = i + c->padding - k, column = j + c->padding - l;
            if (row < 0 || column < 0 || row % c->stride || column % c->stride || row / c->stride >= c->out_height ||
                column / c->stride >= c->out_width)
                continue;
            const real *from =
                x + ((b * c->out_height + row / c->stride) * c->out_width + column / c->stride) * c->filters;
            for (int64_t p = 0; p < c->filters; p++)
                y += (double)ls_load1(from + p) *
                     (double)ls_load1(w + ((p * c->kernel_height + k) * c->kernel_width + l) * c->channels + o);
        }
    return y;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    LsConv2d c = shape_of(node);
    for (int64_t row = 0; row < c.images * c.height * c.width; row++)
        for (int64_t o = 0; o < c.channels; o++) {
            int64_t pixel = row % (c.height * c.width);
            ls_store1((real *)node->out[0]->data + row * c.channels + o,
                      (acc)reference_pixel(node, &c, row / (c.height * c.width), pixel / c.width, pixel % c.width, o));
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    LsConv2d c = shape_of(node);
    double x = (double)node->in[0]->count, w = (double)node->in[1]->count, y = (double)node->out[0]->count;
    double flops = 2 * x * (double)conv_window(&c);
    *fwd = (LsCost){.flops = flops, .bytes = (x + w + y) * sizeof(real), .products = flops};
    *bwd = (LsCost){
        .flops = 2 * flops, .bytes = (2 * x + w + 2 * y) * sizeof(real) + w * sizeof(acc), .products = 2 * flops};
}

/* ls_conv2d_transposed(g, x, w, bias, stride, padding): x: (B, H, W, C), w: (C, KH, KW, O) parameter, bias: (O)
 * parameter or NULL -> (B, OH, OW, O), OH = (H - 1) stride - 2 padding + KH. */
LS_BUILDER LsTensor *ls_conv2d_transposed(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *bias, int64_t stride,
                                          int64_t padding)
{
    return ls_node(g, "conv2d_transposed", 3, (LsTensor *[]){x, w, bias}, &(Transposed){stride, padding},
                   sizeof(Transposed));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t x[4], w[3]; /* B, H, W, C; KH, KW, O */
        int64_t stride, padding;
        bool bias;
    } list[] = {{{1, 1, 1, 1}, {1, 1, 1}, 1, 0, false}, {{2, 1, 1, 5}, {4, 3, 3}, 1, 0, true},
                {{2, 4, 3, 7}, {4, 4, 5}, 2, 1, true},  {{1, 3, 4, 9}, {3, 2, 3}, 1, 1, true},
                {{1, 3, 2, 4}, {2, 3, 2}, 3, 0, true},  {{2, 5, 3, 98}, {4, 4, 3}, 2, 1, false},
                {{1, 4, 3, 3}, {1, 1, 10}, 1, 0, true}, {{1, 4, 4, 3}, {1, 2, 2}, 2, 0, true}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 4, list[which].x);
    const int64_t *w = list[which].w;
    LsTensor *weights = ls_case_param(g, "w", 0, -1, 1, 4, (int64_t[]){list[which].x[3], w[0], w[1], w[2]});
    LsTensor *bias = list[which].bias ? ls_case_param(g, "bias", 0, -1, 1, 1, w + 2) : NULL;
    ls_conv2d_transposed(g, x, weights, bias, list[which].stride, list[which].padding);
    return true;
}

LS_OP(conv2d_transposed) = {
    .name = "conv2d_transposed",
    .formula = "y = conv^T(x, w) + bias",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .param_in = 6,
    .cases = cases,
    .bf16_ulps = 1, /* whole pictures: the product is rounded before the bias is added */
};
