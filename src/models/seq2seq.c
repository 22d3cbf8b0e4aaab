/* Recurrent encoder and decoder (Cho et al. 2014; Sutskever, Vinyals, Le 2014): the decoder starts from the
 * encoder's last state, layer by layer, and reads the target's own tokens.
 *
 *     s_j = encoder(E_s[source])_j;  h_t = decoder(E_t[ids], from the encoder's last state)_t
 *     logits_t = W_head h_t + b_head
 *
 * With attention (Luong, Pham, Manning 2015, section 3: on the decoder's states, so that all steps of a target are
 * attended to at once) logits are made of h~_t instead of h_t:
 *
 *     multiplicative  e_tj = h_t . W_m s_j                            ("general" there)
 *     additive        e_tj = v . tanh(W_q h_t + b_q + W_m s_j)        ("concat" there; the score of Bahdanau, Cho,
 *                                                                     Bengio 2015, who take h_t-1 and feed c_t to the cell)
 *     a_t = softmax_j(e_t) over the source's length;  c_t = sum_j a_tj s_j;  h~_t = tanh(W_c [c_t; h_t] + b_c)
 *
 * Parameters, of H units, E channels of a token, V ids. Those of PyTorch's modules are these, so that weights trained
 * there can be brought in; "x" is layer i's input, E channels of layer 0 and H of others:
 *
 *     encoder.embedding, decoder.embedding   (V, E)     Embedding.weight
 *     {encoder,decoder}.layer.{i}.weight_ih  (G H, x)   weight_ih_l{i}: G gates in PyTorch's order, LSTM i f g o,
 *                                 .weight_hh (G H, H)   weight_hh_l{i}                                   GRU r z n
 *                                 .bias      (G H)      bias_ih_l{i} + bias_hh_l{i}; of GRU's n bias_ih_l{i} alone
 *                                 .bias_hn   (H)        GRU's n of bias_hh_l{i}, which r multiplies
 *     attention.memory.weight                (H, H)     W_m
 *     attention.query.weight, .query.bias    (H, H) (H) W_q, b_q (additive; PyTorch's two biases are added up)
 *     attention.v                            (H)        v (additive)
 *     attention.combine.weight, .bias        (H, 2 H) (H)  W_c, b_c: the columns of c first
 *     decoder.head, decoder.head_bias        (V, H) (V) Linear.weight, Linear.bias (with head_bias)
 *
 * The encoder reads the source and the end of a text; its last state is that after source_length tokens (h, and for
 * LSTM c), as of a packed sequence there. The decoder's layer i starts from that of the encoder's layer i, and reads
 * the beginning of a text first. */
#include "models/blocks.h"
#include "models/recurrent.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Seq2seq {
    char *cell, *attention;
    int64_t layers, width, embedding;
    double dropout;
    bool head_bias;
} Seq2seq;

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(Seq2seq, cell, "gru", LS_CELL_NAMES, "what a layer's step computes"),
    LS_SETTING_INT(Seq2seq, layers, "1", 1, 16, "recurrent layers of the encoder, and of the decoder"),
    LS_SETTING_INT(Seq2seq, width, "256", 1, 1 << 20, "units of a layer"),
    LS_SETTING_INT(Seq2seq, embedding, "0", 0, 1 << 20, "channels of a token; 0: as width"),
    LS_SETTING_CHOICE(Seq2seq, attention, "none", "none|additive|multiplicative",
                      "how the decoder's states score those of the encoder; none: it sees the last one alone"),
    LS_SETTING_FLOAT(Seq2seq, dropout, "0", 0, 0.99,
                     "probability of zeroing, of embedded tokens and between layers, and before the head"),
    LS_SETTING_BOOL(Seq2seq, head_bias, "false", "a bias for each token of the target's vocabulary"),
    {0}};

static bool attends(const Seq2seq *m) { return strcmp(m->attention, "none") != 0; }

static bool is_additive(const Seq2seq *m) { return strcmp(m->attention, "additive") == 0; }

/* The ids that a field has. */
static int64_t classes_of(const LsShape *shape, const char *field)
{
    const LsField *ids = ls_shape_field(shape, field);
    return ids && ids->classes > 0 ? ids->classes : 1;
}

/* The tokens of a field as vectors: (B, T, embedding). */
static LsTensor *embed(LsGraph *g, const Seq2seq *m, const LsShape *shape, const char *field)
{
    LsTensor *table = ls_param(g, "embedding", ls_init_normal(1), 2,
                               (int64_t[]){classes_of(shape, field), m->embedding ? m->embedding : m->width});
    return ls_drop(g, ls_embedding(g, table, ls_shape_input(g, shape, field)), m->dropout);
}

static LsTensor *project(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, bool bias)
{
    double bound = 1 / sqrt((double)x->dim[x->rank - 1]);
    return ls_dense(g, name, x, outputs, ls_init_uniform(-bound, bound), bias, LS_NO_ACTIVATION);
}

/* end: the last states, (layers, 2). Returns what the decoder attends to, a key and a state for each step of the
 * source, [W_m s_j; s_j]: (B, S, 2 H); NULL without attention. */
