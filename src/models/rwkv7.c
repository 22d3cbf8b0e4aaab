/* RWKV-7, "Goose" (Peng et al. 2025): each head's state forgets by channel and replaces what it holds under a key.
 *
 *     x = norm(E[ids])
 *     x = x + time(norm(x));  x = x + W_v max(W_k mix_k(norm(x)), 0)^2        for each layer
 *     logits = norm(x) head^T
 *
 *     with x' the token before x, mix_n(x) = x + (x' - x) m_n, and low(x) = b + f(x U^T) V^T of low rank:
 *     time: r, k, v = W_r mix_r(x), W_k mix_k(x), W_v mix_v(x);  w = low(mix_w(x)), f = tanh;  a = sigmoid(low(mix_a(x)))
 *           g = low(mix_g(x)), f = sigmoid, no b;  v = v + (v of the first layer - v) sigmoid(low(mix_v(x)))
 *           k, -h, a h = delta_keys(k, a);  y = wkv_heads(r, w, k, v, -h, a h)
 *           W_o (g (group_norm(y) + (sum_j r_j u_j k_j) v))
 *
 * Initial values are those of the author's trainer, but for matrices that are zero there, which are small here, and the
 * embedding. */
#include "models/rwkv_block.h"
#include "models/rwkv_parts.h"

#include <math.h>

typedef struct Rwkv7 {
    int64_t vocabulary, loss_vocabulary, context, layers, width;
    LsRwkv7Block block;
    bool tied;
} Rwkv7;

