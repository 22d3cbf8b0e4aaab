#include "models/blocks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

LsStatus ls_check_multiple(const char *name, int64_t value, const char *divisor_name, int64_t divisor)
{
    if (value % divisor == 0)
        return LS_OK;
    char values[64] = "", divisors[64] = "";
    int64_t below = divisor, above = divisor;
    while (value % below != 0)
        below--;
    while (above < value && value % above != 0)
        above++;
    if (value > divisor) {
        snprintf(values, sizeof values, "%lld or ", (long long)(value / divisor * divisor));
        snprintf(divisors, sizeof divisors, " or %lld", (long long)above);
    }
    return ls_fail(LS_USAGE, "%s %lld is not a multiple of %s %lld: %s %s%lld would fit, or %s %lld%s", name,
                   (long long)value, divisor_name, (long long)divisor, name, values,
                   (long long)((value / divisor + 1) * divisor), divisor_name, (long long)below, divisors);
}

LsTensor *ls_stream_position(LsGraph *g, const LsShape *shape)
{
    if (ls_graph_mode(g) == LS_DECODE)
        return ls_input(g, "position", LS_I32, 1, (int64_t[]){shape->batch});
    return ls_shape_documents(g, shape) ? ls_shape_input(g, shape, "positions") : NULL;
}

static LsTensor *activate(LsGraph *g, LsActivation activation, LsTensor *x)
{
    switch (activation) {
    case LS_GELU:
    case LS_GELU_TANH:
        return ls_gelu(g, x, activation == LS_GELU_TANH);
    case LS_SILU:
        return ls_silu(g, x);
    case LS_RELU:
        return ls_relu(g, x);
    default:
        return x;
    }
}

/* x (W + scale B A)^T + b, activated. B is zero at first, A as PyTorch's linear layers start, as in the paper's
 * code. */
static LsTensor *adapted(LsGraph *g, const LsAdapters *adapters, LsTensor *x, LsTensor *w, LsTensor *b,
                         LsActivation activation)
{
    int64_t inputs = w->dim[1], outputs = w->dim[0];
    double bound = 1 / sqrt((double)(inputs > 0 ? inputs : 1));
    LsTensor *down = ls_param_flags(g, "lora_a", ls_init_uniform(-bound, bound), LS_ADAPTER | LS_MATRIX, 2,
                                    (int64_t[]){adapters->rank, inputs});
    LsTensor *up = ls_param_flags(g, "lora_b", ls_init_constant(0), LS_ADAPTER | LS_MATRIX, 2,
                                  (int64_t[]){outputs, adapters->rank});
    LsTensor *added = ls_linear(g, ls_linear(g, x, down, NULL, LS_NO_ACTIVATION), up, NULL, LS_NO_ACTIVATION);
    LsTensor *y = ls_linear(g, x, w, b, LS_NO_ACTIVATION);
    return activate(g, activation, ls_add(g, y, ls_scale(g, added, adapters->scale)));
}

static LsTensor *dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, const LsInit *bias,
                       LsActivation activation)
{
    ls_push(g, "%s", name);
    LsTensor *w = ls_param_flags(g, "weight", init, LS_MATRIX, 2, (int64_t[]){outputs, x->dim[x->rank - 1]});
    LsTensor *b = bias ? ls_param(g, "bias", *bias, 1, &outputs) : NULL;
    const LsAdapters *adapters = ls_graph_adapters_here(g);
    LsTensor *y = adapters ? adapted(g, adapters, x, w, b, activation) : ls_linear(g, x, w, b, activation);
    ls_pop(g);
    return y;
}

LsTensor *ls_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, bool bias,
                   LsActivation activation)
{
    LsInit zero = ls_init_constant(0);
    return dense(g, name, x, outputs, init, bias ? &zero : NULL, activation);
}

LsTensor *ls_dense_uniform(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsActivation activation)
{
    double bound = 1 / sqrt((double)(x->dim[x->rank - 1] > 0 ? x->dim[x->rank - 1] : 1));
    LsInit init = ls_init_uniform(-bound, bound);
    return dense(g, name, x, outputs, init, &init, activation);
}

