/* Generative adversarial nets of dense layers (Goodfellow et al. 2014), for points and small pictures.
 *
 *     generator      h = z;  h = act(h W^T + b) for each hidden layer;  x = h W^T + b
 *     discriminator  the same from x to one logit, with leaky rectifiers
 */
#include "models/gan.h"

typedef struct GanMlp {
    int64_t layers, width, noise;
    char *activation;
    double blur;
    int64_t blur_halving;
} GanMlp;

static const LsSetting settings[] = {
    LS_SETTING_INT(GanMlp, layers, "2", 1, 1000, "hidden layers of each player"),
    LS_SETTING_INT(GanMlp, width, "128", 1, 1 << 20, "units of a hidden layer"),
    LS_SETTING_INT(GanMlp, noise, "16", 1, 1 << 20, "numbers that the generator makes a sample from"),
    LS_SETTING_CHOICE(GanMlp, activation, "relu", LS_ACTIVATION_NAMES, "of the generator, after each hidden layer"),
    LS_GAN_BLUR_SETTINGS(GanMlp),
    {0}};

static LsTensor *generate(LsGraph *g, const void *config, const LsField *field, LsTensor *x)
{
    const GanMlp *m = config;
    int64_t dim[LS_MAX_RANK] = {x->dim[0]}, numbers = 1;
    for (int i = 0; i < field->rank; i++)
        numbers *= dim[1 + i] = field->dim[i];
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_activation(g, m->activation, ls_dense_uniform(g, "dense", x, m->width, LS_NO_ACTIVATION));
        ls_pop(g);
    }
    x = ls_dense_uniform(g, "out", x, numbers, LS_NO_ACTIVATION);
    return field->rank == 1 ? x : ls_reshape(g, x, 1 + field->rank, dim);
}

static LsTensor *judge(LsGraph *g, const void *config, LsTensor *x)
{
    const GanMlp *m = config;
    x = ls_flat(g, x);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_leaky_relu(g, ls_dense_uniform(g, "dense", x, m->width, LS_NO_ACTIVATION));
        ls_pop(g);
    }
    return ls_dense_uniform(g, "out", x, 1, LS_NO_ACTIVATION);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const GanMlp *m = config;
    return ls_gan_build(g,
                        &(LsGan){.config = m,
                                 .generate = generate,
                                 .judge = judge,
                                 .noise = m->noise,
                                 .blur = m->blur,
                                 .blur_halving = m->blur_halving},
                        shape);
}

const LsModel ls_model_gan_mlp = {
    .name = "gan_mlp",
    .summary = "generative adversarial nets of dense layers, for points and small pictures",
    .paper = "Goodfellow et al. 2014, Generative adversarial nets",
    .settings = settings,
    .config_bytes = sizeof(GanMlp),
    .fields = "values 2",
    .small =
        "layers=1 width=7 noise=3 activation=tanh blur=0.1 blur_halving=5; layers=2 width=5 noise=2 activation=silu",
    .build = build,
};
