/* Mamba (Gu and Dao 2023): pre-norm blocks around a selective state space (mamba_block.c). */
#include "models/mamba_block.h"

typedef struct Mamba {
    LsMambaStack stack;
    LsMambaBlock block;
} Mamba;

static const LsSetting settings[] = {LS_MAMBA_STACK_SETTINGS(Mamba, stack, LS_MAMBA_BLOCK_SETTINGS(Mamba, block, "")),
                                     {0}};

static LsStatus check(const void *config)
{
    const Mamba *m = config;
    LsBlockPlace place = ls_mamba_stack_place(&m->stack);
    return ls_mamba_block_check(&m->block, &place);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Mamba *m = config;
    return ls_mamba_stack(g, shape, &m->stack, ls_mamba_block, &m->block, m->block.epsilon);
}

/* MambaForCausalLM of transformers. */
static const LsHfTensor hf_tensors[] = {LS_MAMBA_HF_TENSORS,
                                        {"layer.{i}.in_proj.weight", "backbone.layers.{i}.mixer.in_proj.weight"},
                                        {"layer.{i}.in_proj.bias", "backbone.layers.{i}.mixer.in_proj.bias"},
                                        {"layer.{i}.x_proj.weight", "backbone.layers.{i}.mixer.x_proj.weight"},
                                        {"layer.{i}.dt_proj.weight", "backbone.layers.{i}.mixer.dt_proj.weight"},
                                        {"layer.{i}.dt_proj.bias", "backbone.layers.{i}.mixer.dt_proj.bias"},
                                        {0}};

static const LsHfKey hf_keys[] = {LS_MAMBA_HF_KEYS,
                                  {"state", "state_size"},
                                  {NULL, "intermediate_size", .product = "expand*width"},
                                  {"rank", "time_step_rank", .words = "auto=0", .absent = "auto"},
                                  {"delta_scale", "time_step_scale", .absent = "1"},
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
