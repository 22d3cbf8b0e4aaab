/* A multilayer perceptron (Rosenblatt 1958; Rumelhart, Hinton, Williams 1986): without hidden layers a perceptron.
 *
 *     h = x, flat;  h = act(h W^T + b)      for each hidden layer
 */
#include "models/blocks.h"

typedef struct Mlp {
    int64_t layers, width;
    char *activation;
    double dropout;
} Mlp;

static const LsSetting settings[] = {
    LS_SETTING_INT(Mlp, layers, "1", 0, 1000, "hidden layers; 0: a perceptron"),
    LS_SETTING_INT(Mlp, width, "128", 1, 1 << 20, "units of a hidden layer"),
    LS_SETTING_CHOICE(Mlp, activation, "relu", LS_ACTIVATION_NAMES, "after each hidden layer"),
    LS_SETTING_FLOAT(Mlp, dropout, "0", 0, 0.99, "probability of zeroing, after each hidden layer"),
    {0}};

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Mlp *m = config;
    LsTensor *x = ls_flat(g, ls_shape_input_of(g, shape, "pixels|values")); /* (B, N) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_activation(g, m->activation, ls_dense_uniform(g, "dense", x, m->width, LS_NO_ACTIVATION));
        x = ls_drop(g, x, m->dropout);
        ls_pop(g);
    }
    return (LsBody){.features = x};
}

const LsModel ls_model_mlp = {
    .name = "mlp",
    .summary = "multilayer perceptron of pictures or numbers; a perceptron without hidden layers",
    .paper = "Rumelhart, Hinton, Williams 1986, Learning representations by back-propagating errors",
    .settings = settings,
    .config_bytes = sizeof(Mlp),
    .fields = "pixels 28x28x1",
    .small = "layers=0 | pixels 5x4x2; layers=2 width=5 activation=tanh | values 3x4; layers=1 width=4 "
             "activation=sigmoid dropout=0.2 | values 7",
    .build = build,
};
