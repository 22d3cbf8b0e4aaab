/* Transformer-XL (Dai et al. 2019): segments follow one another, and each layer remembers what it was given for the
 * last `memory` tokens before a segment.
 *
 *     x = sqrt(C) E[ids]
 *     m = (what the layer was given before, x)      k, v = m W_kv      q = x W_q
 *     s_tj = ((q_t + u) . k_j + (q_t + v) . W_r R(t - j)) / sqrt(D)  for the j up to t,  R sinusoids of the distance
 *     x = norm(x + softmax(s) v W_o);  x = norm(x + MLP(x))         for each layer
 *     logits = x E^T
 *
 * The memory goes from segment to segment as a carry: with train.carry from step to step, without a gradient, as in the
 * paper; with train.segment inside a sequence, with one. A stream that begins remembers nothing.
 *
 * Decoding keeps keys and values in the place of what they are made of, which comes to the same, of as many tokens as
 * the last one of a segment sees: memory and context. It goes on for ever in the same memory. */
#include "models/positions.h"

#include <math.h>
#include <string.h>

typedef struct TransformerXl {
    int64_t vocabulary, loss_vocabulary, context, memory, layers, heads, width, hidden;
    double dropout, epsilon, init_std;
    char *norm;
    bool tied;
} TransformerXl;

