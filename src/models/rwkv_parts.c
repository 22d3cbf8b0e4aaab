#include "models/rwkv_parts.h"

#include <math.h>

LsTensor *ls_rwkv_vector(LsGraph *g, const char *name, int64_t channels, LsInit init)
{
    return ls_param_flags(g, name, init, LS_PRECISE | LS_NO_DECAY, 1, &channels);
}

LsTensor *ls_rwkv_shift(LsGraph *g, LsTensor *x)
{
    return ls_token_shift(g, x, ls_carry(g, "shift", LS_REAL, 2, (int64_t[]){x->dim[0], x->dim[2]}));
}

LsTensor *ls_rwkv_mix(LsGraph *g, const char *name, LsTensor *from, LsTensor *to, LsInit init)
{
    return ls_lerp(g, from, to, ls_rwkv_vector(g, name, from->dim[from->rank - 1], init), NULL);
}

LsTensor *ls_rwkv_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, double size)
{
    double bound = size / sqrt((double)(x->dim[x->rank - 1] > 0 ? x->dim[x->rank - 1] : 1));
    return ls_dense(g, name, x, outputs, ls_init_uniform(-bound, bound), false, LS_NO_ACTIVATION);
}

LsTensor *ls_rwkv_squared_relu(LsGraph *g, const char *name, LsTensor *x, int64_t outputs)
{
    double bound = 0.5 / sqrt((double)(x->dim[x->rank - 1] > 0 ? x->dim[x->rank - 1] : 1));
    LsTensor *h = ls_dense(g, name, x, outputs, ls_init_uniform(-bound, bound), false, LS_RELU);
    return ls_mul(g, h, h);
}

LsTensor *ls_rwkv_gated_channels(LsGraph *g, LsTensor *xk, LsTensor *xr, int64_t hidden, int64_t layers)
{
    int64_t width = xk->dim[2];
    LsTensor *h = ls_rwkv_squared_relu(g, "key", xk, hidden);
    LsTensor *y = ls_rwkv_dense(g, "value", h, width, 0.5 / sqrt(2.0 * (double)layers));
    return ls_mul(g, ls_sigmoid(g, ls_rwkv_dense(g, "receptance", xr, width, 0.5)), y);
}

LsTensor *ls_rwkv_channels(LsGraph *g, LsTensor *x, int64_t hidden, int64_t layer, int64_t layers)
{
    LsInit init = ls_rwkv_power_init(ls_rwkv_to_last(layer, layers), 0);
    ls_push(g, "channel");
    LsTensor *before = ls_rwkv_shift(g, x);
    LsTensor *xk = ls_rwkv_mix(g, "mix_key", before, x, init), *xr = ls_rwkv_mix(g, "mix_receptance", before, x, init);
    LsTensor *y = ls_rwkv_gated_channels(g, xk, xr, hidden, layers);
    ls_pop(g);
    return y;
}

/* ---- Heads ------------------------------------------------------------------------------------------------------- */

LsStatus ls_rwkv_check_heads(int64_t width, int64_t head, const char *settings)
{
    char name[64];
    snprintf(name, sizeof name, "%shead", settings);
    return ls_check_multiple("model.width", width, name, head);
}

/* By the channel's number, and a tenth more or less in turn. */
static void fill_bonus(float *value, int rank, const int64_t *dim, uint64_t key, double unused, double none)
{
    (void)rank, (void)key, (void)unused, (void)none;
    int64_t channels = dim[0] * dim[1];
    for (int64_t i = 0; i < channels; i++)
        value[i] = (float)(0.5 * (1 - (double)i / (double)(channels > 1 ? channels - 1 : 1)) +
                           0.1 * (double)((i + 1) % 3 - 1));
}

