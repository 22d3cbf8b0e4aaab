/* Mamba-2 (Dao and Gu 2024): pre-norm blocks around a state space with one decay a head (mamba_block.c). */
#include "models/mamba_block.h"

typedef struct Mamba2 {
    int64_t vocabulary, loss_vocabulary, context, layers, width;
    LsMamba2Block block;
    bool tied;
} Mamba2;

static const LsSetting settings[] = {
    LS_SETTING_INT(Mamba2, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Mamba2, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Mamba2, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(Mamba2, layers, "24", 1, 1000, "blocks"),
    LS_SETTING_INT(Mamba2, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_MAMBA2_BLOCK_SETTINGS(Mamba2, block, ""),
    LS_SETTING_BOOL(Mamba2, tied, "true", "the head uses the token embedding"),
    {0}};

static LsBlockPlace place_of(const Mamba2 *m)
{
    return (LsBlockPlace){.width = m->width, .layers = m->layers, .context = m->context, .settings = "model."};
}

static LsStatus check(const void *config)
{
    const Mamba2 *m = config;
    LsBlockPlace place = place_of(m);
    return ls_mamba2_block_check(&m->block, &place);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Mamba2 *m = config;
    LsBlockPlace place = place_of(m);
    LsTensor *table = ls_param(g, "token_embedding", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = ls_embedding(g, table, ls_shape_input(g, shape, "ids")); /* x: (B, T, C) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_mamba2_block(g, &m->block, &place, x);
        ls_pop(g);
    }
    x = ls_rms_norm_block(g, "norm", x, m->block.epsilon);
    LsTensor *head =
        m->tied ? table : ls_param(g, "head", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head, .loss_classes = m->loss_vocabulary};
}

/* Mamba2ForCausalLM of transformers; its in_proj begins with the gate, ours ends with it. */
static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "backbone.embeddings.weight"},
    {"layer.{i}.norm.scale", "backbone.layers.{i}.norm.weight"},
    {"layer.{i}.in_proj.weight", "backbone.layers.{i}.mixer.in_proj.weight", .rotate = "expand*width"},
    {"layer.{i}.in_proj.bias", "backbone.layers.{i}.mixer.in_proj.bias", .rotate = "expand*width"},
    {"layer.{i}.conv.weight", "backbone.layers.{i}.mixer.conv1d.weight", LS_HF_MIDDLE_ONE},
    {"layer.{i}.conv.bias", "backbone.layers.{i}.mixer.conv1d.bias"},
    {"layer.{i}.dt_bias", "backbone.layers.{i}.mixer.dt_bias"},
    {"layer.{i}.A_log", "backbone.layers.{i}.mixer.A_log"},
    {"layer.{i}.D", "backbone.layers.{i}.mixer.D"},
    {"layer.{i}.gate_norm.scale", "backbone.layers.{i}.mixer.norm.weight"},
    {"layer.{i}.out_proj.weight", "backbone.layers.{i}.mixer.out_proj.weight"},
    {"layer.{i}.out_proj.bias", "backbone.layers.{i}.mixer.out_proj.bias"},
    {"norm.scale", "backbone.norm_f.weight"},
    {"head", "lm_head.weight", .tied = "token_embedding"},
    {0}};

static const LsHfKey hf_keys[] = {
    {"vocabulary", "vocab_size"},
    {"width", "hidden_size"},
    {"layers", "num_hidden_layers"},
    {"state", "state_size", .absent = "128"},
    {"expand", "expand", .absent = "2"},
    {"head_dim", "head_dim", .absent = "64"},
    {NULL, "num_heads", .product = "expand*width/head_dim"},
    {"groups", "n_groups", .absent = "8"},
    {"conv", "conv_kernel", .absent = "4"},
    {"epsilon", "layer_norm_epsilon", .absent = "1e-5"},
    {"delta_min", "time_step_min", .absent = "0.001"},
    {"delta_max", "time_step_max", .absent = "0.1"},
    {"delta_floor", "time_step_floor", .absent = "1e-4"},
    {"limit_min", "time_step_limit", .element = 1, .absent = "0"},
    {"limit_max", "time_step_limit", .element = 2, .words = "Infinity=1e38", .absent = "1e38"},
    {"conv_bias", "use_conv_bias", .absent = "true"},
    {"bias", "use_bias", .absent = "false"},
    {"tied", "tie_word_embeddings", .absent = "false"},
    {0}};

static const LsHfArchitecture hf_architectures[] = {{.name = "Mamba2ForCausalLM", .task = "language"}, {0}};

static const LsHf hf = {
    .model_type = "mamba2",
    .architectures = hf_architectures,
    .prefix = "backbone.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .fixed = "{\"hidden_act\": \"silu\", \"rms_norm\": true}",
    /* the residual stream is float here in any case; chunks change the order of sums alone */
    .written = "{\"residual_in_fp32\": true, \"chunk_size\": 256}",
    /* norm_before_gate: the gate comes first there whatever it says, as published files with true show */
    .ignored =
        "initializer_range|rescale_prenorm_residual|time_step_rank|time_step_init_scheme|use_cache|norm_before_gate|"
        "intermediate_size|fused_add_norm|ssm_cfg|d_model|d_inner|n_layer|pad_vocab_size_multiple",
    .preset = (const char *const[]){"norm_groups=1", NULL},
};

const LsModel ls_model_mamba2 = {
    .name = "mamba2",
    .summary = "state space model with one decay a head, computed by dense products",
    .paper = "Dao and Gu 2024, Transformers are SSMs: generalized models and efficient algorithms through structured "
             "state space duality",
    .settings = settings,
    .config_bytes = sizeof(Mamba2),
    .small = "context=16 layers=2 width=6 head_dim=3 state=3;"
             "context=16 layers=1 width=8 head_dim=4 groups=2 state=5 conv=3 conv_bias=false bias=true tied=false "
             "norm_groups=2 limit_min=0.01 limit_max=0.05",
    .check = check,
    .build = build,
    .hf = &hf,
};
