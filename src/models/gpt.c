/* GPT: the decoder of decoder.h. By default GPT-2 (Radford et al. 2019); settings reach towards the Llama family (RMS
 * norm, SwiGLU, rotary positions, grouped queries), which is a model of its own. */
#include "models/decoder.h"

#include <string.h>

typedef struct Gpt {
    int64_t vocabulary, loss_vocabulary, context, layers, heads, kv_heads, width, hidden, max_distance;
    double dropout, epsilon, rotary_base, init_std;
    char *norm, *activation, *position;
    bool bias, tied;
} Gpt;

static const LsSetting settings[] = {
    LS_SETTING_INT(Gpt, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Gpt, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Gpt, context, "1024", 1, 1 << 24, "longest sequence, in tokens"),
    LS_SETTING_INT(Gpt, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Gpt, heads, "12", 1, 1024, "attention heads; must divide width"),
    LS_SETTING_INT(Gpt, kv_heads, "0", 0, 1024,
                   "heads of keys and values (grouped queries); must divide heads; 0: as heads"),
    LS_SETTING_INT(Gpt, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Gpt, hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),
    LS_SETTING_FLOAT(Gpt, dropout, "0", 0, 0.99,
                     "probability of zeroing, after the embedding and in front of every residual addition"),
    LS_SETTING_CHOICE(Gpt, norm, "layer", "layer|rms", "normalisation in front of attention, MLP and head"),
    LS_SETTING_FLOAT(Gpt, epsilon, "1e-5", 0, 1, "added to the variance inside the norms"),
    LS_SETTING_CHOICE(Gpt, activation, "gelu_tanh", "gelu_tanh|gelu|relu|silu|swiglu",
                      "inside the MLP; swiglu has a gate of its own"),
    LS_SETTING_CHOICE(Gpt, position, "learned", LS_POSITION_KINDS, "how tokens know their position"),
    LS_SETTING_INT(Gpt, max_distance, "64", 1, 1 << 20, LS_MAX_DISTANCE_HELP),
    LS_SETTING_FLOAT(Gpt, rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),
    LS_SETTING_BOOL(Gpt, bias, "true", "biases in linear layers and layer norms"),
    LS_SETTING_BOOL(Gpt, tied, "true", "the head uses the token embedding"),
    LS_SETTING_FLOAT(Gpt, init_std, "0.02", 0, 10,
                     "standard deviation of initial weights; residual projections: over sqrt(2 layers)"),
    {0}};

static LsDecoder decoder_of(const Gpt *m)
{
    return (LsDecoder){.vocabulary = m->vocabulary,
                       .loss_vocabulary = m->loss_vocabulary,
                       .context = m->context,
                       .layers = m->layers,
                       .width = m->width,
                       .heads = m->heads,
                       .kv_heads = m->kv_heads,
                       .hidden = m->hidden,
                       .dropout = m->dropout,
                       .epsilon = m->epsilon,
                       .init_std = m->init_std,
                       .norm = m->norm,
                       .activation = m->activation,
                       .position = m->position,
                       .max_distance = m->max_distance,
                       .rotary.base = m->rotary_base,
                       .norm_bias = m->bias,
                       .qkv_bias = m->bias,
                       .out_bias = m->bias,
                       .mlp_bias = m->bias,
                       .tied = m->tied};
}

static LsStatus check(const void *config)
{
    LsDecoder m = decoder_of(config);
    return ls_decoder_check(&m);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    LsDecoder m = decoder_of(config);
    return ls_decoder(g, &m, shape);
}

