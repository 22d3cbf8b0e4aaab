/* Llama and its relatives: the decoder of decoder.h with RMS norm, SwiGLU, rotary positions and grouped queries. What
 * Mistral (a window), Qwen 2 (biases of queries, keys and values) and Qwen 3 (norms of queries and keys) add are
 * settings. */
#include "base/text.h"
#include "models/decoder.h"

#include <string.h>

typedef struct Llama {
    int64_t vocabulary, loss_vocabulary, context, layers, heads, kv_heads, head_size, width, hidden, window;
    int64_t rotary_context;
    double dropout, epsilon, rotary_base, rotary_factor, rotary_low, rotary_high, init_std;
    char *family, *attention_bias, *rotary_scaling;
    bool mlp_bias, qk_norm, tied;
} Llama;

static const LsSetting settings[] = {
    LS_SETTING_INT(Llama, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Llama, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Llama, context, "2048", 1, 1 << 24, "longest sequence, in tokens"),
    LS_SETTING_INT(Llama, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Llama, heads, "12", 1, 1024, "attention heads"),
    LS_SETTING_INT(Llama, kv_heads, "0", 0, 1024,
                   "heads of keys and values (grouped queries); must divide heads; 0: as heads"),
    LS_SETTING_INT(Llama, head_size, "0", 0, 1 << 16, "channels of a head, an even number; 0: width / heads"),
    LS_SETTING_INT(Llama, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Llama, hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),
    LS_SETTING_INT(Llama, window, "0", 0, 1 << 24,
                   "tokens that attention sees: itself and those before it (Mistral); 0: all before it"),
    LS_SETTING_FLOAT(Llama, dropout, "0", 0, 0.99,
                     "probability of zeroing, after the embedding and in front of every residual addition"),
    LS_SETTING_FLOAT(Llama, epsilon, "1e-5", 0, 1, "added to the mean square inside the norms"),
    LS_SETTING_FLOAT(Llama, rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),
    LS_SETTING_CHOICE(
        Llama, rotary_scaling, "none", "none|linear|ntk|llama3",
        "rotary frequencies for longer sequences than the model was first trained for: all of them slower, "
        "or a higher base, or the slow ones slower"),
    LS_SETTING_FLOAT(Llama, rotary_factor, "1", 1, 1e6, "of rotary_scaling: how many times longer"),
    LS_SETTING_FLOAT(Llama, rotary_low, "1", 1e-6, 1e6,
                     "of llama3: frequencies of fewer waves in rotary_context are divided by the factor"),
    LS_SETTING_FLOAT(Llama, rotary_high, "4", 1e-6, 1e6, "of llama3: those of more waves are left as they are"),
    LS_SETTING_INT(Llama, rotary_context, "8192", 1, 1 << 24, "of llama3: the context of the first training"),
    LS_SETTING_CHOICE(Llama, attention_bias, "none", "none|qkv|all",
                      "biases of attention's linear layers: of queries, keys and values (Qwen 2), or of all"),
    LS_SETTING_BOOL(Llama, mlp_bias, "false", "biases of the MLP's linear layers"),
    LS_SETTING_BOOL(Llama, qk_norm, "false", "RMS norms of each head's queries and keys (Qwen 3)"),
    LS_SETTING_BOOL(Llama, tied, "false", "the head uses the token embedding"),
    LS_SETTING_FLOAT(Llama, init_std, "0.02", 0, 10,
                     "standard deviation of initial weights; residual projections: over sqrt(2 layers)"),
    LS_SETTING_CHOICE(Llama, family, "llama", "llama|mistral|qwen2|qwen3",
                      "whose Hugging Face layout export writes; it changes nothing else"),
    {0}};

static LsRotaryScaling scaling_of(const char *name)
{
    return strcmp(name, "linear") == 0   ? LS_ROTARY_LINEAR
           : strcmp(name, "ntk") == 0    ? LS_ROTARY_NTK
           : strcmp(name, "llama3") == 0 ? LS_ROTARY_LLAMA3
                                         : LS_ROTARY_PLAIN;
}

static LsDecoder decoder_of(const Llama *m)
{
    return (LsDecoder){.vocabulary = m->vocabulary,
                       .loss_vocabulary = m->loss_vocabulary,
                       .context = m->context,
                       .layers = m->layers,
                       .width = m->width,
                       .heads = m->heads,
                       .kv_heads = m->kv_heads,
                       .head_size = m->head_size,
                       .hidden = m->hidden,
                       .window = m->window,
                       .dropout = m->dropout,
                       .epsilon = m->epsilon,
                       .init_std = m->init_std,
                       .norm = "rms",
                       .activation = "swiglu",
                       .position = "rotary",
                       .rotary = {.base = m->rotary_base,
                                  .scaling = scaling_of(m->rotary_scaling),
                                  .factor = m->rotary_factor,
                                  .low = m->rotary_low,
                                  .high = m->rotary_high,
                                  .context = m->rotary_context},
                       .qkv_bias = strcmp(m->attention_bias, "none") != 0,
                       .out_bias = strcmp(m->attention_bias, "all") == 0,
                       .mlp_bias = m->mlp_bias,
                       .qk_norm = m->qk_norm,
                       .tied = m->tied};
}

