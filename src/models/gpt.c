/* GPT: a decoder of pre-norm Transformer blocks. By default GPT-2 (Radford et al. 2019); settings reach the Llama
 * family (RMS norm, SwiGLU, rotary positions, grouped queries).
 *
 *     x = E[ids] + P[t]
 *     x = x + Attention(norm(x)) W_o;  x = x + MLP(norm(x))      for each layer
 *     logits = norm(x) W_head^T
 */
#include "models/blocks.h"

#include <math.h>
#include <string.h>

typedef struct Gpt {
    int64_t vocabulary, loss_vocabulary, context, layers, heads, kv_heads, width, hidden;
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
    LS_SETTING_CHOICE(Gpt, position, "learned", "learned|rotary|none", "how tokens know their position"),
    LS_SETTING_FLOAT(Gpt, rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),
    LS_SETTING_BOOL(Gpt, bias, "true", "biases in linear layers and layer norms"),
    LS_SETTING_BOOL(Gpt, tied, "true", "the head uses the token embedding"),
    LS_SETTING_FLOAT(Gpt, init_std, "0.02", 0, 10,
                     "standard deviation of initial weights; residual projections: over sqrt(2 layers)"),
    {0}};

static LsStatus check(const void *config)
{
    const Gpt *m = config;
    if (m->width % m->heads)
        return ls_fail(LS_USAGE, "model.width %lld is not a multiple of model.heads %lld", (long long)m->width,
                       (long long)m->heads);
    if (m->kv_heads && m->heads % m->kv_heads)
        return ls_fail(LS_USAGE, "model.heads %lld is not a multiple of model.kv_heads %lld", (long long)m->heads,
                       (long long)m->kv_heads);
    if (strcmp(m->position, "rotary") == 0 && m->width / m->heads % 2)
        return ls_fail(LS_USAGE, "model.position rotary needs an even head size; width / heads is %lld",
                       (long long)(m->width / m->heads));
    return LS_OK;
}

static LsTensor *norm(LsGraph *g, const Gpt *m, const char *name, LsTensor *x)
{
    ls_push(g, "%s", name);
    LsTensor *y;
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &m->width);
    if (strcmp(m->norm, "rms") == 0) {
        y = ls_rms_norm(g, x, scale, m->epsilon);
    } else {
        LsTensor *bias =
            m->bias ? ls_param_flags(g, "bias", ls_init_constant(0), LS_PRECISE | LS_NO_DECAY, 1, &m->width) : NULL;
        y = ls_layer_norm(g, x, scale, bias, m->epsilon);
    }
    ls_pop(g);
    return y;
}

static LsInit residual_init(const Gpt *m) { return ls_init_normal(m->init_std / sqrt(2.0 * (double)m->layers)); }

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *attention(LsGraph *g, const Gpt *m, LsTensor *x, LsTensor *position)
{
    int64_t size = m->width / m->heads, kv_heads = m->kv_heads ? m->kv_heads : m->heads;
    ls_push(g, "attention");
    LsTensor *qkv =
        ls_dense(g, "qkv", x, (m->heads + 2 * kv_heads) * size, ls_init_normal(m->init_std), m->bias, LS_NO_ACTIVATION);
    if (strcmp(m->position, "rotary") == 0)
        qkv = ls_rotary(g, qkv, position, m->heads + kv_heads, size, m->rotary_base);
    LsAttention how = {.heads = m->heads, .kv_heads = kv_heads, .mask = LS_MASK_CAUSAL, .position = position};
    if (ls_graph_mode(g) == LS_DECODE)
        how.cache = ls_state(g, "cache", LS_REAL, 3, (int64_t[]){x->dim[0], m->context, 2 * kv_heads * size});
    LsTensor *y = ls_attention(g, qkv, &how);
    y = ls_dense(g, "out", y, m->width, residual_init(m), m->bias, LS_NO_ACTIVATION);
    ls_pop(g);
    return y;
}

/* act(x W_in) W_out, or (silu(x W_gate) * x W_in) W_out (Shazeer 2020). */
static LsTensor *mlp(LsGraph *g, const Gpt *m, LsTensor *x)
{
    int64_t hidden = m->hidden ? m->hidden : 4 * m->width;
    ls_push(g, "mlp");
    LsTensor *h =
        ls_dense(g, "in", x, hidden, ls_init_normal(m->init_std), m->bias, ls_dense_activation(m->activation));
    if (strcmp(m->activation, "swiglu") == 0)
        h = ls_swiglu(g, ls_dense(g, "gate", x, hidden, ls_init_normal(m->init_std), m->bias, LS_NO_ACTIVATION), h);
    h = ls_dense(g, "out", h, m->width, residual_init(m), m->bias, LS_NO_ACTIVATION);
    ls_pop(g);
    return h;
}

static LsTensor *drop(LsGraph *g, const Gpt *m, LsTensor *x)
{
    return m->dropout > 0 ? ls_dropout(g, x, m->dropout) : x;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Gpt *m = config;
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    LsTensor *position = ls_stream_position(g, shape);
    if (shape->sequence > m->context)
        ls_graph_fail(g, LS_USAGE, "a sequence of %lld tokens is longer than model.context %lld",
                      (long long)shape->sequence, (long long)m->context);
    LsTensor *table =
        ls_param(g, "token_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = ls_embedding(g, table, ids); /* x: (B, T, C) */
    if (strcmp(m->position, "learned") == 0)
        x = ls_position_embedding(
            g, x, ls_param(g, "position_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->context, m->width}),
            position);
    x = drop(g, m, x);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_add(g, x, drop(g, m, attention(g, m, norm(g, m, "norm_1", x), position)));
        x = ls_add(g, x, drop(g, m, mlp(g, m, norm(g, m, "norm_2", x))));
        ls_pop(g);
    }
    x = norm(g, m, "norm", x);
    LsTensor *head =
        m->tied ? table : ls_param(g, "head", ls_init_normal(m->init_std), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head, .loss_classes = m->loss_vocabulary};
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

const LsModel ls_model_gpt = {
    .name = "gpt",
    .summary = "decoder-only Transformer: GPT-2 by default, options of the Llama family",
    .paper = "Radford et al. 2019, Language models are unsupervised multitask learners",
    .settings = settings,
    .config_bytes = sizeof(Gpt),
    .small = "context=16 layers=2 width=12 heads=3;"
             "context=16 layers=2 width=12 heads=3 norm=rms activation=swiglu position=rotary kv_heads=1 bias=false "
             "tied=false;"
             "context=16 layers=1 width=8 heads=2 activation=relu position=none hidden=5 dropout=0.2",
    .check = check,
    .build = build,
    .hf = &hf,
};