/* GPT2LMHeadModel of transformers; its linear layers keep (inputs, outputs). */
static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "transformer.wte.weight"},
    {"position_embedding", "transformer.wpe.weight"},
    {"layer.{i}.norm_1.scale", "transformer.h.{i}.ln_1.weight"},
    {"layer.{i}.norm_1.bias", "transformer.h.{i}.ln_1.bias"},
    {"layer.{i}.attention.qkv.weight", "transformer.h.{i}.attn.c_attn.weight", LS_HF_TRANSPOSE},
    {"layer.{i}.attention.qkv.bias", "transformer.h.{i}.attn.c_attn.bias"},
    {"layer.{i}.attention.out.weight", "transformer.h.{i}.attn.c_proj.weight", LS_HF_TRANSPOSE},
    {"layer.{i}.attention.out.bias", "transformer.h.{i}.attn.c_proj.bias"},
    {"layer.{i}.norm_2.scale", "transformer.h.{i}.ln_2.weight"},
    {"layer.{i}.norm_2.bias", "transformer.h.{i}.ln_2.bias"},
    {"layer.{i}.mlp.in.weight", "transformer.h.{i}.mlp.c_fc.weight", LS_HF_TRANSPOSE},
    {"layer.{i}.mlp.in.bias", "transformer.h.{i}.mlp.c_fc.bias"},
    {"layer.{i}.mlp.out.weight", "transformer.h.{i}.mlp.c_proj.weight", LS_HF_TRANSPOSE},
    {"layer.{i}.mlp.out.bias", "transformer.h.{i}.mlp.c_proj.bias"},
    {"norm.scale", "transformer.ln_f.weight"},
    {"norm.bias", "transformer.ln_f.bias"},
    {"head", "lm_head.weight", .tied = "token_embedding"},
    {NULL, "transformer.h.{i}.attn.bias"},        /* masks that */
    {NULL, "transformer.h.{i}.attn.masked_bias"}, /* older files carry */
    {0}};

static const LsHfKey hf_keys[] = {
    {"vocabulary", "vocab_size"},
    {"context", "n_positions"},
    {"width", "n_embd"},
    {"layers", "n_layer"},
    {"heads", "n_head"},
    {"hidden", "n_inner", .words = "null=0", .absent = "null"},
    {"activation", "activation_function",
     .words = "gelu_new=gelu_tanh|gelu_pytorch_tanh=gelu_tanh|gelu=gelu|relu=relu|silu=silu|swish=silu",
     .absent = "gelu_new"},
    {"dropout", "resid_pdrop", .absent = "0.1"},
    {"dropout", "embd_pdrop", .absent = "0.1"},
    {"epsilon", "layer_norm_epsilon", .absent = "1e-5"},
    {"init_std", "initializer_range", .absent = "0.02"},
    {"tied", "tie_word_embeddings", .absent = "true"},
    {0}};

static const LsHfArchitecture hf_architectures[] = {{.name = "GPT2LMHeadModel", .task = "language"}, {0}};

static const LsHf hf = {
    .model_type = "gpt2",
    .architectures = hf_architectures,
    .prefix = "transformer.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .fixed =
        "{\"scale_attn_weights\": true, \"scale_attn_by_inverse_layer_idx\": false, \"add_cross_attention\": false}",
    .written = "{\"attn_pdrop\": 0.0}",
    .ignored = "n_ctx|reorder_and_upcast_attn|summary_*|task_specific_params|use_cache|output_past",
    .preset = (const char *const[]){"norm=layer", "position=learned", "bias=true", "kv_heads=0", NULL},
};

static bool counts(const void *config, const char *setting)
{
    const Gpt *m = config;
    return strcmp(setting, "rotary_base") != 0 || strcmp(m->position, "rotary") == 0;
}

const LsModel ls_model_gpt = {
    .name = "gpt",
    .summary = "decoder-only Transformer: GPT-2 by default, options of the Llama family",
    .paper = "Radford et al. 2019, Language models are unsupervised multitask learners",
    .settings = settings,
    .config_bytes = sizeof(Gpt),
    .small = "context=16 layers=2 width=12 heads=3;"
             "context=16 layers=2 width=12 heads=3 norm=rms activation=swiglu position=rotary kv_heads=1 bias=false "
             "tied=false;"
             "context=16 layers=1 width=8 heads=2 activation=relu position=sinusoidal hidden=5 dropout=0.2;"
             "context=16 layers=1 width=6 heads=3 position=alibi;"
             "context=16 layers=1 width=6 heads=2 position=nezha max_distance=3;"
             "context=16 layers=2 width=8 heads=2 position=xl kv_heads=1;"
             "context=16 layers=2 width=8 heads=2 | ids T of 11, positions T of 4;"
             "context=16 layers=1 width=8 heads=2 position=sinusoidal | ids T of 11, positions T of 4",
    .check = check,
    .build = build,
    .hf = &hf,
    .counts = counts,
};