static LsStatus check(const void *config)
{
    const Llama *m = config;
    LsDecoder decoder = decoder_of(m);
    if (decoder.rotary.scaling == LS_ROTARY_LLAMA3 && m->rotary_low >= m->rotary_high)
        return ls_fail(LS_USAGE, "model.rotary_low %g is not below model.rotary_high %g", m->rotary_low,
                       m->rotary_high);
    return ls_decoder_check(&decoder);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    LsDecoder m = decoder_of(config);
    return ls_decoder(g, &m, shape);
}

/* ---- Hugging Face ------------------------------------------------------------------------------------------------ */

#define LAYER "model.layers.{i}."
#define QKV(number, name)                                                                                              \
    {"layer.{i}.attention.qkv.weight", LAYER "self_attn." name "_proj.weight", .part = number,                         \
     .shares = "heads|kv_heads|kv_heads"},                                                                             \
    {                                                                                                                  \
        "layer.{i}.attention.qkv.bias", LAYER "self_attn." name "_proj.bias", .part = number,                          \
                                                                              .shares = "heads|kv_heads|kv_heads"      \
    }

static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "model.embed_tokens.weight"},
    {"layer.{i}.norm_1.scale", LAYER "input_layernorm.weight"},
    QKV(0, "q"),
    QKV(1, "k"),
    QKV(2, "v"),
    {"layer.{i}.attention.norm_q.scale", LAYER "self_attn.q_norm.weight"},
    {"layer.{i}.attention.norm_k.scale", LAYER "self_attn.k_norm.weight"},
    {"layer.{i}.attention.out.weight", LAYER "self_attn.o_proj.weight"},
    {"layer.{i}.attention.out.bias", LAYER "self_attn.o_proj.bias"},
    {"layer.{i}.norm_2.scale", LAYER "post_attention_layernorm.weight"},
    {"layer.{i}.mlp.in.weight", LAYER "mlp.up_proj.weight"},
    {"layer.{i}.mlp.in.bias", LAYER "mlp.up_proj.bias"},
    {"layer.{i}.mlp.gate.weight", LAYER "mlp.gate_proj.weight"},
    {"layer.{i}.mlp.gate.bias", LAYER "mlp.gate_proj.bias"},
    {"layer.{i}.mlp.out.weight", LAYER "mlp.down_proj.weight"},
    {"layer.{i}.mlp.out.bias", LAYER "mlp.down_proj.bias"},
    {"norm.scale", "model.norm.weight"},
    {"head", "lm_head.weight", .tied = "token_embedding"},
    {NULL, LAYER "self_attn.rotary_emb.inv_freq"}, /* frequencies that older files carry */
    {0}};

/* Their defaults differ: numbers are texts. */
#define KEYS(their_context, their_kv_heads)                                                                            \
    {"vocabulary", "vocab_size"}, {"context", "max_position_embeddings", .absent = their_context},                     \
        {"layers", "num_hidden_layers"}, {"width", "hidden_size"}, {"hidden", "intermediate_size", .zero = "4*width"}, \
        {"heads", "num_attention_heads"},                                                                              \
        {"kv_heads", "num_key_value_heads", .words = "null=0", .absent = their_kv_heads, .zero = "heads"},             \
        {"epsilon", "rms_norm_eps", .absent = "1e-6"}, {"tied", "tie_word_embeddings", .absent = "false"},             \
        {"init_std", "initializer_range", .absent = "0.02"},                                                           \
        {"rotary_base", "rope_theta", .also = "rope_parameters.rope_theta", .absent = "10000"},                        \
        {"rotary_scaling",                                                                                             \
         "rope_scaling.rope_type",                                                                                     \
         .also = "rope_scaling.type|rope_parameters.rope_type",                                                        \
         .words = "default=none|linear=linear|llama3=llama3",                                                          \
         .absent = "default",                                                                                          \
         .omit = "none"},                                                                                              \
        {"rotary_factor", "rope_scaling.factor", .also = "rope_parameters.factor",                                     \
         .when = "rotary_scaling=linear|llama3"},                                                                      \
        {"rotary_low", "rope_scaling.low_freq_factor", .also = "rope_parameters.low_freq_factor",                      \
         .when = "rotary_scaling=llama3"},                                                                             \
        {"rotary_high", "rope_scaling.high_freq_factor", .also = "rope_parameters.high_freq_factor",                   \
         .when = "rotary_scaling=llama3"},                                                                             \
    {                                                                                                                  \
        "rotary_context", "rope_scaling.original_max_position_embeddings",                                             \
            .also = "rope_parameters.original_max_position_embeddings", .when = "rotary_scaling=llama3"                \
    }
/* width / heads where it is missing */
#define HEAD_SIZE                                                                                                      \
    {                                                                                                                  \
        "head_size", "head_dim", .words = "null=0", .absent = "0", .omit = "0"                                         \
    }
#define ATTENTION_BIAS                                                                                                 \
    {                                                                                                                  \
        "attention_bias", "attention_bias", .words = "true=all|false=none", .absent = "false"                          \
    }