LsTensor *ls_rwkv_heads(LsGraph *g, LsTensor *r, LsTensor *w, LsTensor *k, LsTensor *v, int64_t heads)
{
    int64_t size = r->dim[2] / heads;
    LsTensor *state = ls_carry(g, "state", LS_ACC, 4, (int64_t[]){r->dim[0], heads, size, size});
    LsTensor *u =
        ls_param_flags(g, "bonus", (LsInit){fill_bonus, 0, 0}, LS_PRECISE | LS_NO_DECAY, 2, (int64_t[]){heads, size});
    LsTensor *y = ls_wkv_heads(g, r, w, k, v, NULL, NULL, state, heads);
    return ls_add(g, y, ls_head_bonus(g, r, k, v, u));
}

LsTensor *ls_rwkv_head_norm(LsGraph *g, LsTensor *y, int64_t heads, double epsilon, double of_layers)
{
    ls_push(g, "norm");
    LsTensor *scale = ls_rwkv_vector(g, "scale", y->dim[2], ls_init_constant(1));
    LsTensor *bias = ls_rwkv_vector(g, "bias", y->dim[2], ls_init_constant(0));
    ls_pop(g);
    return ls_group_norm(g, y, scale, bias, heads, epsilon > 0 ? epsilon : 64 * of_layers);
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------- */

LsTensor *ls_rwkv_embed(LsGraph *g, const LsShape *shape, int64_t vocabulary, int64_t width, double epsilon,
                        LsTensor **table)
{
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    *table = ls_param(g, "token_embedding", ls_init_normal(0.02), 2, (int64_t[]){vocabulary, width});
    return ls_layer_norm_block(g, "embedding_norm", ls_embedding(g, *table, ids), epsilon);
}

LsBody ls_rwkv_body(LsGraph *g, LsTensor *x, LsTensor *table, int64_t vocabulary, int64_t classes, double epsilon)
{
    int64_t width = x->dim[2];
    x = ls_layer_norm_block(g, "norm", x, epsilon);
    double bound = 0.5 / sqrt((double)width);
    if (!table)
        table = ls_param(g, "head", ls_init_uniform(-bound, bound), 2, (int64_t[]){vocabulary, width});
    return (LsBody){.features = x, .table = table, .loss_classes = classes};
}

/* ---- Initial vectors --------------------------------------------------------------------------------------------- */

static void fill_power(float *value, int rank, const int64_t *dim, uint64_t key, double power, double more)
{
    (void)rank, (void)key;
    for (int64_t i = 0; i < dim[0]; i++)
        value[i] = (float)(pow((double)i / (double)dim[0], power) + more);
}

static void fill_rest(float *value, int rank, const int64_t *dim, uint64_t key, double power, double unused)
{
    (void)rank, (void)key, (void)unused;
    for (int64_t i = 0; i < dim[0]; i++)
        value[i] = (float)(1 - pow((double)i / (double)dim[0], power));
}

/* From a least value, `from`; it rises by 8 from -5, by 5 from -6. */
static void fill_decay(float *value, int rank, const int64_t *dim, uint64_t key, double power, double from)
{
    (void)key;
    int64_t channels = rank > 1 ? dim[0] * dim[1] : dim[0], last = channels > 1 ? channels - 1 : 1;
    for (int64_t i = 0; i < channels; i++)
        value[i] = (float)(from + (from < -5 ? 5 : 8) * pow((double)i / (double)last, power));
}

LsInit ls_rwkv_power_init(double power, double more) { return (LsInit){fill_power, power, more}; }
LsInit ls_rwkv_rest_init(double power) { return (LsInit){fill_rest, power, 0}; }
LsInit ls_rwkv_decay_init(double power) { return (LsInit){fill_decay, power, -5}; }
LsInit ls_rwkv_heads_decay_init(double power) { return (LsInit){fill_decay, power, -6}; }

double ls_rwkv_from_first(int64_t layer, int64_t layers)
{
    return layers > 1 ? (double)layer / (double)(layers - 1) : 0;
}
double ls_rwkv_to_last(int64_t layer, int64_t layers) { return 1 - (double)layer / (double)layers; }
