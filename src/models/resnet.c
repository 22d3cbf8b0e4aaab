/* Residual networks for small pictures (He, Zhang, Ren, Sun 2016, section 4.2): a 3 x 3 convolution, stages of
 * blocks, each stage of half the height and width and twice the channels of the one before, the mean over all
 * positions.
 *
 *     x = relu(F(x) + x),  F = norm(conv(relu(norm(conv(x)))))      for each block
 *
 * Where a block changes the shape, a 1 x 1 convolution with norm does for x (option B of the paper). ResNet-20:
 * stages 3, blocks 3, width 16; ResNet-18: stages 4, blocks 2, width 64. x: (B, H, W, C) pictures. */
#include "models/blocks.h"

typedef struct Resnet {
    int64_t stages, blocks, width;
} Resnet;

static const LsSetting settings[] = {
    LS_SETTING_INT(Resnet, stages, "3", 1, 8, "groups of blocks; each has half the height and width of the one before"),
    LS_SETTING_INT(Resnet, blocks, "3", 1, 100, "blocks of a stage, of two convolutions each"),
    LS_SETTING_INT(Resnet, width, "16", 1, 1 << 14, "channels of the first stage; each next one has twice as many"),
    {0}};

static LsTensor *block(LsGraph *g, LsTensor *x, int64_t maps, int64_t stride)
{
    LsTensor *same = x;
    LsTensor *y = ls_relu(g, ls_conv_norm(g, "conv_1", x, maps, 3, stride, 1));
    y = ls_conv_norm(g, "conv_2", y, maps, 3, 1, 1);
    if (stride != 1 || x->dim[3] != maps)
        same = ls_conv_norm(g, "shortcut", x, maps, 1, stride, 0);
    return ls_relu(g, ls_add(g, y, same));
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Resnet *m = config;
    int64_t maps = m->width;
    LsTensor *x = ls_relu(g, ls_conv_norm(g, "conv", ls_shape_input(g, shape, "pixels"), maps, 3, 1, 1));
    for (int64_t stage = 0; stage < m->stages; stage++, maps *= 2)
        for (int64_t i = 0; i < m->blocks; i++) {
            ls_push(g, "stage.%lld.%lld", (long long)stage, (long long)i);
            x = block(g, x, maps, stage > 0 && i == 0 ? 2 : 1);
            ls_pop(g);
        }
    return (LsBody){.features = ls_pool_global(g, x, NULL, LS_POOL_MEAN)};
}

const LsModel ls_model_resnet = {
    .name = "resnet",
    .summary = "residual network for small pictures: ResNet-20 by default, ResNet-18 by settings",
    .paper = "He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition",
    .settings = settings,
    .config_bytes = sizeof(Resnet),
    .fields = "pixels 32x32x3",
    .small = "stages=1 blocks=2 width=4 | pixels 5x5x1",
    .build = build,
};