static const LsHfKey llama_keys[] = {
    KEYS("2048", "0"), HEAD_SIZE, ATTENTION_BIAS, {"mlp_bias", "mlp_bias", .absent = "false"}, {0}};

static const LsHfKey mistral_keys[] = {
    KEYS("131072", "8"), HEAD_SIZE, {"window", "sliding_window", .words = "null=0", .absent = "4096"}, {0}};

static const LsHfKey qwen2_keys[] = {KEYS("32768", "32"), HEAD_SIZE, {0}};

static const LsHfKey qwen3_keys[] = {
    KEYS("32768", "32"), ATTENTION_BIAS, {"head_size", "head_dim", .absent = "128", .zero = "width/heads"}, {0}};

#define SILU "{\"hidden_act\": \"silu\"}"
#define NO_DROPOUT "{\"attention_dropout\": 0.0}"
/* Qwen's layers with a window are chosen by these; without them the window's size means nothing */
#define NO_WINDOW "{\"use_mrope\": false, \"use_sliding_window\": false, \"layer_types\": [\"full_attention\"]}"
#define PLAIN "{\"rope_interleaved\": false}"

static const LsHf qwen3 = {
    .model_type = "qwen3",
    .architectures = (const LsHfArchitecture[]){{.name = "Qwen3ForCausalLM", .task = "language"}, {0}},
    .prefix = "model.",
    .tensors = hf_tensors,
    .keys = qwen3_keys,
    .fixed = SILU,
    .written = NO_DROPOUT,
    .only = NO_WINDOW,
    .ignored = "sliding_window|max_window_layers",
    .preset = (const char *const[]){"family=qwen3", "qk_norm=true", "window=0", "mlp_bias=false", NULL},
};

static const LsHf qwen2 = {
    .next = &qwen3,
    .model_type = "qwen2",
    .architectures = (const LsHfArchitecture[]){{.name = "Qwen2ForCausalLM", .task = "language"}, {0}},
    .prefix = "model.",
    .tensors = hf_tensors,
    .keys = qwen2_keys,
    .fixed = SILU,
    .written = NO_DROPOUT,
    .only = NO_WINDOW,
    .ignored = "sliding_window|max_window_layers",
    .preset = (const char *const[]){"family=qwen2", "attention_bias=qkv", "mlp_bias=false", "qk_norm=false", "window=0",
                                    NULL},
};

static const LsHf mistral = {
    .next = &qwen2,
    .model_type = "mistral",
    .architectures = (const LsHfArchitecture[]){{.name = "MistralForCausalLM", .task = "language"}, {0}},
    .prefix = "model.",
    .tensors = hf_tensors,
    .keys = mistral_keys,
    .fixed = SILU,
    .written = NO_DROPOUT,
    .preset = (const char *const[]){"family=mistral", "attention_bias=none", "mlp_bias=false", "qk_norm=false", NULL},
};

static const LsHf llama = {
    .next = &mistral,
    .model_type = "llama",
    .architectures = (const LsHfArchitecture[]){{.name = "LlamaForCausalLM", .task = "language"}, {0}},
    .prefix = "model.",
    .tensors = hf_tensors,
    .keys = llama_keys,
    .fixed = SILU,
    .written = NO_DROPOUT,
    .only = PLAIN,
    .ignored = "pretraining_tp|is_llama_config", /* the first splits products, for training on several machines */
    .preset = (const char *const[]){"family=llama", "qk_norm=false", "window=0", NULL},
};

static bool counts(const void *config, const char *setting)
{
    const Llama *m = config;
    if (ls_text_lists("rotary_low|rotary_high|rotary_context", setting))
        return strcmp(m->rotary_scaling, "llama3") == 0;
    return strcmp(setting, "rotary_factor") != 0 || strcmp(m->rotary_scaling, "none") != 0;
}

/* What lies before the window is not seen again, and rotary positions have no end. */
static bool endless(const void *config) { return ((const Llama *)config)->window > 0; }

const LsModel ls_model_llama = {
    .name = "llama",
    .summary = "decoder-only Transformer of the Llama family: Llama, Mistral, Qwen 2 and 3",
    .paper = "Touvron et al. 2023, LLaMA: open and efficient foundation language models",
    .settings = settings,
    .config_bytes = sizeof(Llama),
    .small = "context=16 layers=2 width=12 heads=2 hidden=20 kv_heads=1;"
             "context=16 layers=2 width=12 heads=3 kv_heads=3 head_size=6 window=5 attention_bias=qkv tied=true "
             "rotary_scaling=llama3 rotary_factor=8 rotary_context=16;"
             "context=16 layers=1 width=8 heads=2 qk_norm=true attention_bias=all mlp_bias=true dropout=0.2 "
             "rotary_scaling=ntk rotary_factor=2;"
             "context=16 layers=2 width=12 heads=2 hidden=20 kv_heads=1 window=3 | ids T of 11, positions T of 4",
    .check = check,
    .build = build,
    .hf = &llama,
    .counts = counts,
    .endless = endless,
};
