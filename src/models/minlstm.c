/* minLSTM: h_t = f' h_{t-1} + i' g(v_t), f' = f / (f + i), i' = i / (f + i) of the gates f and i, (f, i, v) = in(x). */
#include "models/minimal.h"

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    return ls_minimal_build(g, config, shape, LS_SCAN_MINLSTM, 3);
}

const LsModel ls_model_minlstm = {
    .name = "minlstm",
    .summary = "minimal LSTM, all steps beside each other",
    .paper = "Feng et al. 2024, Were RNNs all we needed?",
    .settings = ls_minimal_settings,
    .config_bytes = sizeof(LsMinimal),
    .small = "context=16 layers=1 width=6 expand=1 conv=3 mlp=2",
    .build = build,
};