static const LsSetting settings[] = {
    LS_SETTING_INT(Rwkv7, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Rwkv7, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Rwkv7, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(Rwkv7, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Rwkv7, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_RWKV7_BLOCK_SETTINGS(Rwkv7, block, ""),
    LS_SETTING_BOOL(Rwkv7, tied, "false", "the head uses the token embedding"),
    {0}};

LsStatus ls_rwkv7_block_check(const void *block, const LsBlockPlace *place)
{
    return ls_rwkv_check_heads(place->width, ((const LsRwkv7Block *)block)->head, place->settings);
}

static LsStatus check(const void *config)
{
    const Rwkv7 *m = config;
    return ls_rwkv7_block_check(&m->block, &(LsBlockPlace){.width = m->width, .settings = "model."});
}

/* A rank that a setting names, or factor sqrt(C) to the nearest multiple of 32, at least that. */
static int64_t rank_of(int64_t width, int64_t setting, double factor)
{
    int64_t steps = (int64_t)rint(factor * sqrt((double)width) / 32);
    return setting ? setting : 32 * (steps > 1 ? steps : 1);
}

/* ---- Initial values ---------------------------------------------------------------------------------------------- */

/* -1 to 1 over the channels of a head, more slowly in the middle. a: channels of a head */
static double zigzag(int64_t i, int64_t head)
{
    double half = (double)(head - 1) / 2, z = head > 1 ? ((double)(i % head) - half) / half : 0;
    return z * fabs(z);
}

static double line(int64_t i, int64_t channels) { return (double)i / (double)(channels > 1 ? channels - 1 : 1) - 0.5; }

/* power: of the decay's curve over the channels */
static void fill_decay(float *value, int rank, const int64_t *dim, uint64_t key, double power, double head)
{
    (void)rank, (void)key;
    for (int64_t i = 0; i < dim[0]; i++)
        value[i] = (float)(-5.5 + 6 * pow(line(i, dim[0]) + 0.5, power) + 2.5 * zigzag(i, (int64_t)head));
}

static void fill_rate(float *value, int rank, const int64_t *dim, uint64_t key, double head, double unused)
{
    (void)rank, (void)key, (void)unused;
    for (int64_t i = 0; i < dim[0]; i++)
        value[i] = (float)(-0.19 + 0.3 * zigzag(i, (int64_t)head) + 0.4 * line(i, dim[0]));
}

/* middle + slope times -1/2 to 1/2 over the channels */
static void fill_line(float *value, int rank, const int64_t *dim, uint64_t key, double middle, double slope)
{
    (void)rank, (void)key;
    for (int64_t i = 0; i < dim[0]; i++)
        value[i] = (float)(middle + slope * line(i, dim[0]));
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* f(x U^T) V^T + b, with parameters "NAME.in.weight", "NAME.out.weight", "NAME.out.bias" (where there is an init). */
static LsTensor *low_rank(LsGraph *g, const char *name, LsTensor *x, int64_t rank,
                          LsTensor *(*f)(LsGraph *g, LsTensor *x), const LsInit *bias)
{
    int64_t width = x->dim[2];
    ls_push(g, "%s", name);
    LsTensor *h = ls_rwkv_dense(g, "in", x, rank, 0.1);
    h = f ? f(g, h) : h;
    ls_push(g, "out");
    double bound = 0.1 * sqrt(3.0 / (double)rank);
    LsTensor *w = ls_param(g, "weight", ls_init_uniform(-bound, bound), 2, (int64_t[]){width, rank});
    LsTensor *b = bias ? ls_param_flags(g, "bias", *bias, LS_NO_DECAY, 1, &width) : NULL;
    ls_pop(g);
    ls_pop(g);
    return ls_linear(g, h, w, b, LS_NO_ACTIVATION);
}

/* The values, of which the first layer's come back in all others; *first: those. */
static LsTensor *values_of(LsGraph *g, const LsRwkv7Block *m, LsTensor *xv, LsTensor **first)
{
    int64_t width = xv->dim[2];
    LsTensor *v = ls_rwkv_dense(g, "value", xv, width, 0.5);
    if (!*first)
        return *first = v;
    LsInit init = {fill_line, 0.73, -0.4};
    LsTensor *share = low_rank(g, "value_mix", xv, rank_of(width, m->value_rank, 1.7), NULL, &init);
    return ls_lerp(g, v, *first, NULL, ls_sigmoid(g, share));
}

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *mix_time(LsGraph *g, const LsRwkv7Block *m, const LsBlockPlace *place, LsTensor *x)
{
    int64_t width = place->width, heads = width / m->head, batch = x->dim[0];
    double last = ls_rwkv_to_last(place->layer, place->layers);
    double power = 1 + pow(ls_rwkv_from_first(place->layer, place->layers), 0.3);
    LsInit decay = {fill_decay, power, (double)m->head}, rate = {fill_rate, (double)m->head, 0};
    ls_push(g, "time");
    LsTensor *before = ls_rwkv_shift(g, x);
    LsTensor *r = ls_rwkv_mix(g, "mix_receptance", x, before, ls_rwkv_rest_init(0.2 * last));
    LsTensor *w = ls_rwkv_mix(g, "mix_decay", x, before, ls_rwkv_rest_init(0.9 * last));
    LsTensor *k = ls_rwkv_mix(g, "mix_key", x, before, ls_rwkv_rest_init(0.7 * last));
    LsTensor *v = ls_rwkv_mix(g, "mix_value", x, before, ls_rwkv_rest_init(0.7 * last));
    LsTensor *a = ls_rwkv_mix(g, "mix_rate", x, before, ls_rwkv_rest_init(0.9 * last));
    LsTensor *gate = ls_rwkv_mix(g, "mix_gate", x, before, ls_rwkv_rest_init(0.2 * last));
    r = ls_rwkv_dense(g, "receptance", r, width, 0.5);
    w = low_rank(g, "decay", w, rank_of(width, m->decay_rank, 2.5), ls_tanh, &decay);
    k = ls_rwkv_dense(g, "key", k, width, 0.05);
    v = values_of(g, m, v, place->first);
    a = ls_sigmoid(g, low_rank(g, "rate", a, rank_of(width, m->rate_rank, 2.5), NULL, &rate));
    gate = low_rank(g, "gate", gate, rank_of(width, m->gate_rank, 5), ls_sigmoid, NULL);
    LsTensor *normal = ls_rwkv_vector(g, "key_norm", width, (LsInit){fill_line, 0.71, -0.1});
    LsTensor *share = ls_rwkv_vector(g, "key_rate", width, ls_init_constant(1.02));
    k = ls_delta_keys(g, k, a, normal, share, heads);
    LsTensor *state = ls_carry(g, "state", LS_ACC, 4, (int64_t[]){batch, heads, m->head, m->head});
    LsTensor *y = ls_wkv_heads(g, r, w, k, v, ls_tensor_sibling(k, 1), ls_tensor_sibling(k, 2), state, heads);
    LsTensor *u =
        ls_param_flags(g, "bonus", ls_init_constant(-0.04), LS_PRECISE | LS_NO_DECAY, 2, (int64_t[]){heads, m->head});
    y = ls_add(g, ls_rwkv_head_norm(g, y, heads, m->head_epsilon, m->epsilon), ls_head_bonus(g, r, k, v, u));
    y = ls_mul(g, y, gate);
    y = ls_rwkv_dense(g, "out", y, width, 0.5 / sqrt(2.0 * (double)place->layers));
    ls_pop(g);
    return y;
}

static LsTensor *mix_channels(LsGraph *g, const LsRwkv7Block *m, const LsBlockPlace *place, LsTensor *x)
{
    ls_push(g, "channel");
    LsInit init = ls_rwkv_rest_init(pow(ls_rwkv_to_last(place->layer, place->layers), 4));
    LsTensor *h = ls_rwkv_mix(g, "mix_key", x, ls_rwkv_shift(g, x), init);
    h = ls_rwkv_squared_relu(g, "key", h, m->hidden ? m->hidden : 4 * place->width);
    h = ls_rwkv_dense(g, "value", h, place->width, 0.5 / sqrt(2.0 * (double)place->layers));
    ls_pop(g);
    return h;
}

LsTensor *ls_rwkv7_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x)
{
    const LsRwkv7Block *m = block;
    x = ls_add(g, x, mix_time(g, m, place, ls_layer_norm_block(g, "norm_1", x, m->epsilon)));
    return ls_add(g, x, mix_channels(g, m, place, ls_layer_norm_block(g, "norm_2", x, m->epsilon)));
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Rwkv7 *m = config;
    double epsilon = m->block.epsilon;
    LsTensor *table, *x = ls_rwkv_embed(g, shape, m->vocabulary, m->width, epsilon, &table), *first = NULL;
    for (int64_t layer = 0; layer < m->layers; layer++) {
        LsBlockPlace place = {.width = m->width, .layers = m->layers, .layer = layer, .first = &first};
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_rwkv7_block(g, &m->block, &place, x);
        ls_pop(g);
    }
    return ls_rwkv_body(g, x, m->tied ? table : NULL, m->vocabulary, m->loss_vocabulary, epsilon);
}

/* The author's names and shapes, which files of weights have; there is no config.json, so settings follow from shapes.
 * Ours has one, with keys of our own. */
static const LsHfTensor hf_tensors[] = {LS_RWKV_HF_TENSORS,
                                        {"layer.{i}.time.mix_receptance", "blocks.{i}.att.x_r", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.mix_decay", "blocks.{i}.att.x_w", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.mix_key", "blocks.{i}.att.x_k", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.mix_value", "blocks.{i}.att.x_v", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.mix_rate", "blocks.{i}.att.x_a", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.mix_gate", "blocks.{i}.att.x_g", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.decay.in.weight", "blocks.{i}.att.w1", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.decay.out.weight", "blocks.{i}.att.w2", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.decay.out.bias", "blocks.{i}.att.w0", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.value_mix.in.weight", "blocks.{i}.att.v1", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.value_mix.out.weight", "blocks.{i}.att.v2", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.value_mix.out.bias", "blocks.{i}.att.v0", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.rate.in.weight", "blocks.{i}.att.a1", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.rate.out.weight", "blocks.{i}.att.a2", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.rate.out.bias", "blocks.{i}.att.a0", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.gate.in.weight", "blocks.{i}.att.g1", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.gate.out.weight", "blocks.{i}.att.g2", LS_HF_TRANSPOSE},
                                        {"layer.{i}.time.key_norm", "blocks.{i}.att.k_k", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.key_rate", "blocks.{i}.att.k_a", LS_HF_LEADING_ONES},
                                        {"layer.{i}.time.bonus", "blocks.{i}.att.r_k"},
                                        {"layer.{i}.channel.mix_key", "blocks.{i}.ffn.x_k", LS_HF_LEADING_ONES},
                                        {NULL, "blocks.0.att.v0"}, /* the first layer's values are its own: */
                                        {NULL, "blocks.0.att.v1"}, /* files carry these, */
                                        {NULL, "blocks.0.att.v2"}, /* and nobody reads them */
                                        {0}};

static const LsHfKey hf_keys[] = {LS_RWKV_HF_KEYS,
                                  {"hidden", "intermediate_size", .zero = "4*width"},
                                  {"decay_rank", "decay_rank", .absent = "0"},
                                  {"rate_rank", "rate_rank", .absent = "0"},
                                  {"value_rank", "value_rank", .absent = "0"},
                                  {"gate_rank", "gate_rank", .absent = "0"},
                                  {0}};

static const LsHfArchitecture hf_architectures[] = {{.name = "RWKV_x070", .task = "language"}, {0}};

static const LsHfShape hf_shapes[] = {{"vocab_size", "emb.weight", 0},
                                      {"hidden_size", "emb.weight", 1},
                                      {"num_hidden_layers", "blocks.{i}.ln1.weight", LS_HF_LAYERS},
                                      {"head_size", "blocks.0.att.r_k", 1},
                                      {"intermediate_size", "blocks.0.ffn.key.weight", 0},
                                      {"decay_rank", "blocks.0.att.w1", 1},
                                      {"rate_rank", "blocks.0.att.a1", 1},
                                      {"value_rank", "blocks.1.att.v1", 1},
                                      {"gate_rank", "blocks.0.att.g1", 1},
                                      {0}};

static const LsHf hf = {
    .model_type = "rwkv_x070",
    .architectures = hf_architectures,
    .tensors = hf_tensors,
    .keys = hf_keys,
    .recognised = "blocks.0.att.r_k",
    .shapes = hf_shapes,
};

const LsModel ls_model_rwkv7 = {
    .name = "rwkv7",
    .summary = "RWKV-7 (Goose): a recurrent network whose heads replace what they hold under a key",
    .paper = "Peng et al. 2025, RWKV-7 Goose with expressive dynamic state evolution",
    .settings = settings,
    .config_bytes = sizeof(Rwkv7),
    .small = "context=16 layers=2 width=6 head=3 decay_rank=2 rate_rank=3 value_rank=2 gate_rank=4;"
             "context=16 layers=1 width=5 head=5 hidden=7 decay_rank=3 rate_rank=2 gate_rank=2 tied=true",
    .check = check,
    .build = build,
    .hf = &hf,
};
