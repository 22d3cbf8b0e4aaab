/* RWKV-6, "Finch" (Peng et al. 2024): each head's state decays by key, as the tokens say.
 *
 *     x = norm(E[ids])
 *     x = x + time(norm(x));  x = x + channel(norm(x))        for each layer
 *     logits = norm(x) head^T
 *
 *     with x' the token before x and mix_n(x) = x + (x' - x) (m_n + s_n):
 *     time:    s_w, s_k, s_v, s_r, s_g = tanh(mix_x(x) U^T), cut in five, each times a V_n;  s_x = 0
 *              r, k, v = W_r mix_r(x), W_k mix_k(x), W_v mix_v(x);  g = silu(W_g mix_g(x))
 *              w = b + tanh(mix_w(x) U_w^T) V_w^T;  y = wkv_heads(r, w, k, v) + (sum_j r_j u_j k_j) v
 *              W_o (g group_norm(y))
 *     channel: sigmoid(W_r mix_r(x)) (W_v max(W_k mix_k(x), 0)^2), with s = 0
 *
 * Initial values are those of the author's trainer, but for matrices that are zero there, which are small here, and the
 * embedding. */
#include "models/rwkv_parts.h"

#include <math.h>

enum { MIXED = 5 }; /* kinds of mixed tokens: for w, k, v, r, g */

typedef struct Rwkv6 {
    int64_t vocabulary, loss_vocabulary, context, layers, width, head, hidden, mix_rank, decay_rank;
    double epsilon, head_epsilon;
    bool tied;
} Rwkv6;

static const LsSetting settings[] = {
    LS_SETTING_INT(Rwkv6, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Rwkv6, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Rwkv6, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(Rwkv6, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Rwkv6, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Rwkv6, head, "64", 1, 256, "channels of a head"),
    LS_SETTING_INT(Rwkv6, hidden, "0", 0, 1 << 24, "hidden channels of the channel mixing; 0: 3.5 x width, by 32"),
    LS_SETTING_INT(Rwkv6, mix_rank, "32", 1, 1 << 20, "rank of what the tokens say of their mixing, each of five"),
    LS_SETTING_INT(Rwkv6, decay_rank, "64", 1, 1 << 20, "rank of what makes the decay"),
    LS_SETTING_FLOAT(Rwkv6, epsilon, "1e-5", 0, 1, "added to the variance inside the layer norms"),
    LS_SETTING_FLOAT(Rwkv6, head_epsilon, "0", 0, 1,
                     "added to the variance inside the heads' norms; 0: 64 times epsilon"),
    LS_SETTING_BOOL(Rwkv6, tied, "false", "the head uses the token embedding"),
    {0}};

static LsStatus check(const void *config)
{
    const Rwkv6 *m = config;
    return ls_rwkv_check_heads(m->width, m->head, "model.");
}

/* The mixed tokens of one kind; low: (B, T, 5 R), or NULL: the model's vector alone. */
static LsTensor *mixed(LsGraph *g, const Rwkv6 *m, const char *name, LsTensor *x, LsTensor *before, LsTensor *low,
                       int64_t part, LsInit init)
{
    LsTensor *said = NULL, *vector = ls_rwkv_vector(g, name, m->width, init);
    if (low) {
        double bound = 0.1 * sqrt(3.0 / (double)m->mix_rank);
        LsTensor *w =
            ls_param(g, "mix_out", ls_init_uniform(-bound, bound), 3, (int64_t[]){MIXED, m->mix_rank, m->width});
        said = ls_linear_part(g, low, w, part);
    }
    return ls_lerp(g, x, before, vector, said);
}

/* w, before exp(-exp(w)). */
static LsTensor *decay_of(LsGraph *g, const Rwkv6 *m, LsTensor *x, double power)
{
    ls_push(g, "decay");
    LsTensor *h = ls_tanh(g, ls_rwkv_dense(g, "in", x, m->decay_rank, 0.1));
    ls_push(g, "out");
    double bound = 0.1 * sqrt(3.0 / (double)m->decay_rank);
    LsTensor *w = ls_param(g, "weight", ls_init_uniform(-bound, bound), 2, (int64_t[]){m->width, m->decay_rank});
    LsTensor *b = ls_param_flags(g, "bias", ls_rwkv_heads_decay_init(power), LS_NO_DECAY, 1, &m->width);
    ls_pop(g);
    ls_pop(g);
    return ls_linear(g, h, w, b, LS_NO_ACTIVATION);
}

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *mix_time(LsGraph *g, const Rwkv6 *m, LsTensor *x, int64_t layer)
{
    int64_t width = m->width, heads = width / m->head;
    double last = ls_rwkv_to_last(layer, m->layers), from_first = ls_rwkv_from_first(layer, m->layers);
    LsInit rest = ls_rwkv_rest_init(last), half = ls_rwkv_rest_init(0.5 * last);
    ls_push(g, "time");
    LsTensor *before = ls_rwkv_shift(g, x);
    LsTensor *low = mixed(g, m, "mix_all", x, before, NULL, 0, rest);
    low = ls_tanh(g, ls_rwkv_dense(g, "mix_in", low, MIXED * m->mix_rank, 0.1));
    LsTensor *w = mixed(g, m, "mix_decay", x, before, low, 0, rest);
    LsTensor *k = mixed(g, m, "mix_key", x, before, low, 1, rest);
    LsTensor *v = mixed(g, m, "mix_value", x, before, low, 2, rest);
    LsTensor *r = mixed(g, m, "mix_receptance", x, before, low, 3, half);
    LsTensor *gate = mixed(g, m, "mix_gate", x, before, low, 4, half);
    w = decay_of(g, m, w, 0.7 + 1.3 * from_first);
    k = ls_rwkv_dense(g, "key", k, width, 0.5);
    v = ls_rwkv_dense(g, "value", v, width, 0.5);
    r = ls_rwkv_dense(g, "receptance", r, width, 0.5);
    gate = ls_silu(g, ls_rwkv_dense(g, "gate", gate, width, 0.5));
    LsTensor *y = ls_rwkv_heads(g, r, w, k, v, heads);
    y = ls_mul(g, ls_rwkv_head_norm(g, y, heads, m->head_epsilon, m->epsilon), gate);
    y = ls_rwkv_dense(g, "out", y, width, 0.5 / sqrt(2.0 * (double)m->layers));
    ls_pop(g);
    return y;
}

static LsTensor *mix_channels(LsGraph *g, const Rwkv6 *m, LsTensor *x, int64_t layer)
{
    LsInit init = ls_rwkv_rest_init(ls_rwkv_to_last(layer, m->layers));
    ls_push(g, "channel");
    LsTensor *before = ls_rwkv_shift(g, x);
    LsTensor *xk = ls_rwkv_mix(g, "mix_key", x, before, init), *xr = ls_rwkv_mix(g, "mix_receptance", x, before, init);
    LsTensor *y = ls_rwkv_gated_channels(g, xk, xr, m->hidden ? m->hidden : 7 * m->width / 64 * 32, m->layers);
    ls_pop(g);
    return y;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Rwkv6 *m = config;
    LsTensor *table, *x = ls_rwkv_embed(g, shape, m->vocabulary, m->width, m->epsilon, &table);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_add(g, x, mix_time(g, m, ls_layer_norm_block(g, "norm_1", x, m->epsilon), layer));
        x = ls_add(g, x, mix_channels(g, m, ls_layer_norm_block(g, "norm_2", x, m->epsilon), layer));
        ls_pop(g);
    }
    return ls_rwkv_body(g, x, m->tied ? table : NULL, m->vocabulary, m->loss_vocabulary, m->epsilon);
}

