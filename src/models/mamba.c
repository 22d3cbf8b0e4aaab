/* Mamba (Gu and Dao 2023): pre-norm blocks around a selective state space.
 *
 *     (x, z) = in_proj(norm(u));  x = silu(conv(x));  (dt, B, C) = x_proj(x);  delta = dt_proj(dt)
 *     y = scan(x, softplus(delta + b), A, B, C, D) * silu(z);  u = u + out_proj(y)
 */
#include "models/blocks.h"

#include <math.h>

typedef struct Mamba {
    int64_t vocabulary, loss_vocabulary, context, layers, width, expand, state, conv, rank;
    double epsilon, delta_min, delta_max, delta_floor, delta_scale;
    bool conv_bias, bias, tied;
} Mamba;

static const LsSetting settings[] = {
    LS_SETTING_INT(Mamba, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Mamba, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Mamba, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(Mamba, layers, "24", 1, 1000, "blocks"),
    LS_SETTING_INT(Mamba, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Mamba, expand, "2", 1, 16, "inner channels over width (E)"),
    LS_SETTING_INT(Mamba, state, "16", 1, 1024, "state of each inner channel (N)"),
    LS_SETTING_INT(Mamba, conv, "4", 1, 64, "taps of the causal convolution"),
    LS_SETTING_INT(Mamba, rank, "0", 0, 1 << 20, "rank of the projection that makes delta; 0: width / 16, rounded up"),
    LS_SETTING_FLOAT(Mamba, epsilon, "1e-5", 0, 1, "added to the mean square inside the norms"),
    LS_SETTING_FLOAT(Mamba, delta_min, "0.001", 1e-9, 1e3, "smallest initial step size"),
    LS_SETTING_FLOAT(Mamba, delta_max, "0.1", 1e-9, 1e3, "largest initial step size"),
    LS_SETTING_FLOAT(Mamba, delta_floor, "1e-4", 0, 1e3, "initial step sizes are at least this"),
    LS_SETTING_FLOAT(Mamba, delta_scale, "1", 0, 1e3, "scale of the initial weights that make delta"),
    LS_SETTING_BOOL(Mamba, conv_bias, "true", "bias of the convolution"),
    LS_SETTING_BOOL(Mamba, bias, "false", "biases of in_proj and out_proj"),
    LS_SETTING_BOOL(Mamba, tied, "true", "the head uses the token embedding"),
    {0}};

static LsStatus check(const void *config)
{
    const Mamba *m = config;
    if (m->delta_min > m->delta_max)
        return ls_fail(LS_USAGE, "model.delta_min %g is above model.delta_max %g", m->delta_min, m->delta_max);
    return LS_OK;
}

/* A_n = -n: S4D-real (Gu, Gupta et al. 2022). value: (E, N) gets log n. */
static void fill_a_log(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank, (void)key, (void)a, (void)b;
    for (int64_t e = 0; e < dim[0]; e++)
        for (int64_t n = 0; n < dim[1]; n++)
            value[e * dim[1] + n] = logf((float)(n + 1));
}

/* softplus(bias) is log-uniform in [delta_min, delta_max): bias = d + log(1 - e^-d), the inverse of softplus. The floor
 * is already applied to a, so that a, b are the range. */
static void fill_delta_bias(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank;
    for (int64_t e = 0; e < dim[0]; e++) {
        double d = exp(log(a) + (double)ls_uniform_at(key, 0, (uint64_t)e) * (log(b) - log(a)));
        value[e] = (float)(d + log(-expm1(-d)));
    }
}

/* U(-1/sqrt(fan_in), 1/sqrt(fan_in)), over `shrink`: what the reference implementation's linear layers start from. */
static LsInit fan_in_init(int64_t fan_in, double shrink)
{
    double bound = 1 / (sqrt((double)fan_in) * shrink);
    return ls_init_uniform(-bound, bound);
}

static LsTensor *norm(LsGraph *g, const Mamba *m, const char *name, LsTensor *x)
{
    ls_push(g, "%s", name);
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &m->width);
    ls_pop(g);
    return ls_rms_norm(g, x, scale, m->epsilon);
}

/* delta before the bias and softplus, from its low rank. The bias belongs to the scan, which wants it exact. x: (B, T,
 * R) -> (B, T, E) */
static LsTensor *delta_of(LsGraph *g, const Mamba *m, LsTensor *x, int64_t inner, LsTensor **bias)
{
    double bound = m->delta_scale / sqrt((double)x->dim[2]);
    double low = fmax(m->delta_min, m->delta_floor), high = fmax(m->delta_max, low);
    ls_push(g, "dt_proj");
    LsTensor *w = ls_param(g, "weight", ls_init_uniform(-bound, bound), 2, (int64_t[]){inner, x->dim[2]});
    *bias = ls_param_flags(g, "bias", (LsInit){fill_delta_bias, low, high}, LS_PRECISE | LS_NO_DECAY, 1, &inner);
    ls_pop(g);
    return ls_linear(g, x, w, NULL, LS_NO_ACTIVATION);
}

