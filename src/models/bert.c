/* BERT (Devlin et al. 2019): an encoder of post-norm Transformer blocks in which every token sees all others.
 *
 *     x = norm(E[ids] + P[t] + S[types])                                   P or other positions: positions.h
 *     x = norm(x + Attention(x) W_o);  x = norm(x + act(x W_1) W_2)      for each layer
 *
 * Samples that have a field "length" hold padding from there on, which no token sees; a field "types" tells the first
 * text of a sample from the second. */
#include "models/positions.h"

#include <string.h>

typedef struct Bert {
    int64_t vocabulary, context, types, layers, heads, width, hidden, max_distance;
    double dropout, epsilon, init_std, rotary_base;
    char *pool, *activation, *position;
    bool first_type;
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
    LS_SETTING_CHOICE(Bert, position, "learned", LS_POSITION_KINDS_BOTH_WAYS, "how tokens know their position"),
    LS_SETTING_INT(Bert, max_distance, "64", 1, 1 << 20, LS_MAX_DISTANCE_HELP),
    LS_SETTING_FLOAT(Bert, rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),
    LS_SETTING_CHOICE(Bert, pool, "none", "none|first",
                      "first: one vector a sample, tanh of a dense layer over the first token; none: one a token"),
    LS_SETTING_CHOICE(Bert, activation, "gelu", LS_DENSE_ACTIVATION_NAMES, "inside the MLP"),
    LS_SETTING_BOOL(Bert, first_type, "false",
                    "tokens of samples without a field \"types\" are of the first kind, as published weights have it; "
                    "false: of none"),
    {0}};

static LsPositions positions_of(const Bert *m)
{
    return (LsPositions){
        .kind = m->position, .max_distance = m->max_distance, .rotary.base = m->rotary_base, .init_std = m->init_std};
}

static LsStatus check(const void *config)
{
    const Bert *m = config;
    if (m->width % m->heads)
        return ls_fail(LS_USAGE, "model.width %lld is not a multiple of model.heads %lld", (long long)m->width,
                       (long long)m->heads);
    LsPositions positions = positions_of(m);
    return ls_positions_check(&positions, "model.", m->width, m->width / m->heads);
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
    LsPositions positions = positions_of(m);
    LsTensor *y = dense(g, m, "qkv", x, 3 * m->width, LS_NO_ACTIVATION);
    y = ls_positions_attention(g, &positions, y, &how);
    y = dense(g, m, "out", y, m->width, LS_NO_ACTIVATION);
    ls_pop(g);
    x = norm(g, m, "norm_1", ls_add(g, x, drop(g, m, y)));
    ls_push(g, "mlp");
    y = dense(g, m, "in", x, m->hidden ? m->hidden : 4 * m->width, ls_dense_activation(m->activation));
    y = dense(g, m, "out", y, m->width, LS_NO_ACTIVATION);
    ls_pop(g);
    return norm(g, m, "norm_2", ls_add(g, x, drop(g, m, y)));
}

