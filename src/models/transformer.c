/* The Transformer, encoder and decoder (Vaswani et al. 2017), by default with learned positions P (positions.h).
 *
 *     h = E_s[source] + P;  h = norm(h + Attention(h));  h = norm(h + MLP(h))                  for each layer
 *     x = E_t[ids] + P;  x = norm(x + Attention(x));  x = norm(x + Attention(x, h));  x = norm(x + MLP(x))
 *     logits = x E_t^T
 *
 * norm: post, as in the paper; or pre: in front of each part instead, and after the last layer (Xiong et al. 2020). */
#include "models/positions.h"

#include <math.h>
#include <string.h>

typedef struct Transformer {
    int64_t context, layers, heads, width, hidden, max_distance;
    double dropout, epsilon, rotary_base;
    char *norm, *position;
} Transformer;

static const LsSetting settings[] = {
    LS_SETTING_INT(Transformer, context, "128", 1, 1 << 24, "longest source, and longest target, in tokens"),
    LS_SETTING_INT(Transformer, layers, "3", 1, 1000, "layers of the encoder, and of the decoder"),
    LS_SETTING_INT(Transformer, heads, "4", 1, 1024, "attention heads; must divide width"),
    LS_SETTING_INT(Transformer, width, "256", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(Transformer, hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),
    LS_SETTING_FLOAT(Transformer, dropout, "0.1", 0, 0.99,
                     "probability of zeroing, after the embedding and in front of every residual addition"),
    LS_SETTING_FLOAT(Transformer, epsilon, "1e-5", 0, 1, "added to the variance inside the norms"),
    LS_SETTING_CHOICE(Transformer, norm, "post", "post|pre",
                      "norms after each part, as in the paper, or in front of it"),
    LS_SETTING_CHOICE(Transformer, position, "learned", LS_POSITION_KINDS,
                      "how tokens know their position, in source and target each; sinusoidal: as in the paper"),
    LS_SETTING_INT(Transformer, max_distance, "64", 1, 1 << 20, LS_MAX_DISTANCE_HELP),
    LS_SETTING_FLOAT(Transformer, rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),
    {0}};

static LsPositions positions_of(const Transformer *m)
{
    return (LsPositions){
        .kind = m->position, .max_distance = m->max_distance, .rotary.base = m->rotary_base, .init_std = 0.02};
}

static LsStatus check(const void *config)
{
    const Transformer *m = config;
    LS_TRY(ls_check_multiple("model.width", m->width, "model.heads", m->heads));
    LsPositions positions = positions_of(m);
    return ls_positions_check(&positions, "model.", m->width, m->width / m->heads);
}

/* Arguments that the parts of a layer take besides x. */
typedef struct Context {
    const Transformer *m;
    LsTensor *lengths;  /* of the source */
    LsTensor *memory;   /* (B, S, C): the encoder's result; NULL in the encoder */
    LsTensor *position; /* of the target, while decoding */
    bool shows;         /* this layer's cross attention is the output "attention" */
} Context;

/* N(0, 2 / (inputs + outputs)): Glorot and Bengio 2010. */
static LsInit glorot(int64_t inputs, int64_t outputs) { return ls_init_normal(sqrt(2 / (double)(inputs + outputs))); }

static LsTensor *dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsActivation activation)
{
    return ls_dense(g, name, x, outputs, glorot(x->dim[x->rank - 1], outputs), true, activation);
}

static LsTensor *self_attention(LsGraph *g, const Context *c, LsTensor *x)
{
    LsAttention how = {.heads = c->m->heads, .mask = c->memory ? LS_MASK_CAUSAL : LS_MASK_NONE};
    LsTensor *qkv = dense(g, "qkv", x, 3 * c->m->width, LS_NO_ACTIVATION);
    if (!c->memory)
        how.lengths = c->lengths;
    if (c->position) {
        how.position = c->position;
        how.cache = ls_state(g, "cache", LS_REAL, 3, (int64_t[]){x->dim[0], c->m->context, 2 * c->m->width});
    }
    LsPositions positions = positions_of(c->m);
    return dense(g, "out", ls_positions_attention(g, &positions, qkv, &how), c->m->width, LS_NO_ACTIVATION);
}

/* Queries, keys and values are drawn as the one layer (3 C, C) that self-attention has, as PyTorch does it. */
static LsTensor *cross_attention(LsGraph *g, const Context *c, LsTensor *x)
{
    int64_t width = c->m->width;
    LsInit init = glorot(width, 3 * width);
    LsTensor *q = ls_dense(g, "query", x, width, init, true, LS_NO_ACTIVATION);
    LsTensor *kv = ls_dense(g, "memory", c->memory, 2 * width, init, true, LS_NO_ACTIVATION);
    LsAttention how = {.heads = c->m->heads, .mask = LS_MASK_NONE, .kv = kv, .lengths = c->lengths};
    if (c->shows)
        ls_output(g, "attention", ls_attention_weights(g, q, &how));
    return dense(g, "out", ls_attention(g, q, &how), c->m->width, LS_NO_ACTIVATION);
}

