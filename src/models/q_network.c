/* The network of a deep Q-learner that sees a few numbers (Mnih et al. 2015): dense layers with rectifiers; the task
 * gives each action its value. */
#include "models/blocks.h"

typedef struct QNetwork {
    int64_t layers, width;
} QNetwork;

static const LsSetting settings[] = {LS_SETTING_INT(QNetwork, layers, "2", 1, 1000, "hidden layers"),
                                     LS_SETTING_INT(QNetwork, width, "128", 1, 1 << 20, "units of a hidden layer"),
                                     {0}};

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const QNetwork *m = config;
    LsTensor *x = ls_flat(g, ls_shape_input(g, shape, "values")); /* (B, N) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_relu(g, ls_dense_uniform(g, "dense", x, m->width, LS_NO_ACTIVATION));
        ls_pop(g);
    }
    return (LsBody){.features = x};
}

const LsModel ls_model_q_network = {
    .name = "q_network",
    .summary = "dense layers that an agent's values of actions are made from",
    .paper = "Mnih et al. 2015, Human-level control through deep reinforcement learning",
    .settings = settings,
    .config_bytes = sizeof(QNetwork),
    .fields = "values 4",
    .small = "layers=2 width=6",
    .build = build,
};
