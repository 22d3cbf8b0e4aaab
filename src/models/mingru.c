/* minGRU: h_t = (1 - z_t) h_{t-1} + z_t g(v_t), z = sigmoid(k), (k, v) = in(x). */
#include "models/minimal.h"

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    return ls_minimal_build(g, config, shape, LS_SCAN_MINGRU, 2);
}

const LsModel ls_model_mingru = {
    .name = "mingru",
    .summary = "minimal gated recurrent network, all steps beside each other",
    .paper = "Feng et al. 2024, Were RNNs all we needed?",
    .settings = ls_minimal_settings,
    .config_bytes = sizeof(LsMinimal),
    .small = "context=16 layers=2 width=6 expand=1.5 dropout=0.2; context=16 layers=1 width=5 conv=0 mlp=0 tied=false",
    .build = build,
};
