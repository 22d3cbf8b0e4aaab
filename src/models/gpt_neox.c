/* GPT-NeoX: the decoder of decoder.h with attention and MLP side by side in a block, and rotary positions that turn a
 * part of each head. */
#include "models/decoder.h"

typedef struct Neox {
    int64_t vocabulary, loss_vocabulary, context, layers, heads, width, hidden;
    double dropout, epsilon, rotary_base, rotary_share, init_std;
    char *activation;
    bool parallel, attention_bias, tied;
} Neox;

static const LsSetting settings[] = {
    LS_SETTING_INT(Neox, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Neox, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Neox, context, "2048", 1, 1 << 24, "longest sequence, in tokens"),
    LS_SETTING_INT(Neox, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Neox, heads, "12", 1, 1024, "attention heads; must divide width"),
    LS_SETTING_INT(Neox, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Neox, hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),
    LS_SETTING_FLOAT(Neox, dropout, "0", 0, 0.99,
                     "probability of zeroing, after the embedding and in front of every residual addition"),
    LS_SETTING_FLOAT(Neox, epsilon, "1e-5", 0, 1, "added to the variance inside the norms"),
    LS_SETTING_CHOICE(Neox, activation, "gelu", LS_DENSE_ACTIVATION_NAMES, "inside the MLP"),
    LS_SETTING_FLOAT(Neox, rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),
    LS_SETTING_FLOAT(Neox, rotary_share, "0.25", 0, 1, "share of each head's channels that turn with the position"),
    LS_SETTING_BOOL(Neox, parallel, "true", "attention and MLP of a block read the same x"),
    LS_SETTING_BOOL(Neox, attention_bias, "true", "biases of attention's linear layers"),
    LS_SETTING_BOOL(Neox, tied, "false", "the head uses the token embedding"),
    LS_SETTING_FLOAT(Neox, init_std, "0.02", 0, 10,
                     "standard deviation of initial weights; residual projections: over sqrt(2 layers)"),
    {0}};

static LsDecoder decoder_of(const Neox *m)
{
    return (LsDecoder){
        .vocabulary = m->vocabulary,
        .loss_vocabulary = m->loss_vocabulary,
        .context = m->context,
        .layers = m->layers,
        .width = m->width,
        .heads = m->heads,
        .hidden = m->hidden,
        .dropout = m->dropout,
        .epsilon = m->epsilon,
        .init_std = m->init_std,
        .norm = "layer",
        .activation = m->activation,
        .position = "rotary",
        .rotary = {.base = m->rotary_base, .turned = (int64_t)((double)(m->width / m->heads) * m->rotary_share)},
        .norm_bias = true,
        .qkv_bias = m->attention_bias,
        .out_bias = m->attention_bias,
        .mlp_bias = true,
        .parallel = m->parallel,
        .tied = m->tied};
}

static LsStatus check(const void *config)
{
    const Neox *m = config;
    LsDecoder decoder = decoder_of(m);
    LS_TRY(ls_decoder_check(&decoder));
    if (decoder.rotary.turned < 2 || decoder.rotary.turned % 2)
        return ls_fail(
            LS_USAGE,
            "model.rotary_share %g turns %lld of the %lld channels of a head: an even number, at least 2, is "
            "asked for",
            m->rotary_share, (long long)decoder.rotary.turned, (long long)(m->width / m->heads));
    return LS_OK;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    LsDecoder m = decoder_of(config);
    return ls_decoder(g, &m, shape);
}

#define LAYER "gpt_neox.layers.{i}."