static const LsSetting settings[] = {
    LS_SETTING_INT(TransformerXl, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(TransformerXl, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(TransformerXl, context, "128", 1, 1 << 24, "tokens of a segment by default; no limit in use"),
    LS_SETTING_INT(TransformerXl, memory, "128", 0, 1 << 24,
                   "tokens before a segment that are remembered (train.carry, train.segment); evaluation and "
                   "generation may take more"),
    LS_SETTING_INT(TransformerXl, layers, "12", 1, 1000, "layers"),
    LS_SETTING_INT(TransformerXl, heads, "8", 1, 1024, "attention heads; must divide width"),
    LS_SETTING_INT(TransformerXl, width, "512", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_INT(TransformerXl, hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),
    LS_SETTING_FLOAT(
        TransformerXl, dropout, "0.1", 0, 0.99,
        "probability of zeroing, after the embedding, in front of every residual addition and of the head"),
    LS_SETTING_FLOAT(TransformerXl, epsilon, "1e-5", 0, 1, "added to the variance inside the norms"),
    LS_SETTING_CHOICE(TransformerXl, norm, "post", "post|pre",
                      "norms after each part, as in the paper, or in front of it"),
    LS_SETTING_BOOL(TransformerXl, tied, "true", "the head uses the token embedding"),
    LS_SETTING_FLOAT(TransformerXl, init_std, "0.02", 0, 10, "standard deviation of initial weights"),
    {0}};

static LsStatus check(const void *config)
{
    const TransformerXl *m = config;
    LS_TRY(ls_check_multiple("model.width", m->width, "model.heads", m->heads));
    if (m->width % 2)
        return ls_fail(LS_USAGE, "model.width %lld is odd: distances have as many sines as cosines",
                       (long long)m->width);
    return LS_OK;
}

/* What the parts of a layer need besides x. */
typedef struct Context {
    const TransformerXl *m;
    int64_t memory;      /* tokens to remember, where a graph carries anything */
    LsTensor *distances; /* (keys, C): R, the same for all layers; NULL: not made yet */
} Context;

static bool norms_first(const TransformerXl *m) { return strcmp(m->norm, "pre") == 0; }

static LsTensor *dense(LsGraph *g, const TransformerXl *m, const char *name, LsTensor *x, int64_t outputs)
{
    return ls_dense(g, name, x, outputs, ls_init_normal(m->init_std), false, LS_NO_ACTIVATION);
}

/* x: (B, T, C), what the layer was given -> (B, T, C) */
static LsTensor *attention(LsGraph *g, Context *c, LsTensor *x)
{
    const TransformerXl *m = c->m;
    int64_t batch = x->dim[0], width = m->width;
    bool decodes = ls_graph_mode(g) == LS_DECODE;
    LsAttention how = {.heads = m->heads, .mask = LS_MASK_CAUSAL};
    LsRelative relative = {0};
    LsTensor *memory = NULL, *from = norms_first(m) ? ls_layer_norm_block(g, "norm", x, m->epsilon) : x;
    if (c->memory > 0) {
        memory = ls_carry(g, "memory", LS_REAL, 3, (int64_t[]){batch, c->memory, decodes ? 2 * width : width});
        relative.seen = ls_carry(g, "seen", LS_ACC, 1, &batch);
    }
    LsTensor *q = ls_xl_queries(g, dense(g, m, "query", from, width), m->init_std, &relative);
    if (memory && !decodes) {
        from = ls_segment_memory(g, x, memory);
        from = norms_first(m) ? ls_layer_norm_block(g, "norm", from, m->epsilon) : from;
    }
    how.kv = dense(g, m, "key_value", from, 2 * width);
    if (memory && decodes)
        how.kv = ls_segment_memory(g, how.kv, memory);
    if (!c->distances)
        c->distances = ls_sinusoids(g, how.kv->dim[1], width, 0, 1, true);
    relative.table = dense(g, m, "relative", c->distances, width);
    return dense(g, m, "out", ls_relative_attention(g, q, &how, &relative), width);
}

static LsTensor *mlp(LsGraph *g, Context *c, LsTensor *x)
{
    const TransformerXl *m = c->m;
    LsInit init = ls_init_normal(m->init_std);
    x = norms_first(m) ? ls_layer_norm_block(g, "norm", x, m->epsilon) : x;
    x = ls_dense(g, "in", x, m->hidden ? m->hidden : 4 * m->width, init, true, LS_RELU);
    return ls_dense(g, "out", x, m->width, init, true, LS_NO_ACTIVATION);
}

/* x + part(x), normalised where norms come after. */
static LsTensor *residual(LsGraph *g, Context *c, const char *name, LsTensor *x,
                          LsTensor *(*part)(LsGraph *g, Context *c, LsTensor *x))
{
    ls_push(g, "%s", name);
    LsTensor *y = ls_add(g, x, ls_drop(g, part(g, c, x), c->m->dropout));
    y = norms_first(c->m) ? y : ls_layer_norm_block(g, "norm", y, c->m->epsilon);
    ls_pop(g);
    return y;
}

static int64_t tokens_to_remember(const LsGraph *g, const TransformerXl *m, const LsShape *shape)
{
    if (ls_graph_mode(g) != LS_DECODE)
        return m->memory;
    int64_t most = m->memory + m->context - 1, room = shape->room > 0 ? shape->room : most;
    most = most < room ? most : room;
    return most > 1 ? most : 1;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const TransformerXl *m = config;
    Context c = {.m = m, .memory = tokens_to_remember(g, m, shape)};
    LsInit init = ls_init_normal(m->init_std);
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    LsTensor *table = ls_param(g, "token_embedding", init, 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x =
        ls_drop(g, ls_scale(g, ls_embedding(g, table, ids), sqrt((double)m->width)), m->dropout); /* (B, T, C) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = residual(g, &c, "attention", x, attention);
        x = residual(g, &c, "mlp", x, mlp);
        ls_pop(g);
    }
    x = ls_drop(g, norms_first(m) ? ls_layer_norm_block(g, "norm", x, m->epsilon) : x, m->dropout);
    LsTensor *head = m->tied ? table : ls_param(g, "head", init, 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head, .loss_classes = m->loss_vocabulary};
}

const LsModel ls_model_transformer_xl = {
    .name = "transformer_xl",
    .summary = "decoder that remembers the segments before: Transformer-XL",
    .paper = "Dai et al. 2019, Transformer-XL: attentive language models beyond a fixed-length context",
    .settings = settings,
    .config_bytes = sizeof(TransformerXl),
    .small =
        "context=16 memory=5 layers=2 width=8 heads=2 dropout=0; context=16 memory=0 layers=1 width=6 heads=1 norm=pre "
        "hidden=5 dropout=0.2 tied=false",
    .check = check,
    .build = build,
    .keeps_segments = true,
};
