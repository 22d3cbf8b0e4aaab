/* The block of Mamba:
 *
 *     (u, z) = in_proj(norm(x));  u = silu(conv(u));  (dt, B, C) = x_proj(u);  delta = dt_proj(dt)
 *     x = x + out_proj(scan(u, softplus(delta + b), A, B, C, D) silu(z))
 *
 * and that of Mamba-2, whose projection makes all at once and whose scan has one decay a head:
 *
 *     (u, B, C, dt, z) = in_proj(norm(x));  (u, B, C) = silu(conv(u, B, C))
 *     x = x + out_proj(gated_norm(scan(u, softplus(dt + b), A, B, C, D), z)) */
#include "models/mamba_block.h"

#include <math.h>

/* ---- Common to both ---------------------------------------------------------------------------------------------- */

LsTensor *ls_rms_norm_block(LsGraph *g, const char *name, LsTensor *x, double epsilon)
{
    ls_push(g, "%s", name);
    LsTensor *scale =
        ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &x->dim[x->rank - 1]);
    ls_pop(g);
    return ls_rms_norm(g, x, scale, epsilon);
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

static LsTensor *delta_bias_of(LsGraph *g, const char *name, int64_t count, double least, double most, double floor)
{
    double low = fmax(least, floor), high = fmax(most, low);
    return ls_param_flags(g, name, (LsInit){fill_delta_bias, low, high}, LS_PRECISE | LS_NO_DECAY, 1, &count);
}

static LsStatus check_deltas(const LsBlockPlace *place, double least, double most)
{
    if (least > most)
        return ls_fail(LS_USAGE, "%sdelta_min %g is above %sdelta_max %g", place->settings, least, place->settings,
                       most);
    return LS_OK;
}

/* U(-1/sqrt(fan_in), 1/sqrt(fan_in)), over `shrink`: what the reference implementation's linear layers start from. */
static LsInit fan_in_init(int64_t fan_in, double shrink)
{
    double bound = 1 / (sqrt((double)fan_in) * shrink);
    return ls_init_uniform(-bound, bound);
}

/* The first `channels` columns of x, each convolved with its own taps. */
static LsTensor *convolve(LsGraph *g, LsTensor *x, int64_t channels, int64_t taps, bool bias)
{
    LsTensor *state =
        taps > 1 ? ls_carry(g, "conv_state", LS_REAL, 3, (int64_t[]){x->dim[0], taps - 1, channels}) : NULL;
    LsTensor *w = ls_param(g, "conv.weight", fan_in_init(taps, 1), 2, (int64_t[]){channels, taps});
    LsTensor *b = bias ? ls_param(g, "conv.bias", fan_in_init(taps, 1), 1, &channels) : NULL;
    return ls_causal_conv(g, x, w, b, state, LS_SILU);
}

static LsTensor *project_out(LsGraph *g, const LsBlockPlace *place, LsTensor *y, bool bias)
{
    LsInit init = fan_in_init(y->dim[2], sqrt((double)place->layers));
    return ls_dense(g, "out_proj", y, place->width, init, bias, LS_NO_ACTIVATION);
}

/* ---- Mamba ------------------------------------------------------------------------------------------------------- */

/* A_n = -n: S4D-real (Gu, Gupta et al. 2022). value: (E, N) gets log n. */
static void fill_a_log(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank, (void)key, (void)a, (void)b;
    for (int64_t e = 0; e < dim[0]; e++)
        for (int64_t n = 0; n < dim[1]; n++)
            value[e * dim[1] + n] = logf((float)(n + 1));
}

LsStatus ls_mamba_block_check(const void *block, const LsBlockPlace *place)
{
    const LsMambaBlock *m = block;
    return check_deltas(place, m->delta_min, m->delta_max);
}

/* delta before the bias and softplus, from its low rank. The bias belongs to the scan, which wants it exact. x: (B, T,
 * R) -> (B, T, E) */
static LsTensor *delta_of(LsGraph *g, const LsMambaBlock *m, LsTensor *x, int64_t inner, LsTensor **bias)
{
    double bound = m->delta_scale / sqrt((double)x->dim[2]);
    ls_push(g, "dt_proj");
    LsTensor *w =
        ls_param_flags(g, "weight", ls_init_uniform(-bound, bound), LS_MATRIX, 2, (int64_t[]){inner, x->dim[2]});
    *bias = delta_bias_of(g, "bias", inner, m->delta_min, m->delta_max, m->delta_floor);
    ls_pop(g);
    return ls_linear(g, x, w, NULL, LS_NO_ACTIVATION);
}