/* x: (B, T, C), plus the vector of its tokens' kinds. */
static LsTensor *add_types(LsGraph *g, const Bert *m, const LsShape *shape, LsTensor *x)
{
    bool given = ls_shape_field(shape, "types");
    if (!given && !m->first_type)
        return x;
    LsTensor *table = ls_param(g, "type_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->types, m->width});
    if (given)
        return ls_add(g, x, ls_embedding(g, table, ls_shape_input(g, shape, "types")));
    /* each token is at the first place of a sequence of its own, and gets the table's first row */
    LsTensor *tokens = ls_reshape(g, x, 3, (int64_t[]){x->dim[0] * x->dim[1], 1, m->width});
    return ls_reshape(g, ls_position_embedding(g, tokens, table, NULL), 3, x->dim);
}

static LsTensor *embed(LsGraph *g, const Bert *m, const LsShape *shape, LsTensor *table)
{
    LsPositions positions = positions_of(m);
    LsTensor *x = ls_embedding(g, table, ls_shape_input(g, shape, "ids"));
    x = ls_positions_embed(g, &positions, x, "position_embedding", ls_init_normal(m->init_std), m->context, NULL);
    return drop(g, m, norm(g, m, "norm", add_types(g, m, shape, x)));
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Bert *m = config;
    LsTensor *lengths = ls_shape_field(shape, "length") ? ls_shape_input(g, shape, "length") : NULL;
    LsPositions positions = positions_of(m);
    ls_positions_fit(g, &positions, shape->sequence, m->context);
    LsTensor *table =
        ls_param(g, "token_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = embed(g, m, shape, table); /* (B, T, C) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = block(g, m, x, lengths);
        ls_pop(g);
    }
    LsBody body = {.features = x, .table = table, .both_ways = true};
    if (strcmp(m->pool, "first") == 0) {
        LsTensor *first = ls_pool_global(g, x, lengths, LS_POOL_FIRST);
        body.steps = x;
        body.features = ls_tanh(g, dense(g, m, "pooler", first, m->width, LS_NO_ACTIVATION));
    }
    return body;
}

/* ---- The layout of transformers' BERT ---------------------------------------------------------------------------- */

#define LAYER "bert.encoder.layer.{i}."

static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "bert.embeddings.word_embeddings.weight"},
    {"position_embedding", "bert.embeddings.position_embeddings.weight"},
    {"type_embedding", "bert.embeddings.token_type_embeddings.weight", .absent = "types|width"},
    {"norm.scale", "bert.embeddings.LayerNorm.weight", .also = "bert.embeddings.LayerNorm.gamma"},
    {"norm.bias", "bert.embeddings.LayerNorm.bias", .also = "bert.embeddings.LayerNorm.beta"},
    {"layer.{i}.attention.qkv.weight", LAYER "attention.self.query.weight", .part = 0, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.bias", LAYER "attention.self.query.bias", .part = 0, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.weight", LAYER "attention.self.key.weight", .part = 1, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.bias", LAYER "attention.self.key.bias", .part = 1, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.weight", LAYER "attention.self.value.weight", .part = 2, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.bias", LAYER "attention.self.value.bias", .part = 2, .shares = "1|1|1"},
    {"layer.{i}.attention.out.weight", LAYER "attention.output.dense.weight"},
    {"layer.{i}.attention.out.bias", LAYER "attention.output.dense.bias"},
    {"layer.{i}.norm_1.scale", LAYER "attention.output.LayerNorm.weight",
     .also = LAYER "attention.output.LayerNorm.gamma"},
    {"layer.{i}.norm_1.bias", LAYER "attention.output.LayerNorm.bias", .also = LAYER "attention.output.LayerNorm.beta"},
    {"layer.{i}.mlp.in.weight", LAYER "intermediate.dense.weight"},
    {"layer.{i}.mlp.in.bias", LAYER "intermediate.dense.bias"},
    {"layer.{i}.mlp.out.weight", LAYER "output.dense.weight"},
    {"layer.{i}.mlp.out.bias", LAYER "output.dense.bias"},
    {"layer.{i}.norm_2.scale", LAYER "output.LayerNorm.weight", .also = LAYER "output.LayerNorm.gamma"},
    {"layer.{i}.norm_2.bias", LAYER "output.LayerNorm.bias", .also = LAYER "output.LayerNorm.beta"},
    {"pooler.weight", "bert.pooler.dense.weight"},
    {"pooler.bias", "bert.pooler.dense.bias"},
    {NULL, "bert.embeddings.position_ids"}, /* 0, 1, 2, ..., which older files carry */
    {0}};

/* Published files have what another head needs besides. */
#define NO_POOLER                                                                                                      \
    {NULL, "bert.pooler.dense.weight"}, { NULL, "bert.pooler.dense.bias" }

static const LsHfTensor hf_masked[] = {
    {"head.transform.weight", "cls.predictions.transform.dense.weight"},
    {"head.transform.bias", "cls.predictions.transform.dense.bias"},
    {"head.norm.scale", "cls.predictions.transform.LayerNorm.weight",
     .also = "cls.predictions.transform.LayerNorm.gamma"},
    {"head.norm.bias", "cls.predictions.transform.LayerNorm.bias", .also = "cls.predictions.transform.LayerNorm.beta"},
    {"head.bias", "cls.predictions.bias"},
    {NULL, "cls.predictions.decoder.weight", .tied = "token_embedding"},
    {NULL, "cls.predictions.decoder.bias", .tied = "head.bias"},
    {NULL, "cls.seq_relationship.weight"},
    {NULL, "cls.seq_relationship.bias"},
    NO_POOLER,
    {0}};