static LsTensor *mlp(LsGraph *g, const Context *c, LsTensor *x)
{
    LsTensor *h = dense(g, "in", x, c->m->hidden ? c->m->hidden : 4 * c->m->width, LS_RELU);
    return dense(g, "out", h, c->m->width, LS_NO_ACTIVATION);
}

/* x + part(x), with the norm where it belongs. */
static LsTensor *residual(LsGraph *g, const Context *c, const char *name, LsTensor *x,
                          LsTensor *(*part)(LsGraph *g, const Context *c, LsTensor *x))
{
    bool before = strcmp(c->m->norm, "pre") == 0;
    ls_push(g, "%s", name);
    LsTensor *y = part(g, c, before ? ls_layer_norm_block(g, "norm", x, c->m->epsilon) : x);
    y = ls_add(g, x, ls_drop(g, y, c->m->dropout));
    y = before ? y : ls_layer_norm_block(g, "norm", y, c->m->epsilon);
    ls_pop(g);
    return y;
}

static LsTensor *layers_of(LsGraph *g, const Context *context, LsTensor *x)
{
    Context c = *context;
    for (int64_t i = 0; i < c.m->layers; i++) {
        c.shows = c.position && i + 1 == c.m->layers;
        ls_push(g, "layer.%lld", (long long)i);
        x = residual(g, &c, "attention", x, self_attention);
        if (c.memory)
            x = residual(g, &c, "cross", x, cross_attention);
        x = residual(g, &c, "mlp", x, mlp);
        ls_pop(g);
    }
    return strcmp(c.m->norm, "pre") == 0 ? ls_layer_norm_block(g, "norm", x, c.m->epsilon) : x;
}

/* Tokens and positions: (B, T, C). The table is drawn from N(0, 1 / C), as suits the head, which uses it as it
 * stands; the paper's factor sqrt(C) in front of the sum comes with sinusoids alone. */
static LsTensor *embed(LsGraph *g, const Context *c, const LsShape *shape, const char *field, LsTensor **table)
{
    const LsField *ids = ls_shape_field(shape, field);
    int64_t classes = ids && ids->classes > 0 ? ids->classes : 1, width = c->m->width;
    LsTensor *input = ls_shape_input(g, shape, field);
    LsPositions positions = positions_of(c->m);
    ls_positions_fit(g, &positions, input->dim[1], c->m->context);
    *table = ls_param(g, "embedding", ls_init_normal(1 / sqrt((double)width)), 2, (int64_t[]){classes, width});
    return ls_drop(g,
                   ls_positions_embed(g, &positions, ls_embedding(g, *table, input), "position", ls_init_normal(0.02),
                                      c->m->context, c->position),
                   c->m->dropout);
}

static LsTensor *encode(LsGraph *g, const Transformer *m, const LsShape *shape, LsTensor *lengths)
{
    Context c = {.m = m, .lengths = lengths};
    LsTensor *table;
    ls_push(g, "encoder");
    LsTensor *x = layers_of(g, &c, embed(g, &c, shape, "source", &table));
    ls_pop(g);
    return x;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Transformer *m = config;
    bool apart = shape->part == LS_PART_DECODER;
    Context c = {.m = m, .lengths = ls_shape_input(g, shape, "source_length")};
    if (apart)
        c.memory = ls_input(g, "memory", LS_REAL, 3, (int64_t[]){shape->batch, shape->memory, m->width});
    else
        c.memory = encode(g, m, shape, c.lengths);
    if (shape->part == LS_PART_ENCODER) {
        ls_output(g, "memory", c.memory);
        return (LsBody){0};
    }
    if (apart)
        c.position = ls_stream_position(g, shape);
    LsTensor *table;
    ls_push(g, "decoder");
    LsTensor *x = layers_of(g, &c, embed(g, &c, shape, "ids", &table));
    ls_pop(g);
    return (LsBody){.features = x, .table = table, .source = true};
}

const LsModel ls_model_transformer = {
    .name = "transformer",
    .summary = "Transformer of encoder and decoder: translation",
    .paper = "Vaswani et al. 2017, Attention is all you need",
    .settings = settings,
    .config_bytes = sizeof(Transformer),
    .fields = "source T of 11, source_length int, ids T of 11, length int",
    .small =
        "context=16 layers=2 width=8 heads=2 dropout=0; context=16 layers=1 width=6 heads=3 norm=pre dropout=0.1 "
        "hidden=5 position=sinusoidal; context=16 layers=1 width=8 heads=2 position=xl dropout=0; context=16 layers=1 "
        "width=6 heads=3 position=alibi dropout=0",
    .check = check,
    .build = build,
};
