/* minGRU and minLSTM (Feng et al. 2024, "Were RNNs all we needed?"): recurrences whose gates see the input alone, so
 * that all steps are computed beside each other.
 *
 *     x = E[ids], or a dense layer of the samples' values
 *     x = x + conv(norm(x));  x = x + out(scan(in(norm(x))));  x = x + mlp(norm(x))      for each layer
 *
 * conv is causal, a channel by itself; scan is ls_linear_scan on expand times the width; mlp has GELU between two dense
 * layers. conv: 0 and mlp: 0 leave theirs out. */
#include "models/minimal.h"

#include "models/sequence_inputs.h"

#include <math.h>

const LsSetting ls_minimal_settings[] = {
    LS_SETTING_INT(LsMinimal, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(LsMinimal, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(LsMinimal, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(LsMinimal, layers, "3", 1, 1000, "blocks"),
    LS_SETTING_INT(LsMinimal, width, "384", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_FLOAT(LsMinimal, expand, "2", 0.01, 64, "channels of the recurrence over width; rounded up"),
    LS_SETTING_INT(LsMinimal, conv, "4", 0, 64, "taps of the causal convolution; 0: none"),
    LS_SETTING_INT(LsMinimal, mlp, "4", 0, 64, "channels inside the MLP over width; 0: none"),
    LS_SETTING_FLOAT(LsMinimal, dropout, "0", 0, 0.99, "probability of zeroing, in front of every residual addition"),
    LS_SETTING_FLOAT(LsMinimal, epsilon, "1e-5", 0, 1, "added to the mean square inside the norms"),
    LS_SETTING_CHOICE(LsMinimal, picture, "rows", LS_PICTURE_NAMES, "what a step of a picture is"),
    LS_SETTING_BOOL(LsMinimal, tied, "true", "a language model's head uses the token embedding"),
    {0}};

static LsTensor *norm(LsGraph *g, const LsMinimal *m, const char *name, LsTensor *x)
{
    ls_push(g, "%s", name);
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &m->width);
    ls_pop(g);
    return ls_rms_norm(g, x, scale, m->epsilon);
}

static LsTensor *add(LsGraph *g, const LsMinimal *m, LsTensor *x, LsTensor *y)
{
    return ls_add(g, x, ls_drop(g, y, m->dropout));
}

static LsTensor *conv(LsGraph *g, const LsMinimal *m, LsTensor *x)
{
    double bound = 1 / sqrt((double)m->conv);
    int64_t before[3] = {x->dim[0], m->conv - 1, m->width}, taps[2] = {m->width, m->conv};
    LsTensor *state = m->conv > 1 ? ls_carry(g, "conv_state", LS_REAL, 3, before) : NULL;
    LsTensor *w = ls_param(g, "conv.weight", ls_init_uniform(-bound, bound), 2, taps);
    LsTensor *b = ls_param(g, "conv.bias", ls_init_uniform(-bound, bound), 1, &m->width);
    return ls_causal_conv(g, x, w, b, state, LS_NO_ACTIVATION);
}

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *mixer(LsGraph *g, const LsMinimal *m, LsTensor *x, LsScanForm form, int64_t numbers)
{
    int64_t inner = (int64_t)ceil(m->expand * (double)m->width - 1e-9);
    LsTensor *state = ls_carry(g, "state", LS_ACC, 2, (int64_t[]){x->dim[0], inner});
    LsTensor *gates = ls_dense_uniform(g, "in", x, numbers * inner, LS_NO_ACTIVATION);
    return ls_dense_uniform(g, "out", ls_linear_scan(g, gates, NULL, state, form), m->width, LS_NO_ACTIVATION);
}

static LsTensor *mlp(LsGraph *g, const LsMinimal *m, LsTensor *x)
{
    ls_push(g, "mlp");
    x = ls_dense_uniform(g, "in", x, m->mlp * m->width, LS_GELU);
    x = ls_dense_uniform(g, "out", x, m->width, LS_NO_ACTIVATION);
    ls_pop(g);
    return x;
}

LsBody ls_minimal_build(LsGraph *g, const LsMinimal *m, const LsShape *shape, LsScanForm form, int64_t numbers)
{
    LsTensor *table,
        *x = ls_sequence_inputs(g, shape, m->picture, m->vocabulary, m->width, ls_init_normal(0.02), &table);
    if (!table)
        x = ls_dense_uniform(g, "input", x, m->width, LS_NO_ACTIVATION);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        if (m->conv > 0)
            x = add(g, m, x, conv(g, m, norm(g, m, "conv_norm", x)));
        x = add(g, m, x, mixer(g, m, norm(g, m, "norm", x), form, numbers));
        if (m->mlp > 0)
            x = add(g, m, x, mlp(g, m, norm(g, m, "mlp_norm", x)));
        ls_pop(g);
    }
    x = norm(g, m, "norm", x);
    if (!table || !ls_shape_field(shape, "targets"))
        return (LsBody){.features = x};
    if (!m->tied)
        table = ls_param(g, "head", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = table, .loss_classes = m->loss_vocabulary};
}