static const LsHfTensor hf_classes[] = {{"head.weight", "classifier.weight"}, {"head.bias", "classifier.bias"}, {0}};

static const LsHfTensor hf_tags[] = {
    {"head.weight", "classifier.weight"}, {"head.bias", "classifier.bias"}, NO_POOLER, {0}};

static const LsHfArchitecture hf_architectures[] = {
    {.name = "BertForMaskedLM",
     .task = "masked_language",
     .preset = (const char *const[]){"model.pool=none", "task.transform=true", "task.epsilon=$epsilon",
                                     "task.activation=$activation", NULL},
     .tensors = hf_masked},
    {.name = "BertForSequenceClassification",
     .task = "classification",
     .preset = (const char *const[]){"model.pool=first", NULL},
     .fields = "ids T of $vocabulary, length int, label of $labels",
     .labels = "label",
     .tensors = hf_classes},
    {.name = "BertForTokenClassification",
     .task = "tagging",
     .preset = (const char *const[]){"model.pool=none", NULL},
     .fields = "ids T of $vocabulary, length int, tags T of $labels",
     .labels = "tags",
     .tensors = hf_tags},
    {.name = "BertModel",
     .task = "embedding",
     .preset = (const char *const[]){"model.pool=first", NULL},
     .fields = "ids T of $vocabulary, length int",
     .needs = "bert.pooler.dense.weight",
     .bare = true},
    {.name = "BertModel",
     .task = "embedding",
     .preset = (const char *const[]){"model.pool=none", NULL},
     .fields = "ids T of $vocabulary, length int",
     .bare = true},
    {0}};

static const LsHfKey hf_keys[] = {
    {"vocabulary", "vocab_size"},
    {"context", "max_position_embeddings"},
    {"types", "type_vocab_size", .absent = "2"},
    {"width", "hidden_size"},
    {"layers", "num_hidden_layers"},
    {"heads", "num_attention_heads"},
    {"hidden", "intermediate_size", .zero = "4*width"},
    {"activation", "hidden_act",
     .words = "gelu=gelu|gelu_new=gelu_tanh|gelu_pytorch_tanh=gelu_tanh|gelu_fast=gelu_tanh|relu=relu|silu=silu|"
              "swish=silu",
     .absent = "gelu"},
    {"dropout", "hidden_dropout_prob", .absent = "0.1"},
    {"epsilon", "layer_norm_eps", .absent = "1e-12"},
    {"init_std", "initializer_range", .absent = "0.02"},
    {0}};

static const LsHf hf = {
    .model_type = "bert",
    .architectures = hf_architectures,
    .prefix = "bert.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .fixed = "{\"position_embedding_type\": \"absolute\", \"is_decoder\": false, \"add_cross_attention\": false, "
             "\"tie_word_embeddings\": true}",
    .written = "{\"attention_probs_dropout_prob\": 0.0}",
    .ignored = "classifier_dropout|directionality|pooler_*|output_past",
    /* export may write zeros for what a model without it adds nothing of */
    .preset = (const char *const[]){"position=learned", NULL},
    .import = (const char *const[]){"first_type=true", NULL},
};

const LsModel ls_model_bert = {
    .name = "bert",
    .summary = "Transformer encoder of texts, each token of which sees all others",
    .paper = "Devlin et al. 2019, BERT: pre-training of deep bidirectional Transformers for language understanding",
    .settings = settings,
    .config_bytes = sizeof(Bert),
    .small = "context=16 layers=2 width=12 heads=3 dropout=0 epsilon=1e-5;"
             "context=7 layers=1 width=8 heads=2 hidden=5 pool=first dropout=0.2 epsilon=1e-5 activation=gelu_tanh "
             "first_type=true position=nezha max_distance=2",
    .check = check,
    .build = build,
    .hf = &hf,
};