/* x: (B, T, C) -> (B, T, C); E = expand C inner channels, N states each, rank R of delta */
LsTensor *ls_mamba_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x)
{
    const LsMambaBlock *m = block;
    int64_t inner = m->expand * place->width, rank = m->rank ? m->rank : (place->width + 15) / 16;
    LsTensor *from = ls_rms_norm_block(g, "norm", x, m->epsilon);
    /* (B, T, 2E) */
    LsTensor *xz = ls_dense(g, "in_proj", from, 2 * inner, fan_in_init(place->width, 1), m->bias, LS_NO_ACTIVATION);
    LsTensor *u = convolve(g, xz, inner, m->conv, m->conv_bias); /* (B, T, E) */

    /* (B, T, R + 2N) */
    LsTensor *dbc = ls_dense(g, "x_proj", u, rank + 2 * m->state, fan_in_init(inner, 1), false, LS_NO_ACTIVATION);
    LsTensor *low_rank = ls_split(g, dbc, 2, (int64_t[]){rank, 2 * m->state}), *bc = ls_tensor_sibling(low_rank, 1),
             *delta_bias;
    LsTensor *delta = delta_of(g, m, low_rank, inner, &delta_bias);

    LsTensor *a_log = ls_param_flags(g, "A_log", (LsInit){fill_a_log, 0, 0}, LS_PRECISE | LS_NO_DECAY, 2,
                                     (int64_t[]){inner, m->state});
    LsTensor *d = ls_param_flags(g, "D", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &inner);
    LsTensor *state = ls_carry(g, "state", LS_ACC, 3, (int64_t[]){x->dim[0], m->state, inner});
    LsTensor *y = ls_selective_scan(g, u, delta, delta_bias, a_log, bc, d, xz, state); /* (B, T, E) */
    return ls_add(g, x, project_out(g, place, y, m->bias));
}

/* ---- Mamba-2 ----------------------------------------------------------------------------------------------------- */

/* A uniform in [-16, -1): what the reference implementation starts from. value: (H) gets log -A. */
static void fill_head_a_log(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank;
    for (int64_t h = 0; h < dim[0]; h++)
        value[h] = (float)log(a + (double)ls_uniform_at(key, 0, (uint64_t)h) * (b - a));
}

LsStatus ls_mamba2_block_check(const void *block, const LsBlockPlace *place)
{
    const LsMamba2Block *m = block;
    const char *at = place->settings;
    int64_t inner = m->expand * place->width;
    if (inner % m->head_dim)
        return ls_fail(LS_USAGE, "%sexpand times model.width, %lld, is not a multiple of %shead_dim %lld", at,
                       (long long)inner, at, (long long)m->head_dim);
    if (inner / m->head_dim % m->groups)
        return ls_fail(LS_USAGE,
                       "the %lld heads (%sexpand times model.width over %shead_dim) are not a multiple of "
                       "%sgroups %lld",
                       (long long)(inner / m->head_dim), at, at, at, (long long)m->groups);
    if (inner % m->norm_groups)
        return ls_fail(LS_USAGE, "%sexpand times model.width, %lld, is not a multiple of %snorm_groups %lld", at,
                       (long long)inner, at, (long long)m->norm_groups);
    if (m->limit_min > m->limit_max)
        return ls_fail(LS_USAGE, "%slimit_min %g is above %slimit_max %g", at, m->limit_min, at, m->limit_max);
    return check_deltas(place, m->delta_min, m->delta_max);
}

/* x: (B, T, C) -> (B, T, C); E = expand C inner channels in H heads, N states each, G groups */
LsTensor *ls_mamba2_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x)
{
    const LsMamba2Block *m = block;
    int64_t inner = m->expand * place->width, heads = inner / m->head_dim, mixed = inner + 2 * m->groups * m->state;
    LsTensor *from = ls_rms_norm_block(g, "norm", x, m->epsilon);
    /* (B, T, E + 2 G N + H + E) */
    LsTensor *all =
        ls_dense(g, "in_proj", from, mixed + heads + inner, fan_in_init(place->width, 1), m->bias, LS_NO_ACTIVATION);
    LsTensor *xbc = convolve(g, all, mixed, m->conv, m->conv_bias); /* (B, T, E + 2 G N) */
    LsTensor *bias = delta_bias_of(g, "dt_bias", heads, m->delta_min, m->delta_max, m->delta_floor);
    LsTensor *a_log = ls_param_flags(g, "A_log", (LsInit){fill_head_a_log, 1, 16}, LS_PRECISE | LS_NO_DECAY, 1, &heads);
    LsTensor *d = ls_param_flags(g, "D", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &heads);
    LsTensor *state = ls_carry(g, "state", LS_ACC, 3, (int64_t[]){x->dim[0], m->state, inner});
    LsTensor *y = ls_ssd_scan(g, xbc, all, bias, a_log, d, state, m->groups, m->state, mixed, m->limit_min,
                              m->limit_max); /* (B, T, E) */
    LsTensor *scale = ls_param_flags(g, "gate_norm.scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &inner);
    y = ls_gated_rms_norm(g, y, all, scale, m->norm_groups, m->epsilon);
    return ls_add(g, x, project_out(g, place, y, m->bias));
}
