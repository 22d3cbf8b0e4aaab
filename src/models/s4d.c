/* S4D (Gu, Gupta, Goel, Re 2022): layers of diagonal state spaces, the same at every step.
 *
 *     x = E[ids], or a dense layer of the samples' values
 *     x = norm(x + glu(out(gelu(ssm(x)))))          for each layer; norm: after, as the paper's larger models have it
 *     x = x + glu(out(gelu(ssm(norm(x)))))          norm: before
 *
 * ssm is ls_diagonal_ssm; glu(a, b) = a sigmoid(b). A starts as one of the paper's:
 *
 *     lin   A_n = -1/2 + i pi n
 *     inv   A_n = -1/2 + i (N / pi) (N / (2 n + 1) - 1)
 *     real  A_n = -(n + 1)
 *
 * with N the states of a channel: N / 2 conjugate pairs, or N real ones. */
#include "models/blocks.h"
#include "models/sequence_inputs.h"

#include <math.h>
#include <string.h>

typedef struct S4d {
    int64_t vocabulary, context, layers, width, state;
    double dropout, epsilon, delta_min, delta_max;
    char *init, *rule, *form, *norm, *picture;
    bool tied;
} S4d;

static const LsSetting settings[] = {
    LS_SETTING_INT(S4d, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(S4d, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(S4d, layers, "4", 1, 1000, "blocks"),
    LS_SETTING_INT(S4d, width, "128", 1, 1 << 20, "channels"),
    LS_SETTING_INT(S4d, state, "64", 1, 4096, "states of each channel (N); even, but for init real"),
    LS_SETTING_CHOICE(S4d, init, "lin", "lin|inv|real", "what A starts as: S4D-Lin, -Inv, -Real"),
    LS_SETTING_CHOICE(S4d, rule, "zoh", "zoh|bilinear",
                      "how the continuous system becomes one of steps: zero-order hold or the bilinear rule"),
    LS_SETTING_CHOICE(S4d, form, "scan", "scan|convolution",
                      "how whole sequences are computed: the same to rounding; parts of them always as a scan"),
    LS_SETTING_CHOICE(S4d, norm, "before", "before|after", "where each block's layer norm stands"),
    LS_SETTING_FLOAT(S4d, dropout, "0", 0, 0.99, "probability of zeroing, in front of every residual addition"),
    LS_SETTING_FLOAT(S4d, epsilon, "1e-5", 0, 1, "added to the variance inside the norms"),
    LS_SETTING_FLOAT(S4d, delta_min, "0.001", 1e-9, 1e3, "smallest initial step size"),
    LS_SETTING_FLOAT(S4d, delta_max, "0.1", 1e-9, 1e3, "largest initial step size"),
    LS_SETTING_CHOICE(S4d, picture, "pixels", LS_PICTURE_NAMES, "what a step of a picture is"),
    LS_SETTING_BOOL(S4d, tied, "true", "a language model's head uses the token embedding"),
    {0}};

static bool is_real(const S4d *m) { return strcmp(m->init, "real") == 0; }

static LsStatus check(const void *config)
{
    const S4d *m = config;
    if (m->delta_min > m->delta_max)
        return ls_fail(LS_USAGE, "model.delta_min %g is above model.delta_max %g", m->delta_min, m->delta_max);
    if (!is_real(m) && m->state % 2)
        return ls_fail(LS_USAGE, "model.state %lld must be even: states of init %s come in conjugate pairs",
                       (long long)m->state, m->init);
    return LS_OK;
}

/* A_log: (E, N), real: log(n + 1). */
static void fill_real(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank, (void)key, (void)a, (void)b;
    for (int64_t i = 0; i < dim[0] * dim[1]; i++)
        value[i] = logf((float)(i % dim[1] + 1));
}

/* A_im: (E, N / 2). */
static void fill_lin(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank, (void)key, (void)a, (void)b;
    for (int64_t i = 0; i < dim[0] * dim[1]; i++)
        value[i] = (float)(M_PI * (double)(i % dim[1]));
}

static void fill_inv(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank, (void)key, (void)a, (void)b;
    double states = 2 * (double)dim[1];
    for (int64_t i = 0; i < dim[0] * dim[1]; i++)
        value[i] = (float)(states / M_PI * (states / (double)(2 * (i % dim[1]) + 1) - 1));
}

/* x: (B, T, E) -> (B, T, E) */
static LsTensor *ssm(LsGraph *g, const S4d *m, LsTensor *x)
{
    const unsigned flags = LS_PRECISE | LS_NO_DECAY;
    int64_t modes = is_real(m) ? m->state : m->state / 2, wide[3] = {m->width, modes, 2};
    LsInit a = is_real(m) ? (LsInit){fill_real, 0, 0} : ls_init_constant(log(0.5));
    LsInit im = {strcmp(m->init, "inv") == 0 ? fill_inv : fill_lin, 0, 0};
    LsTensor *state = ls_carry(g, "state", LS_ACC, 3, (int64_t[]){x->dim[0], 2 * modes, m->width});
    LsTensor *delta =
        ls_param_flags(g, "log_delta", ls_init_uniform(log(m->delta_min), log(m->delta_max)), flags, 1, &m->width);
    LsTensor *a_log = ls_param_flags(g, "A_log", a, flags, 2, wide);
    LsTensor *a_im = is_real(m) ? NULL : ls_param_flags(g, "A_im", im, flags, 2, wide);
    /* of variance 1, as a complex number */
    LsTensor *c = ls_param_flags(g, "C", ls_init_normal(is_real(m) ? 1 : M_SQRT1_2), flags, is_real(m) ? 2 : 3, wide);
    LsTensor *d = ls_param_flags(g, "D", ls_init_normal(1), flags, 1, &m->width);
    return ls_diagonal_ssm(g, x, delta, a_log, a_im, c, d, state,
                           strcmp(m->rule, "bilinear") == 0 ? LS_SSM_BILINEAR : LS_SSM_ZOH,
                           strcmp(m->form, "scan") == 0 ? LS_SSM_SCAN : LS_SSM_CONVOLUTION);
}

static LsTensor *block(LsGraph *g, const S4d *m, LsTensor *x)
{
    bool before = strcmp(m->norm, "before") == 0;
    LsTensor *y = ls_gelu(g, ssm(g, m, before ? ls_layer_norm_block(g, "norm", x, m->epsilon) : x), false);
    y = ls_dense_uniform(g, "out", y, 2 * m->width, LS_NO_ACTIVATION);
    y = ls_split(g, y, 2, (int64_t[]){m->width, m->width});
    y = ls_mul(g, y, ls_sigmoid(g, ls_tensor_sibling(y, 1)));
    x = ls_add(g, x, ls_drop(g, y, m->dropout));
    return before ? x : ls_layer_norm_block(g, "norm", x, m->epsilon);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const S4d *m = config;
    LsTensor *table, *x = ls_sequence_inputs(g, shape, m->picture, m->vocabulary, m->width, ls_init_normal(1), &table);
    if (!table)
        x = ls_dense_uniform(g, "input", x, m->width, LS_NO_ACTIVATION);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = block(g, m, x);
        ls_pop(g);
    }
    if (strcmp(m->norm, "before") == 0)
        x = ls_layer_norm_block(g, "norm", x, m->epsilon);
    if (!table || !ls_shape_field(shape, "targets"))
        return (LsBody){.features = x};
    if (!m->tied)
        table = ls_param(g, "head", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = table};
}

const LsModel ls_model_s4d = {
    .name = "s4d",
    .summary = "diagonal linear state spaces",
    .paper = "Gu, Gupta, Goel and Re 2022, On the parameterization and initialization of diagonal state space models",
    .settings = settings,
    .config_bytes = sizeof(S4d),
    .small = "context=16 layers=2 width=5 state=4 form=convolution; "
             "context=16 layers=1 width=6 state=3 init=real rule=bilinear norm=after dropout=0.2 tied=false;"
             "context=16 layers=1 width=4 state=6 init=inv picture=rows | pixels 6x4x1",
    .check = check,
    .build = build,
};