static LsTensor *encode(LsGraph *g, const Seq2seq *m, const LsShape *shape, LsTensor *(*end)[2])
{
    ls_push(g, "encoder");
    LsTensor *x = embed(g, m, shape, "source"), *lengths = ls_shape_input(g, shape, "source_length");
    for (int64_t i = 0; i < m->layers; i++) {
        ls_push(g, "layer.%lld", (long long)i);
        x = ls_recurrent_layer(g, x, &(LsRecurrentLayer){.cell = m->cell, .width = m->width, .lengths = lengths},
                               end[i]);
        x = i + 1 < m->layers ? ls_drop(g, x, m->dropout) : x;
        ls_pop(g);
    }
    ls_pop(g);
    if (!attends(m))
        return NULL;
    ls_push(g, "attention");
    LsTensor *key = project(g, "memory", x, m->width, false);
    ls_pop(g);
    return ls_concat(g, 2, (LsTensor *[]){key, x});
}

/* h: (B, T, H) -> h~: (B, T, H) */
static LsTensor *attend(LsGraph *g, const Seq2seq *m, const LsShape *shape, LsTensor *h, LsTensor *memory)
{
    LsTensor *lengths = ls_shape_input(g, shape, "source_length"), *c, *weights = NULL;
    bool shows = shape->part == LS_PART_DECODER;
    ls_push(g, "attention");
    if (is_additive(m)) {
        LsTensor *q = project(g, "query", h, m->width, true);
        double bound = 1 / sqrt((double)m->width);
        LsTensor *v = ls_param_flags(g, "v", ls_init_uniform(-bound, bound), LS_PRECISE, 1, &m->width);
        c = ls_additive_attention(g, q, memory, v, lengths);
        weights = shows ? ls_tensor_sibling(c, 1) : NULL;
    } else {
        /* attention divides its scores by sqrt(H), these are not divided */
        LsAttention how = {.heads = 1, .kv = memory, .lengths = lengths};
        LsTensor *q = ls_scale(g, h, sqrt((double)m->width));
        c = ls_attention(g, q, &how);
        weights = shows ? ls_attention_weights(g, q, &how) : NULL;
    }
    LsTensor *both = ls_concat(g, 2, (LsTensor *[]){c, h});
    LsTensor *y = ls_tanh(g, project(g, "combine", both, m->width, true));
    ls_pop(g);
    if (weights)
        ls_output(g, "attention", weights);
    return y;
}

/* The encoder's states under the names of the decoder's own. */
static void declare_states(LsGraph *g, const Seq2seq *m, LsTensor *(*end)[2])
{
    static const char *const names[] = {"h", "c"};
    for (int64_t i = 0; i < m->layers; i++)
        for (int j = 0; j < ls_cell_states(m->cell); j++) {
            char name[64];
            snprintf(name, sizeof name, "decoder.layer.%lld.%s", (long long)i, names[j]);
            ls_output(g, name, end[i][j]);
        }
}

static LsBody decode(LsGraph *g, const Seq2seq *m, const LsShape *shape, LsTensor *(*start)[2], LsTensor *memory)
{
    ls_push(g, "decoder");
    LsTensor *x = embed(g, m, shape, "ids");
    for (int64_t i = 0; i < m->layers; i++) {
        LsRecurrentLayer layer = {.cell = m->cell, .width = m->width, .carries = shape->part == LS_PART_DECODER};
        if (start)
            memcpy(layer.start, start[i], sizeof layer.start);
        ls_push(g, "layer.%lld", (long long)i);
        x = ls_recurrent_layer(g, x, &layer, NULL);
        x = i + 1 < m->layers ? ls_drop(g, x, m->dropout) : x;
        ls_pop(g);
    }
    int64_t classes = classes_of(shape, "ids");
    LsBody body = {.source = true};
    body.table = ls_param(g, "head", ls_init_normal(0.05), 2, (int64_t[]){classes, m->width});
    body.head_bias = m->head_bias ? ls_param(g, "head_bias", ls_init_constant(0), 1, &classes) : NULL;
    ls_pop(g);
    body.features = ls_drop(g, memory ? attend(g, m, shape, x, memory) : x, m->dropout);
    return body;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Seq2seq *m = config;
    LsTensor *end[16][2] = {{NULL}}, *memory = NULL;
    if (shape->part == LS_PART_DECODER) {
        if (attends(m))
            memory = ls_input(g, "memory", LS_REAL, 3, (int64_t[]){shape->batch, shape->memory, 2 * m->width});
        return decode(g, m, shape, NULL, memory);
    }
    memory = encode(g, m, shape, end);
    if (shape->part == LS_PART_WHOLE)
        return decode(g, m, shape, end, memory);
    declare_states(g, m, end);
    if (memory)
        ls_output(g, "memory", memory);
    return (LsBody){0};
}

const LsModel ls_model_seq2seq = {
    .name = "seq2seq",
    .summary = "recurrent encoder and decoder, with attention or without: translation",
    .paper = "Sutskever, Vinyals, Le 2014, Sequence to sequence learning with neural networks",
    .settings = settings,
    .config_bytes = sizeof(Seq2seq),
    .fields = "source T of 11, source_length int, ids T of 11, length int",
    .small = "layers=2 width=6 embedding=5; cell=lstm width=5 dropout=0.1 attention=additive; "
             "cell=tanh width=4 attention=multiplicative head_bias=true",
    .build = build,
};
