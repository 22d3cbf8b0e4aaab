/* Mamba-2 (Dao and Gu 2024): pre-norm blocks around a state space with one decay a head (mamba_block.c). */
#include "models/mamba_block.h"

typedef struct Mamba2 {
    LsMambaStack stack;
    LsMamba2Block block;
} Mamba2;

static const LsSetting settings[] = {
    LS_MAMBA_STACK_SETTINGS(Mamba2, stack, LS_MAMBA2_BLOCK_SETTINGS(Mamba2, block, "")), {0}};

static LsStatus check(const void *config)
{
    const Mamba2 *m = config;
    LsBlockPlace place = ls_mamba_stack_place(&m->stack);
    return ls_mamba2_block_check(&m->block, &place);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Mamba2 *m = config;
    return ls_mamba_stack(g, shape, &m->stack, ls_mamba2_block, &m->block, m->block.epsilon);
}

/* Mamba2ForCausalLM of transformers; its in_proj begins with the gate, ours ends with it. */
static const LsHfTensor hf_tensors[] = {
    LS_MAMBA_HF_TENSORS,
    {"layer.{i}.in_proj.weight", "backbone.layers.{i}.mixer.in_proj.weight", .rotate = "expand*width"},
    {"layer.{i}.in_proj.bias", "backbone.layers.{i}.mixer.in_proj.bias", .rotate = "expand*width"},
    {"layer.{i}.dt_bias", "backbone.layers.{i}.mixer.dt_bias"},
    {"layer.{i}.gate_norm.scale", "backbone.layers.{i}.mixer.norm.weight"},
    {0}};

static const LsHfKey hf_keys[] = {
    LS_MAMBA_HF_KEYS,
    {"state", "state_size", .absent = "128"},
    {"head_dim", "head_dim", .absent = "64"},
    {NULL, "num_heads", .product = "expand*width/head_dim"},
    {"groups", "n_groups", .absent = "8"},
    {"limit_min", "time_step_limit", .element = 1, .absent = "0"},
    {"limit_max", "time_step_limit", .element = 2, .words = "Infinity=1e38", .absent = "1e38"},
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
