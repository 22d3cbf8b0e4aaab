/* Deep convolutional generative adversarial nets (Radford, Metz, Chintala 2016) for pictures x: (B, H, W, C).
 *
 *     generator      h = relu(norm(z W^T)), (B, H / 2^S, W / 2^S, 2^(S-1) width);
 *                    h = relu(norm(transposed convolution of h)), twice as high and wide with half the maps, S - 1 times;
 *                    x = tanh(transposed convolution of h)
 *     discriminator  h = leaky(convolution of x), half as high and wide with `width` maps;
 *                    h = leaky(norm(convolution of h)), with twice the maps, S - 1 times;  a logit of all of h
 *
 * As in the paper there is no norm on what the generator says and none on what the discriminator sees, all weights are
 * drawn from N(0, 0.02^2), and real and made samples are batches of their own to the norms. Kernels are 4 x 4, of
 * stride 2, padded by 1: the paper's 5 x 5 cover some pixels more often than others. The paper's pictures of 64 x 64
 * have S = 4 and width 128; 28 x 28 allow S = 2, 32 x 32 have S = 3. Samples must lie from -1 to 1
 * (data.scaling: symmetric). */
#include "models/gan.h"

#define KERNEL 4
#define DEVIATION 0.02

typedef struct Dcgan {
    int64_t stages, width, noise;
    double blur;
    int64_t blur_halving;
} Dcgan;

static const LsSetting settings[] = {
    LS_SETTING_INT(Dcgan, stages, "2", 1, 10, "times that a player doubles, or halves, height and width"),
    LS_SETTING_INT(Dcgan, width, "64", 1, 1 << 14,
                   "maps next to the picture; each stage away from it has twice as many"),
    LS_SETTING_INT(Dcgan, noise, "100", 1, 1 << 20, "numbers that the generator makes a picture from"),
    LS_GAN_BLUR_SETTINGS(Dcgan),
    {0}};

/* As high and wide as a picture of the field after `stages` halvings; false where it has no such size. */
static bool smallest(LsGraph *g, const Dcgan *m, const LsField *field, int64_t *height, int64_t *width)
{
    const int64_t times = (int64_t)1 << m->stages;
    if (field->rank == 3 && field->dim[0] % times == 0 && field->dim[1] % times == 0) {
        *height = field->dim[0] / times;
        *width = field->dim[1] / times;
        return true;
    }
    if (field->rank != 3)
        ls_graph_fail(g, LS_USAGE,
                      "dcgan makes pictures, field \"pixels\" (height, width, channels): data of \"%s\" are none",
                      field->name);
    else
        ls_graph_fail(
            g, LS_USAGE,
            "dcgan: pictures of %lld x %lld cannot be halved %lld times: set model.stages lower, or prepare them in "
            "another size",
            (long long)field->dim[1], (long long)field->dim[0], (long long)m->stages);
    return false;
}

/* x: (B, H, W, C) -> (B, 2 H, 2 W, maps) */
static LsTensor *widen(LsGraph *g, LsTensor *x, int64_t maps)
{
    LsTensor *w =
        ls_param(g, "weight", ls_init_normal(DEVIATION), 4, (int64_t[]){x->dim[x->rank - 1], KERNEL, KERNEL, maps});
    return ls_conv2d_transposed(g, x, w, NULL, 2, 1);
}

static LsTensor *generate(LsGraph *g, const void *config, const LsField *field, LsTensor *x)
{
    const Dcgan *m = config;
    int64_t height, width, maps = m->width << (m->stages - 1);
    if (!smallest(g, m, field, &height, &width))
        return x;
    ls_push(g, "layer.0");
    x = ls_dense(g, "dense", x, height * width * maps, ls_init_normal(DEVIATION), false, LS_NO_ACTIVATION);
    x = ls_reshape(g, x, 4, (int64_t[]){x->dim[0], height, width, maps});
    x = ls_relu(g, ls_batch_norm_block(g, "norm", x));
    ls_pop(g);
    for (int64_t stage = 1; stage < m->stages; stage++) {
        ls_push(g, "layer.%lld", (long long)stage);
        maps /= 2;
        x = ls_relu(g, ls_batch_norm_block(g, "norm", widen(g, x, maps)));
        ls_pop(g);
    }
    ls_push(g, "out");
    x = ls_tanh(g, widen(g, x, field->dim[2]));
    ls_pop(g);
    return x;
}

static LsTensor *judge(LsGraph *g, const void *config, LsTensor *x)
{
    const Dcgan *m = config;
    if (x->rank != 4) /* refused by the generator */
        return x;
    for (int64_t stage = 0; stage < m->stages; stage++) {
        ls_push(g, "layer.%lld", (long long)stage);
        LsTensor *w = ls_param(g, "weight", ls_init_normal(DEVIATION), 4,
                               (int64_t[]){m->width << stage, KERNEL, KERNEL, x->dim[3]});
        x = ls_conv2d(g, x, w, NULL, 2, 1, 1, LS_NO_ACTIVATION);
        x = ls_leaky_relu(g, stage > 0 ? ls_batch_norm_block(g, "norm", x) : x);
        ls_pop(g);
    }
    return ls_dense(g, "out", ls_flat(g, x), 1, ls_init_normal(DEVIATION), true, LS_NO_ACTIVATION);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Dcgan *m = config;
    return ls_gan_build(g,
                        &(LsGan){.config = m,
                                 .generate = generate,
                                 .judge = judge,
                                 .noise = m->noise,
                                 .blur = m->blur,
                                 .blur_halving = m->blur_halving},
                        shape);
}

const LsModel ls_model_dcgan = {
    .name = "dcgan",
    .summary = "deep convolutional generative adversarial nets, for pictures",
    .paper = "Radford, Metz, Chintala 2016, Unsupervised representation learning with deep convolutional generative "
             "adversarial networks",
    .settings = settings,
    .config_bytes = sizeof(Dcgan),
    .fields = "pixels 28x28x1",
    .small = "stages=2 width=2 noise=3 | pixels 8x4x1; stages=1 width=3 noise=2 blur=0.1 blur_halving=5 | pixels 4x6x2",
    .build = build,
};