/* x: (B, T, C) -> (B, T, C); E = expand C inner channels, N states each, rank R of delta */
static LsTensor *mixer(LsGraph *g, const Mamba *m, LsTensor *x)
{
    int64_t inner = m->expand * m->width, rank = m->rank ? m->rank : (m->width + 15) / 16, batch = x->dim[0];
    LsTensor *conv_state =
        m->conv > 1 ? ls_carry(g, "conv_state", LS_REAL, 3, (int64_t[]){batch, m->conv - 1, inner}) : NULL;
    LsTensor *state = ls_carry(g, "state", LS_ACC, 3, (int64_t[]){batch, m->state, inner});

    /* (B, T, 2E) */
    LsTensor *xz = ls_dense(g, "in_proj", x, 2 * inner, fan_in_init(m->width, 1), m->bias, LS_NO_ACTIVATION);
    LsTensor *conv_w = ls_param(g, "conv.weight", fan_in_init(m->conv, 1), 2, (int64_t[]){inner, m->conv});
    LsTensor *conv_b = m->conv_bias ? ls_param(g, "conv.bias", fan_in_init(m->conv, 1), 1, &inner) : NULL;
    LsTensor *u = ls_causal_conv(g, xz, conv_w, conv_b, conv_state, LS_SILU); /* (B, T, E) */

    /* (B, T, R + 2N) */
    LsTensor *dbc = ls_dense(g, "x_proj", u, rank + 2 * m->state, fan_in_init(inner, 1), false, LS_NO_ACTIVATION);
    LsTensor *low_rank = ls_split(g, dbc, 2, (int64_t[]){rank, 2 * m->state}), *bc = ls_tensor_sibling(low_rank, 1),
             *delta_bias;
    LsTensor *delta = delta_of(g, m, low_rank, inner, &delta_bias);

    LsTensor *a_log = ls_param_flags(g, "A_log", (LsInit){fill_a_log, 0, 0}, LS_PRECISE | LS_NO_DECAY, 2,
                                     (int64_t[]){inner, m->state});
    LsTensor *d = ls_param_flags(g, "D", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &inner);
    LsTensor *y = ls_selective_scan(g, u, delta, delta_bias, a_log, bc, d, xz, state); /* (B, T, E) */
    return ls_dense(g, "out_proj", y, m->width, fan_in_init(inner, sqrt((double)m->layers)), m->bias, LS_NO_ACTIVATION);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Mamba *m = config;
    LsTensor *table = ls_param(g, "token_embedding", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = ls_embedding(g, table, ls_shape_input(g, shape, "ids")); /* x: (B, T, C) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_add(g, x, mixer(g, m, norm(g, m, "norm", x)));
        ls_pop(g);
    }
    x = norm(g, m, "norm", x);
    LsTensor *head =
        m->tied ? table : ls_param(g, "head", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head, .loss_classes = m->loss_vocabulary};
}

/* MambaForCausalLM of transformers. */
static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "backbone.embeddings.weight"},
    {"layer.{i}.norm.scale", "backbone.layers.{i}.norm.weight"},
    {"layer.{i}.in_proj.weight", "backbone.layers.{i}.mixer.in_proj.weight"},
    {"layer.{i}.in_proj.bias", "backbone.layers.{i}.mixer.in_proj.bias"},
    {"layer.{i}.conv.weight", "backbone.layers.{i}.mixer.conv1d.weight", LS_HF_MIDDLE_ONE},
    {"layer.{i}.conv.bias", "backbone.layers.{i}.mixer.conv1d.bias"},
    {"layer.{i}.x_proj.weight", "backbone.layers.{i}.mixer.x_proj.weight"},
    {"layer.{i}.dt_proj.weight", "backbone.layers.{i}.mixer.dt_proj.weight"},
    {"layer.{i}.dt_proj.bias", "backbone.layers.{i}.mixer.dt_proj.bias"},
    {"layer.{i}.A_log", "backbone.layers.{i}.mixer.A_log"},
    {"layer.{i}.D", "backbone.layers.{i}.mixer.D"},
    {"layer.{i}.out_proj.weight", "backbone.layers.{i}.mixer.out_proj.weight"},
    {"layer.{i}.out_proj.bias", "backbone.layers.{i}.mixer.out_proj.bias"},
    {"norm.scale", "backbone.norm_f.weight"},
    {"head", "lm_head.weight", .tied = "token_embedding"},
    {0}};

static const LsHfKey hf_keys[] = {{"vocabulary", "vocab_size"},
                                  {"width", "hidden_size"},
                                  {"layers", "num_hidden_layers"},
                                  {"state", "state_size"},
                                  {"expand", "expand", .absent = "2"},
                                  {NULL, "intermediate_size", .product = "expand*width"},
                                  {"conv", "conv_kernel", .absent = "4"},
                                  {"rank", "time_step_rank", .words = "auto=0", .absent = "auto"},
                                  {"epsilon", "layer_norm_epsilon", .absent = "1e-5"},
                                  {"delta_min", "time_step_min", .absent = "0.001"},
                                  {"delta_max", "time_step_max", .absent = "0.1"},
                                  {"delta_floor", "time_step_floor", .absent = "1e-4"},
                                  {"delta_scale", "time_step_scale", .absent = "1"},
                                  {"conv_bias", "use_conv_bias", .absent = "true"},
                                  {"bias", "use_bias", .absent = "false"},
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
