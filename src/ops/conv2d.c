/* y = act(h), h = x * w + bias: two-dimensional convolution, channels last (conv2d.h has the sums). The weights are
 * PyTorch's (O, C, KH, KW) with the axes in the order (O, KH, KW, C).
 *
 * out[1] keeps act'(h) for the backward where there is an activation. */
#include "ops/conv2d.h"

typedef struct Conv2d {
    int64_t stride, padding, dilation;
    LsActivation activation;
} Conv2d;

static LsConv2d shape_of(const LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1];
    const Conv2d *a = node->attr;
    LsConv2d c = {.images = x->dim[0],
                  .height = x->dim[1],
                  .width = x->dim[2],
                  .channels = x->dim[3],
                  .filters = w->dim[0],
                  .kernel_height = w->dim[1],
                  .kernel_width = w->dim[2],
                  .stride = a->stride,
                  .padding = a->padding,
                  .dilation = a->dilation};
    int64_t tall = c.height + 2 * c.padding - c.dilation * (c.kernel_height - 1) - 1;
    int64_t wide = c.width + 2 * c.padding - c.dilation * (c.kernel_width - 1) - 1;
    c.out_height = tall < 0 ? 0 : tall / c.stride + 1;
    c.out_width = wide < 0 ? 0 : wide / c.stride + 1;
    return c;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    const Conv2d *a = node->attr;
    if (x->dtype != LS_REAL || w->dtype != LS_REAL || x->rank != 4 || w->rank != 4 || x->dim[3] != w->dim[3])
        return ls_node_fail(node, "conv2d: x %s does not fit w %s: x must be (B, H, W, C), w (O, KH, KW, C)",
                            ls_shape_text(x), ls_shape_text(w));
    if (bias && (bias->rank != 1 || bias->dim[0] != w->dim[0] || bias->dtype != LS_REAL))
        return ls_node_fail(node, "conv2d: bias %s does not fit w %s: it must be (O)", ls_shape_text(bias),
                            ls_shape_text(w));
    if (a->stride < 1 || a->padding < 0 || a->dilation < 1)
        return ls_node_fail(node, "conv2d: stride %lld, padding %lld, dilation %lld: at least 1, 0 and 1",
                            (long long)a->stride, (long long)a->padding, (long long)a->dilation);
    LsConv2d c = shape_of(node);
    if (c.out_height < 1 || c.out_width < 1 || !conv_fits(&c))
        return ls_node_fail(node,
                            "conv2d: x %s with padding %lld is smaller than the kernel of w %s, or one of them "
                            "has more than 2^31 elements a picture",
                            ls_shape_text(x), (long long)a->padding, ls_shape_text(w));
    const int64_t dim[4] = {c.images, c.out_height, c.out_width, c.filters};
    node->scratch_forward = conv_forward_space(&c);
    int64_t dw = conv_weight_space(&c), dx = conv_input_space(&c),
            sums = bias ? ls_bias_space(conv_rows(&c), c.filters) : 0;
    node->scratch_backward = sums > dw ? sums : dw;
    node->scratch_backward = dx > node->scratch_backward ? dx : node->scratch_backward;
    if (!ls_node_output(node, LS_REAL, 4, dim))
        return LS_RESOURCE;
    bool keep = a->activation != LS_NO_ACTIVATION && ls_graph_mode(node->graph) == LS_TRAIN;
    return !keep || ls_node_output(node, LS_REAL, 4, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *bias = node->in[2];
    const Conv2d *a = node->attr;
    LsConv2d c = shape_of(node);
    real *y = node->out[0]->data, *h = node->out[node->outputs > 1]->data;
    Epilogue epilogue = {a->activation, h, y, h != y, c.filters};
    bool acts = a->activation != LS_NO_ACTIVATION;
    return conv_forward(&c, node->in[0]->data, node->in[1]->data, bias ? bias->data : NULL,
                        (NarrowTarget){.to = h, .finish = acts ? ls_finish_piece : NULL, .self = &epilogue},
                        node->scratch, node->scratch_forward);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const Conv2d *a = node->attr;
    LsConv2d c = shape_of(node);
    real *g = node->out[0]->grad; /* (pixels, O), dL/dy at entry: nobody reads it after this node */
    ConvNarrow narrow = narrow_forward_of(&c);
    acc *dbias = node->in[2] && ls_wants(node, 2) ? node->in[2]->grad : NULL;
    bool with_weights = narrow.beside && ls_wants(node, 1); /* the bias gradient comes with that of the weights */
    if (a->activation != LS_NO_ACTIVATION || (dbias && !with_weights))
        ls_make_g(node->outputs > 1 ? node->out[1]->data : NULL, g, conv_rows(&c), c.filters, node->scratch,
                  with_weights ? NULL : dbias, ls_adds(node, 2));
    if (with_weights)
        narrow_weight_gradient(&narrow, g, node->in[0]->data, node->in[1]->grad, ls_adds(node, 1), dbias,
                               ls_adds(node, 2), node->scratch, node->scratch_backward);
    else if (ls_wants(node, 1))
        LS_TRY(conv_weight_gradient(&c, g, node->in[0]->data, node->in[1]->grad, ls_adds(node, 1), node->scratch,
                                    node->scratch_backward));
    if (ls_wants(node, 0))
        LS_TRY(conv_input_gradient(&c, g, node->in[1]->data, NULL, node->in[0]->grad, ls_adds(node, 0), node->scratch,
                                   node->scratch_backward));
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

/* Picture b at (i, j), of the definition. */
static double reference_pixel(const LsNode *node, const LsConv2d *c, int64_t b, int64_t i, int64_t j, int64_t o)
{
    const real *x = node->in[0]->data, *w = node->in[1]->data;
    double h = node->in[2] ? (double)ls_load1((const real *)node->in[2]->data + o) : 0;
    for (int64_t k = 0; k < c->kernel_height; k++)
        for (int64_t l = 0; l < c->kernel_width; l++) {
            int64_t row = i * c->stride + k * c->dilation - c->padding,
                    column = j * c->stride + l * c->dilation - c->padding;
            if (row < 0 || row >= c->height || column < 0 || column >= c->width)
                continue;
            for (int64_t p = 0; p < c->channels; p++)
                h += (double)ls_load1(x + ((b * c->height + row) * c->width + column) * c->channels + p) *
                     (double)ls_load1(w + ((o * c->kernel_height + k) * c->kernel_width + l) * c->channels + p);
        }
    return h;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const Conv2d *a = node->attr;
    LsConv2d c = shape_of(node);
    for (int64_t row = 0; row < conv_rows(&c); row++)
        for (int64_t o = 0; o < c.filters; o++) {
            int64_t pixel = row % (c.out_height * c.out_width), at = row * c.filters + o;
            double h = reference_pixel(node, &c, row / (c.out_height * c.out_width), pixel / c.out_width,
                                       pixel % c.out_width, o);
            if (node->outputs > 1)
                ls_store1((real *)node->out[1]->data + at, (acc)ls_activations[a->activation].slope(h));
            ls_store1((real *)node->out[0]->data + at, (acc)ls_activations[a->activation].plain(h));
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    LsConv2d c = shape_of(node);
    double x = (double)node->in[0]->count, w = (double)node->in[1]->count, y = (double)node->out[0]->count;
    double flops = 2 * y * (double)conv_window(&c);
    *fwd = (LsCost){.flops = flops, .bytes = (x + w + y * node->outputs) * sizeof(real), .products = flops};
    *bwd = (LsCost){.flops = 2 * flops,
                    .bytes = (2 * x + w + y * node->outputs) * sizeof(real) + w * sizeof(acc),
                    .products = 2 * flops};
}

/* ls_conv2d(g, x, w, bias, stride, padding, dilation, activation): x: (B, H, W, C), w: (O, KH, KW, C) parameter,
 * bias: (O) parameter or NULL -> (B, OH, OW, O), OH = (H + 2 padding - dilation (KH - 1) - 1) / stride + 1 rounded
 * down. activation: see LsActivation in lockstep/ops.h. */
LS_BUILDER LsTensor *ls_conv2d(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *bias, int64_t stride, int64_t padding,
                               int64_t dilation, LsActivation activation)
{
    return ls_node(g, "conv2d", 3, (LsTensor *[]){x, w, bias}, &(Conv2d){stride, padding, dilation, activation},
                   sizeof(Conv2d));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t x[4], w[3]; /* B, H, W, C; O, KH, KW */
        int64_t stride, padding, dilation;
        bool bias;
        LsActivation activation;
    } list[] = {{{1, 1, 1, 1}, {1, 1, 1}, 1, 0, 1, false, LS_NO_ACTIVATION},
                {{2, 5, 7, 3}, {5, 1, 1}, 1, 0, 1, true, LS_NO_ACTIVATION},   /* points */
                {{3, 4, 5, 2}, {7, 4, 5}, 1, 0, 1, true, LS_SILU},            /* whole pictures */
                {{2, 6, 5, 3}, {4, 3, 3}, 1, 1, 1, false, LS_RELU},           /* a padded copy */
                {{2, 7, 5, 9}, {5, 3, 3}, 1, 1, 1, true, LS_NO_ACTIVATION},   /* runs of channels */
                {{1, 9, 8, 10}, {3, 3, 2}, 2, 1, 1, true, LS_GELU},           /* a stride */
                {{2, 9, 11, 4}, {3, 5, 3}, 1, 0, 1, true, LS_GELU_TANH},      /* no padding */
                {{1, 11, 9, 8}, {4, 3, 3}, 1, 2, 2, false, LS_NO_ACTIVATION}, /* dilation */
                {{1, 7, 8, 3}, {2, 3, 2}, 3, 2, 2, true, LS_NO_ACTIVATION},   /* all three, few channels */
                {{2, 7, 6, 5}, {4, 1, 1}, 2, 0, 1, false, LS_NO_ACTIVATION},  /* pixels that meet nothing */
                {{1, 6, 5, 2}, {2, 2, 2}, 3, 1, 1, true, LS_NO_ACTIVATION},   /* kernel below the stride */
                {{2, 4, 3, 8}, {97, 3, 3}, 1, 1, 1, true, LS_NO_ACTIVATION},  /* many filters */
                {{2, 9, 13, 1}, {6, 5, 5}, 1, 2, 1, true, LS_NO_ACTIVATION},  /* few, */
                {{35, 4, 3, 2}, {3, 3, 2}, 1, 0, 1, true, LS_NO_ACTIVATION},  /* of many pictures, */
                {{1, 6, 23, 3}, {2, 4, 3}, 2, 3, 1, true, LS_NO_ACTIVATION},  /* far beyond them, */
                {{2, 5, 9, 6}, {17, 3, 5}, 1, 2, 1, true, LS_NO_ACTIVATION}}; /* a few more than fit one vector */
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 4, list[which].x);
    const int64_t *w = list[which].w;
    LsTensor *weights = ls_case_param(g, "w", 0, -1, 1, 4, (int64_t[]){w[0], w[1], w[2], list[which].x[3]});
    LsTensor *bias = list[which].bias ? ls_case_param(g, "bias", 0, -1, 1, 1, w) : NULL;
    ls_conv2d(g, x, weights, bias, list[which].stride, list[which].padding, list[which].dilation,
              list[which].activation);
    return true;
}

LS_OP(conv2d) = {
    .name = "conv2d",
    .formula = "y = act(conv(x, w) + bias)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .saves_out = 2,
    .param_in = 6,
    .cases = cases,
    .bf16_ulps = 2, /* as in linear: an h that was rounded, act'(h) and g */
};