LsTensor *ls_activation(LsGraph *g, const char *name, LsTensor *x)
{
    if (strcmp(name, "relu") == 0)
        return ls_relu(g, x);
    if (strcmp(name, "gelu") == 0 || strcmp(name, "gelu_tanh") == 0)
        return ls_gelu(g, x, strcmp(name, "gelu_tanh") == 0);
    if (strcmp(name, "silu") == 0)
        return ls_silu(g, x);
    if (strcmp(name, "tanh") == 0)
        return ls_tanh(g, x);
    if (strcmp(name, "sigmoid") == 0)
        return ls_sigmoid(g, x);
    return x;
}

LsActivation ls_dense_activation(const char *name)
{
    static const struct {
        const char *name;
        LsActivation activation;
    } names[] = {{"gelu_tanh", LS_GELU_TANH}, {"gelu", LS_GELU}, {"relu", LS_RELU}, {"silu", LS_SILU}};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].activation;
    return LS_NO_ACTIVATION;
}

LsTensor *ls_flat(LsGraph *g, LsTensor *x)
{
    if (x->rank == 2)
        return x;
    return ls_reshape(g, x, 2, (int64_t[]){x->dim[0], x->count / (x->dim[0] > 0 ? x->dim[0] : 1)});
}

LsTensor *ls_conv_uniform(LsGraph *g, const char *name, LsTensor *x, int64_t maps, int64_t size, int64_t stride,
                          int64_t padding, LsActivation activation)
{
    int64_t channels = x->dim[x->rank - 1];
    double bound = 1 / sqrt((double)(size * size * (channels > 0 ? channels : 1)));
    LsInit init = ls_init_uniform(-bound, bound);
    ls_push(g, "%s", name);
    LsTensor *w = ls_param(g, "weight", init, 4, (int64_t[]){maps, size, size, channels});
    LsTensor *b = ls_param(g, "bias", init, 1, &maps);
    LsTensor *y = ls_conv2d(g, x, w, b, stride, padding, 1, activation);
    ls_pop(g);
    return y;
}

LsTensor *ls_layer_norm_block(LsGraph *g, const char *name, LsTensor *x, double epsilon)
{
    int64_t channels = x->dim[x->rank - 1];
    ls_push(g, "%s", name);
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &channels);
    LsTensor *bias = ls_param_flags(g, "bias", ls_init_constant(0), LS_PRECISE | LS_NO_DECAY, 1, &channels);
    ls_pop(g);
    return ls_layer_norm(g, x, scale, bias, epsilon);
}

LsTensor *ls_drop(LsGraph *g, LsTensor *x, double probability)
{
    return probability > 0 ? ls_dropout(g, x, probability) : x;
}

LsTensor *ls_batch_norm_block(LsGraph *g, const char *name, LsTensor *x)
{
    int64_t channels = x->dim[x->rank - 1];
    ls_push(g, "%s", name);
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &channels);
    LsTensor *bias = ls_param_flags(g, "bias", ls_init_constant(0), LS_PRECISE | LS_NO_DECAY, 1, &channels);
    LsTensor *mean = ls_running(g, "mean", ls_init_constant(0), 1, &channels);
    LsTensor *variance = ls_running(g, "variance", ls_init_constant(1), 1, &channels);
    LsTensor *y = ls_batch_norm(g, x, scale, bias, mean, variance, 1e-5, 0.1);
    ls_pop(g);
    return y;
}

LsTensor *ls_conv_norm(LsGraph *g, const char *name, LsTensor *x, int64_t maps, int64_t size, int64_t stride,
                       int64_t padding)
{
    ls_push(g, "%s", name);
    LsInit init = ls_init_normal(sqrt(2.0 / (double)(size * size * maps)));
    LsTensor *w = ls_param(g, "weight", init, 4, (int64_t[]){maps, size, size, x->dim[x->rank - 1]});
    LsTensor *y = ls_batch_norm_block(g, "norm", ls_conv2d(g, x, w, NULL, stride, padding, 1, LS_NO_ACTIVATION));
    ls_pop(g);
    return y;
}
