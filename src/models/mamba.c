/* Mamba (Gu and Dao 2023): pre-norm blocks around a selective state space (mamba_block.c). */
#include "models/mamba_block.h"

typedef struct Mamba {
    int64_t vocabulary, loss_vocabulary, context, layers, width;
    LsMambaBlock block;
    bool tied;
} Mamba;

static const LsSetting settings[] = {
    LS_SETTING_INT(Mamba, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Mamba, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Mamba, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(Mamba, layers, "24", 1, 1000, "blocks"),
    LS_SETTING_INT(Mamba, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_MAMBA_BLOCK_SETTINGS(Mamba, block, ""),
    LS_SETTING_BOOL(Mamba, tied, "true", "the head uses the token embedding"),
    {0}};

static LsBlockPlace place_of(const Mamba *m)
{
    return (LsBlockPlace){.width = m->width, .layers = m->layers, .context = m->context, .settings = "model."};
}

static LsStatus check(const void *config)
{
    const Mamba *m = config;
    LsBlockPlace place = place_of(m);
    return ls_mamba_block_check(&m->block, &place);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Mamba *m = config;
    LsBlockPlace place = place_of(m);
    LsTensor *table = ls_param(g, "token_embedding", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = ls_embedding(g, table, ls_shape_input(g, shape, "ids")); /* x: (B, T, C) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_mamba_block(g, &m->block, &place, x);
        ls_pop(g);
    }
    x = ls_rms_norm_block(g, "norm", x, m->block.epsilon);
    LsTensor *head =
        m->tied ? table : ls_param(g, "head", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head, .loss_classes = m->loss_vocabulary};
}

/* MambaForCausalLM of transformers. */
static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "backbone.embeddings.weight"},
    {"layer.{i}.norm.scale", "backbone.layers.{i}.norm.weight"},
    {"layer.{i}.in_proj.weight", "backbone.layers.{i}.mixer.in_proj.weight"},
    {"layer.{i}.in_proj.bias", "backbone.layers.{i}.mixer.in_proj.bias"},
    {"layer.{i}.conv.weight", "backbone.layers.{i}.mixer.conv1d.weight", LS_HF_MIDDLE_ONE},
    {"layer.{i}.conv.bias", "backbone.layers.{i}.mixer.conv1d.bias"},
    {"layer.{i}.x_proj.weight", "backbone.layers.{i}.mixer.x_proj.weight"},
    {"layer.{i}.dt_proj.weight", "backbone.layers.{i}.mixer.dt_proj.weight"},
    {"layer.{i}.dt_proj.bias", "backbone.layers.{i}.mixer.dt_proj.bias"},
    {"layer.{i}.A_log", "backbone.layers.{i}.mixer.A_log"},
    {"layer.{i}.D", "backbone.layers.{i}.mixer.D"},
    {"layer.{i}.out_proj.weight", "backbone.layers.{i}.mixer.out_proj.weight"},
    {"layer.{i}.out_proj.bias", "backbone.layers.{i}.mixer.out_proj.bias"},
    {"norm.scale", "backbone.norm_f.weight"},
    {"head", "lm_head.weight", .tied = "token_embedding"},
    {0}};

static const LsHfKey hf_keys[] = {{"vocabulary", "vocab_size"},
                                  {"width", "hidden_size"},
                                  {"layers", "num_hidden_layers"},
                                  {"state", "state_size"},
                                  {"expand", "expand", .absent = "2"},
                                  {NULL, "intermediate_size", .product = "expand*width"},
                                  {"conv", "conv_kernel", .absent = "4"},
                                  {"rank", "time_step_rank", .words = "auto=0", .absent = "auto"},
                                  {"epsilon", "layer_norm_epsilon", .absent = "1e-5"},
                                  {"delta_min", "time_step_min", .absent = "0.001"},
                                  {"delta_max", "time_step_max", .absent = "0.1"},
                                  {"delta_floor", "time_step_floor", .absent = "1e-4"},
                                  {"delta_scale", "time_step_scale", .absent = "1"},
                                  {"conv_bias", "use_conv_bias", .absent = "true"},
                                  {"bias", "use_bias", .absent = "false"},
                                  {"tied", "tie_word_embeddings", .absent = "true"},
                                  {0}};

static const LsHfArchitecture hf_architectures[] = {{.name = "MambaForCausalLM", .task = "language"}, {0}};

static const LsHf hf = {
    .model_type = "mamba",
    .architectures = hf_architectures,
    .prefix = "backbone.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .fixed = "{\"hidden_act\": \"silu\"}",
    .written = "{\"residual_in_fp32\": true}", /* the residual stream is float here in any case */
    .ignored =
        "initializer_range|rescale_prenorm_residual|time_step_init_scheme|use_cache|use_mambapy|use_associative_scan|"
        "fused_add_norm|rms_norm|ssm_cfg|d_model|d_inner|n_layer|pad_vocab_size_multiple",
};

const LsModel ls_model_mamba = {
    .name = "mamba",
    .summary = "selective state space model",
    .paper = "Gu and Dao 2023, Mamba: linear-time sequence modeling with selective state spaces",
    .settings = settings,
    .config_bytes = sizeof(Mamba),
    .small = "context=16 layers=2 width=6 state=3 rank=2;"
             "context=16 layers=1 width=5 state=16 conv=3 conv_bias=false bias=true tied=false expand=1",
    .check = check,
    .build = build,
    .hf = &hf,
};