/* GPTNeoXForCausalLM of transformers: queries, keys and values of a head stand together there. */
static const LsHfTensor hf_tensors[] = {{"token_embedding", "gpt_neox.embed_in.weight"},
                                        {"layer.{i}.norm_1.scale", LAYER "input_layernorm.weight"},
                                        {"layer.{i}.norm_1.bias", LAYER "input_layernorm.bias"},
                                        {"layer.{i}.attention.qkv.weight", LAYER "attention.query_key_value.weight",
                                         LS_HF_BY_HEAD, .shares = "heads|heads|heads"},
                                        {"layer.{i}.attention.qkv.bias", LAYER "attention.query_key_value.bias",
                                         LS_HF_BY_HEAD, .shares = "heads|heads|heads"},
                                        {"layer.{i}.attention.out.weight", LAYER "attention.dense.weight"},
                                        {"layer.{i}.attention.out.bias", LAYER "attention.dense.bias"},
                                        {"layer.{i}.norm_2.scale", LAYER "post_attention_layernorm.weight"},
                                        {"layer.{i}.norm_2.bias", LAYER "post_attention_layernorm.bias"},
                                        {"layer.{i}.mlp.in.weight", LAYER "mlp.dense_h_to_4h.weight"},
                                        {"layer.{i}.mlp.in.bias", LAYER "mlp.dense_h_to_4h.bias"},
                                        {"layer.{i}.mlp.out.weight", LAYER "mlp.dense_4h_to_h.weight"},
                                        {"layer.{i}.mlp.out.bias", LAYER "mlp.dense_4h_to_h.bias"},
                                        {"norm.scale", "gpt_neox.final_layer_norm.weight"},
                                        {"norm.bias", "gpt_neox.final_layer_norm.bias"},
                                        {"head", "embed_out.weight", .tied = "token_embedding"},
                                        {NULL, LAYER "attention.bias"},                /* masks and */
                                        {NULL, LAYER "attention.masked_bias"},         /* frequencies that */
                                        {NULL, LAYER "attention.rotary_emb.inv_freq"}, /* older files carry */
                                        {0}};

static const LsHfKey hf_keys[] = {
    {"vocabulary", "vocab_size"},
    {"context", "max_position_embeddings", .absent = "2048"},
    {"layers", "num_hidden_layers"},
    {"width", "hidden_size"},
    {"hidden", "intermediate_size", .zero = "4*width"},
    {"heads", "num_attention_heads"},
    {"activation", "hidden_act",
     .words = "gelu=gelu|gelu_new=gelu_tanh|gelu_fast=gelu_tanh|gelu_pytorch_tanh=gelu_tanh|relu=relu|silu=silu|"
              "swish=silu",
     .absent = "gelu"},
    {"dropout", "hidden_dropout", .absent = "0"},
    {"epsilon", "layer_norm_eps", .absent = "1e-5"},
    {"tied", "tie_word_embeddings", .absent = "false"},
    {"init_std", "initializer_range", .absent = "0.02"},
    {"parallel", "use_parallel_residual", .absent = "true"},
    {"attention_bias", "attention_bias", .absent = "true"},
    {"rotary_base", "rotary_emb_base", .also = "rope_theta|rope_parameters.rope_theta", .absent = "10000"},
    {"rotary_share", "rotary_pct", .also = "partial_rotary_factor|rope_parameters.partial_rotary_factor",
     .absent = "0.25"},
    {0}};

static const LsHf hf = {
    .model_type = "gpt_neox",
    .architectures = (const LsHfArchitecture[]){{.name = "GPTNeoXForCausalLM", .task = "language"}, {0}},
    .prefix = "gpt_neox.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .written = "{\"attention_dropout\": 0.0}",
    .only = "{\"rope_parameters.rope_type\": \"default\"}",
    .ignored = "classifier_dropout",
};

const LsModel ls_model_gpt_neox = {
    .name = "gpt_neox",
    .summary = "decoder-only Transformer of GPT-NeoX and Pythia: attention and MLP side by side",
    .paper = "Black et al. 2022, GPT-NeoX-20B: an open-source autoregressive language model",
    .settings = settings,
    .config_bytes = sizeof(Neox),
    .small = "context=16 layers=2 width=24 heads=3;"
             "context=16 layers=1 width=8 heads=2 hidden=5 parallel=false rotary_share=1 attention_bias=false "
             "tied=true dropout=0.2;"
             "context=16 layers=1 width=16 heads=2 | ids T of 11, positions T of 4",
    .check = check,
    .build = build,
    .hf = &hf,
};
