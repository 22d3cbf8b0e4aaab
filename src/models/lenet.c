/* LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) in its usual form of today: every map of the second convolution sees
 * all maps, and subsampling has no weights. x: (B, 28, 28, C) pictures.
 *
 *     6 maps 5 x 5 (padded by 2), pool 2 x 2, 16 maps 5 x 5, pool 2 x 2, 120 units, 84 units
 */
#include "models/blocks.h"

#include <string.h>

typedef struct Lenet {
    char *activation, *pool;
    int64_t padding;
} Lenet;

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(Lenet, activation, "relu", LS_ACTIVATION_NAMES, "after each layer; the paper's: tanh"),
    LS_SETTING_CHOICE(Lenet, pool, "max", "max|average", "how 2 x 2 squares become one; the paper's: average"),
    LS_SETTING_INT(Lenet, padding, "2", 0, 64,
                   "zeros around a picture: 2 makes 28 x 28 the 32 x 32 of the paper, 0 is for 32 x 32"),
    {0}};

static LsTensor *stage(LsGraph *g, const Lenet *m, const char *name, LsTensor *x, int64_t maps, int64_t padding)
{
    LsTensor *y = ls_conv_uniform(g, name, x, maps, 5, 1, padding, LS_NO_ACTIVATION);
    LsPool kind = strcmp(m->pool, "max") == 0 ? LS_POOL_MAX : LS_POOL_MEAN;
    return ls_pool2d(g, ls_activation(g, m->activation, y), kind, 2, 2, 0);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Lenet *m = config;
    LsTensor *x = ls_shape_input(g, shape, "pixels"); /* (B, H, W, C) */
    x = stage(g, m, "conv_1", x, 6, m->padding);
    x = ls_flat(g, stage(g, m, "conv_2", x, 16, 0));
    x = ls_activation(g, m->activation, ls_dense_uniform(g, "dense_1", x, 120, LS_NO_ACTIVATION));
    x = ls_activation(g, m->activation, ls_dense_uniform(g, "dense_2", x, 84, LS_NO_ACTIVATION));
    return (LsBody){.features = x};
}

const LsModel ls_model_lenet = {
    .name = "lenet",
    .summary = "LeNet-5: convolutions for small pictures",
    .paper = "LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition",
    .settings = settings,
    .config_bytes = sizeof(Lenet),
    .fields = "pixels 28x28x1",
    .small = "activation=tanh pool=average | pixels 13x12x2; activation=silu pool=average padding=0 | pixels 17x16x1",
    .build = build,
};
