/* RWKV-5, "Eagle" (version 5.2; Peng et al. 2024): each head's state decays by key, at rates of the model.
 *
 *     x = norm(E[ids])
 *     x = x + time(norm(x));  x = x + channel(norm(x))        for each layer
 *     logits = norm(x) head^T
 *
 *     with x' the token before x and mix_n(x) = x' + (x - x') m_n:
 *     time:    r, k, v = W_r mix_r(x), W_k mix_k(x), W_v mix_v(x);  g = silu(W_g mix_g(x))
 *              y = wkv_heads(r, decay, k, v) + (sum_j r_j u_j k_j) v;  W_o (g group_norm(y))
 *     channel: sigmoid(W_r mix_r(x)) (W_v max(W_k mix_k(x), 0)^2)
 *
 * Initial values are those of the author's trainer, but for matrices that are zero there, which are small here, and the
 * embedding. */
#include "models/rwkv_parts.h"

#include <math.h>

typedef struct Rwkv5 {
    int64_t vocabulary, loss_vocabulary, context, layers, width, head, hidden;
    double epsilon, head_epsilon;
    bool tied;
} Rwkv5;

static const LsSetting settings[] = {
    LS_SETTING_INT(Rwkv5, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Rwkv5, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Rwkv5, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(Rwkv5, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Rwkv5, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Rwkv5, head, "64", 1, 256, "channels of a head"),
    LS_SETTING_INT(Rwkv5, hidden, "0", 0, 1 << 24, "hidden channels of the channel mixing; 0: 3.5 x width, by 32"),
    LS_SETTING_FLOAT(Rwkv5, epsilon, "1e-5", 0, 1, "added to the variance inside the layer norms"),
    LS_SETTING_FLOAT(Rwkv5, head_epsilon, "0", 0, 1,
                     "added to the variance inside the heads' norms; 0: 64 times epsilon"),
    LS_SETTING_BOOL(Rwkv5, tied, "false", "the head uses the token embedding"),
    {0}};

static LsStatus check(const void *config)
{
    const Rwkv5 *m = config;
    return ls_rwkv_check_heads(m->width, m->head, "model.");
}

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *mix_time(LsGraph *g, const Rwkv5 *m, LsTensor *x, int64_t layer)
{
    int64_t width = m->width, heads = width / m->head;
    double last = ls_rwkv_to_last(layer, m->layers), from_first = ls_rwkv_from_first(layer, m->layers);
    ls_push(g, "time");
    LsTensor *before = ls_rwkv_shift(g, x);
    LsTensor *k = ls_rwkv_mix(g, "mix_key", before, x, ls_rwkv_power_init(last, 0));
    LsTensor *v = ls_rwkv_mix(g, "mix_value", before, x, ls_rwkv_power_init(last, 0.3 * from_first));
    LsTensor *r = ls_rwkv_mix(g, "mix_receptance", before, x, ls_rwkv_power_init(0.5 * last, 0));
    LsTensor *gate = ls_rwkv_mix(g, "mix_gate", before, x, ls_rwkv_power_init(0.5 * last, 0));
    k = ls_rwkv_dense(g, "key", k, width, 0.5);
    v = ls_rwkv_dense(g, "value", v, width, 0.5);
    r = ls_rwkv_dense(g, "receptance", r, width, 0.5);
    gate = ls_silu(g, ls_rwkv_dense(g, "gate", gate, width, 0.5));
    LsTensor *decay = ls_param_flags(g, "decay", ls_rwkv_heads_decay_init(0.7 + 1.3 * from_first),
                                     LS_PRECISE | LS_NO_DECAY, 2, (int64_t[]){heads, m->head});
    LsTensor *w = ls_broadcast(g, decay, 2, x->dim); /* (B, T, heads, N) */
    w = ls_reshape(g, w, 3, x->dim);
    LsTensor *y = ls_rwkv_heads(g, r, w, k, v, heads);
    y = ls_mul(g, ls_rwkv_head_norm(g, y, heads, m->head_epsilon, m->epsilon), gate);
    y = ls_rwkv_dense(g, "out", y, width, 0.5 / sqrt(2.0 * (double)m->layers));
    ls_pop(g);
    return y;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Rwkv5 *m = config;
    int64_t hidden = m->hidden ? m->hidden : 7 * m->width / 64 * 32;
    LsTensor *table, *x = ls_rwkv_embed(g, shape, m->vocabulary, m->width, m->epsilon, &table);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_add(g, x, mix_time(g, m, ls_layer_norm_block(g, "norm_1", x, m->epsilon), layer));
        x = ls_add(g, x,
                   ls_rwkv_channels(g, ls_layer_norm_block(g, "norm_2", x, m->epsilon), hidden, layer, m->layers));
        ls_pop(g);
    }
    return ls_rwkv_body(g, x, m->tied ? table : NULL, m->vocabulary, m->loss_vocabulary, m->epsilon);
}

/* The author's names and shapes, as of rwkv7. */
static const LsHfTensor hf_tensors[] = {
    LS_RWKV_HF_TENSORS,
    {"layer.{i}.time.mix_key", "blocks.{i}.att.time_mix_k", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_value", "blocks.{i}.att.time_mix_v", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_receptance", "blocks.{i}.att.time_mix_r", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_gate", "blocks.{i}.att.time_mix_g", LS_HF_LEADING_ONES},
    {"layer.{i}.time.decay", "blocks.{i}.att.time_decay"},
    {"layer.{i}.time.gate.weight", "blocks.{i}.att.gate.weight"},
    {"layer.{i}.time.bonus", "blocks.{i}.att.time_faaaa"},
    {"layer.{i}.channel.mix_key", "blocks.{i}.ffn.time_mix_k", LS_HF_LEADING_ONES},
    {"layer.{i}.channel.mix_receptance", "blocks.{i}.ffn.time_mix_r", LS_HF_LEADING_ONES},
    {"layer.{i}.channel.receptance.weight", "blocks.{i}.ffn.receptance.weight"},
    {0}};

static const LsHfKey hf_keys[] = {LS_RWKV_HF_KEYS, {"hidden", "intermediate_size"}, {0}};

static const LsHfArchitecture hf_architectures[] = {{.name = "RWKV_x052", .task = "language"}, {0}};

static const LsHfShape hf_shapes[] = {{"vocab_size", "emb.weight", 0},
                                      {"hidden_size", "emb.weight", 1},
                                      {"num_hidden_layers", "blocks.{i}.ln1.weight", LS_HF_LAYERS},
                                      {"head_size", "blocks.0.att.time_faaaa", 1},
                                      {"intermediate_size", "blocks.0.ffn.key.weight", 0},
                                      {0}};

static const LsHf hf = {
    .model_type = "rwkv_x052",
    .architectures = hf_architectures,
    .tensors = hf_tensors,
    .keys = hf_keys,
    .recognised = "blocks.0.att.time_mix_g",
    .shapes = hf_shapes,
};

const LsModel ls_model_rwkv5 = {
    .name = "rwkv5",
    .summary = "RWKV-5 (Eagle): a recurrent network whose heads' states decay by key",
    .paper = "Peng et al. 2024, Eagle and Finch: RWKV with matrix-valued states and dynamic recurrence",
    .settings = settings,
    .config_bytes = sizeof(Rwkv5),
    .small = "context=16 layers=2 width=6 head=3 hidden=8;"
             "context=16 layers=1 width=5 head=5 hidden=7 head_epsilon=1e-3 tied=true",
    .check = check,
    .build = build,
    .hf = &hf,
};