/* The author's names and shapes, as of rwkv7. */
static const LsHfTensor hf_tensors[] = {
    LS_RWKV_HF_TENSORS,
    {"layer.{i}.time.mix_all", "blocks.{i}.att.time_maa_x", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_in.weight", "blocks.{i}.att.time_maa_w1", LS_HF_TRANSPOSE},
    {"layer.{i}.time.mix_out", "blocks.{i}.att.time_maa_w2"},
    {"layer.{i}.time.mix_decay", "blocks.{i}.att.time_maa_w", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_key", "blocks.{i}.att.time_maa_k", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_value", "blocks.{i}.att.time_maa_v", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_receptance", "blocks.{i}.att.time_maa_r", LS_HF_LEADING_ONES},
    {"layer.{i}.time.mix_gate", "blocks.{i}.att.time_maa_g", LS_HF_LEADING_ONES},
    {"layer.{i}.time.decay.in.weight", "blocks.{i}.att.time_decay_w1", LS_HF_TRANSPOSE},
    {"layer.{i}.time.decay.out.weight", "blocks.{i}.att.time_decay_w2", LS_HF_TRANSPOSE},
    {"layer.{i}.time.decay.out.bias", "blocks.{i}.att.time_decay", LS_HF_LEADING_ONES},
    {"layer.{i}.time.gate.weight", "blocks.{i}.att.gate.weight"},
    {"layer.{i}.time.bonus", "blocks.{i}.att.time_faaaa"},
    {"layer.{i}.channel.mix_key", "blocks.{i}.ffn.time_maa_k", LS_HF_LEADING_ONES},
    {"layer.{i}.channel.mix_receptance", "blocks.{i}.ffn.time_maa_r", LS_HF_LEADING_ONES},
    {"layer.{i}.channel.receptance.weight", "blocks.{i}.ffn.receptance.weight"},
    {0}};

static const LsHfKey hf_keys[] = {
    LS_RWKV_HF_KEYS, {"hidden", "intermediate_size"}, {"mix_rank", "mix_rank"}, {"decay_rank", "decay_rank"}, {0}};

static const LsHfArchitecture hf_architectures[] = {{.name = "RWKV_x060", .task = "language"}, {0}};

static const LsHfShape hf_shapes[] = {{"vocab_size", "emb.weight", 0},
                                      {"hidden_size", "emb.weight", 1},
                                      {"num_hidden_layers", "blocks.{i}.ln1.weight", LS_HF_LAYERS},
                                      {"head_size", "blocks.0.att.time_faaaa", 1},
                                      {"intermediate_size", "blocks.0.ffn.key.weight", 0},
                                      {"mix_rank", "blocks.0.att.time_maa_w2", 1},
                                      {"decay_rank", "blocks.0.att.time_decay_w1", 1},
                                      {0}};

static const LsHf hf = {
    .model_type = "rwkv_x060",
    .architectures = hf_architectures,
    .tensors = hf_tensors,
    .keys = hf_keys,
    .recognised = "blocks.0.att.time_maa_w1",
    .shapes = hf_shapes,
};

const LsModel ls_model_rwkv6 = {
    .name = "rwkv6",
    .summary = "RWKV-6 (Finch): a recurrent network whose heads' states decay as the tokens say",
    .paper = "Peng et al. 2024, Eagle and Finch: RWKV with matrix-valued states and dynamic recurrence",
    .settings = settings,
    .config_bytes = sizeof(Rwkv6),
    .small = "context=16 layers=2 width=6 head=3 hidden=8 mix_rank=2 decay_rank=3;"
             "context=16 layers=1 width=5 head=5 hidden=7 mix_rank=1 decay_rank=2 tied=true",
    .check = check,
    .build = build,
    .hf = &hf,
};
