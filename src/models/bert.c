/* BERT (Devlin et al. 2019): an encoder of post-norm Transformer blocks in which every token sees all others.
 *
 *     x = norm(E[ids] + P[t] + S[types])
 *     x = norm(x + Attention(x) W_o);  x = norm(x + gelu(x W_1) W_2)      for each layer
 *
 * Samples that have a field "length" hold padding from there on, which no token sees; a field "types" tells the first
 * text of a sample from the second. */
#include "models/blocks.h"

#include <string.h>

typedef struct Bert {
    int64_t vocabulary, context, types, layers, heads, width, hidden;
    double dropout, epsilon, init_std;
    char *pool;
} Bert;

static const LsSetting settings[] = {
    LS_SETTING_INT(Bert, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Bert, context, "512", 1, 1 << 24, "longest sequence, in tokens"),
    LS_SETTING_INT(Bert, types, "2", 1, 1 << 20, "kinds of tokens that a field \"types\" tells apart"),
    LS_SETTING_INT(Bert, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Bert, heads, "12", 1, 1024, "attention heads; must divide width"),
    LS_SETTING_INT(Bert, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Bert, hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),
    LS_SETTING_FLOAT(Bert, dropout, "0.1", 0, 0.99,
                     "probability of zeroing, after the embedding and in front of every residual addition"),
    LS_SETTING_FLOAT(Bert, epsilon, "1e-12", 0, 1, "added to the variance inside the norms"),
    LS_SETTING_FLOAT(Bert, init_std, "0.02", 0, 10, "standard deviation of initial weights"),
    LS_SETTING_CHOICE(Bert, pool, "none", "none|first",
                      "first: one vector a sample, tanh of a dense layer over the first token; none: one a token"),
    {0}};

static LsStatus check(const void *config)
{
    const Bert *m = config;
    if (m->width % m->heads)
        return ls_fail(LS_USAGE, "model.width %lld is not a multiple of model.heads %lld", (long long)m->width,
                       (long long)m->heads);
    return LS_OK;
}

static LsTensor *norm(LsGraph *g, const Bert *m, const char *name, LsTensor *x)
{
    ls_push(g, "%s", name);
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &m->width);
    LsTensor *bias = ls_param_flags(g, "bias", ls_init_constant(0), LS_PRECISE | LS_NO_DECAY, 1, &m->width);
    x = ls_layer_norm(g, x, scale, bias, m->epsilon);
    ls_pop(g);
    return x;
}

static LsTensor *dense(LsGraph *g, const Bert *m, const char *name, LsTensor *x, int64_t outputs, LsActivation act)
{
    return ls_dense(g, name, x, outputs, ls_init_normal(m->init_std), true, act);
}

static LsTensor *drop(LsGraph *g, const Bert *m, LsTensor *x)
{
    return m->dropout > 0 ? ls_dropout(g, x, m->dropout) : x;
}

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *block(LsGraph *g, const Bert *m, LsTensor *x, LsTensor *lengths)
{
    LsAttention how = {.heads = m->heads, .mask = LS_MASK_NONE, .lengths = lengths};
    ls_push(g, "attention");
    LsTensor *y = ls_attention(g, dense(g, m, "qkv", x, 3 * m->width, LS_NO_ACTIVATION), &how);
    y = dense(g, m, "out", y, m->width, LS_NO_ACTIVATION);
    ls_pop(g);
    x = norm(g, m, "norm_1", ls_add(g, x, drop(g, m, y)));
    ls_push(g, "mlp");
    y = dense(g, m, "in", x, m->hidden ? m->hidden : 4 * m->width, LS_GELU);
    y = dense(g, m, "out", y, m->width, LS_NO_ACTIVATION);
    ls_pop(g);
    return norm(g, m, "norm_2", ls_add(g, x, drop(g, m, y)));
}

static LsTensor *embed(LsGraph *g, const Bert *m, const LsShape *shape, LsTensor *table)
{
    LsInit init = ls_init_normal(m->init_std);
    LsTensor *x = ls_embedding(g, table, ls_shape_input(g, shape, "ids"));
    x = ls_position_embedding(g, x, ls_param(g, "position_embedding", init, 2, (int64_t[]){m->context, m->width}),
                              NULL);
    if (ls_shape_field(shape, "types")) {
        LsTensor *types = ls_param(g, "type_embedding", init, 2, (int64_t[]){m->types, m->width});
        x = ls_add(g, x, ls_embedding(g, types, ls_shape_input(g, shape, "types")));
    }
    return drop(g, m, norm(g, m, "norm", x));
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Bert *m = config;
    LsTensor *lengths = ls_shape_field(shape, "length") ? ls_shape_input(g, shape, "length") : NULL;
    if (shape->sequence > m->context)
        ls_graph_fail(g, LS_USAGE, "a sequence of %lld tokens is longer than model.context %lld",
                      (long long)shape->sequence, (long long)m->context);
    LsTensor *table =
        ls_param(g, "token_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = embed(g, m, shape, table); /* (B, T, C) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = block(g, m, x, lengths);
        ls_pop(g);
    }
    if (strcmp(m->pool, "first") == 0)
        x = ls_tanh(g, dense(g, m, "pooler", ls_pool_global(g, x, lengths, LS_POOL_FIRST), m->width, LS_NO_ACTIVATION));
    return (LsBody){.features = x, .table = table, .both_ways = true};
}

const LsModel ls_model_bert = {
    .name = "bert",
    .summary = "Transformer encoder of texts, each token of which sees all others",
    .paper = "Devlin et al. 2019, BERT: pre-training of deep bidirectional Transformers for language understanding",
    .settings = settings,
    .config_bytes = sizeof(Bert),
    .small = "context=16 layers=2 width=12 heads=3 dropout=0 epsilon=1e-5;"
             "context=7 layers=1 width=8 heads=2 hidden=5 pool=first dropout=0.2 epsilon=1e-5",
    .check = check,
    .build = build,
};
