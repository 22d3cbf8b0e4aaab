/* Recurrent networks: plain (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997), GRU (Cho et al. 2014), in
 * PyTorch's conventions, one- or two-way.
 *
 *     x = E[ids], or the samples' values, or a picture row by row or pixel by pixel
 *     x = scan(x weight_ih^T + bias, weight_hh)        for each layer
 *     x = (that, the same in reverse)                  for each layer, two-way
 *
 * Dropout is of what layers say to each other and to the head, and of the embedding, not of states (Zaremba, Sutskever,
 * Vinyals 2014, "Recurrent neural network regularization").
 *
 * Parameters are PyTorch's: layer.I.weight_ih is weight_ih_lI, layer.I.reverse.weight_ih is weight_ih_lI_reverse,
 * and so on; gates in PyTorch's order (LSTM i f g o, GRU r z n). Of PyTorch's two biases only the sum counts, which
 * is layer.I.bias = bias_ih_lI + bias_hh_lI, but for GRU's n: there layer.I.bias is bias_ih_lI alone, and the last
 * third of bias_hh_lI is layer.I.bias_hn. */
#include "models/blocks.h"
#include "models/recurrent.h"
#include "models/sequence_inputs.h"

#include <math.h>

typedef struct Rnn {
    int64_t vocabulary, loss_vocabulary, context, layers, width, embedding;
    char *cell, *picture;
    double dropout;
    bool bidirectional, tied;
} Rnn;

static const LsSetting settings[] = {
    LS_SETTING_INT(Rnn, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Rnn, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Rnn, context, "128", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_CHOICE(Rnn, cell, "lstm", LS_CELL_NAMES, "what a step does; tanh and relu: the plain network"),
    LS_SETTING_INT(Rnn, layers, "2", 1, 1000, "layers on top of each other"),
    LS_SETTING_INT(Rnn, width, "256", 1, 1 << 20, "units of a layer, in each direction"),
    LS_SETTING_INT(Rnn, embedding, "0", 0, 1 << 20, "channels of a token's embedding; 0: as width"),
    LS_SETTING_BOOL(Rnn, bidirectional, "false", "each layer runs in both directions; not for language models"),
    LS_SETTING_FLOAT(Rnn, dropout, "0", 0, 0.99,
                     "probability of zeroing, of embedded tokens, between layers, and before the head"),
    LS_SETTING_BOOL(Rnn, tied, "true", "a language model's head uses the token embedding, which is drawn smaller then"),
    LS_SETTING_CHOICE(Rnn, picture, "rows", LS_PICTURE_NAMES, "what a step of a picture is"),
    {0}};

static LsStatus check(const void *config)
{
    const Rnn *m = config;
    if (m->tied && !m->bidirectional && m->embedding && m->embedding != m->width)
        return ls_fail(LS_USAGE,
                       "model.embedding %lld differs from model.width %lld, so the head cannot use the embedding: set "
                       "model.tied to false, or embedding to 0",
                       (long long)m->embedding, (long long)m->width);
    return LS_OK;
}

/* x: (B, T, C) -> (B, T, H) */
static LsTensor *direction(LsGraph *g, const Rnn *m, LsTensor *x, LsTensor *lengths, bool reverse)
{
    return ls_recurrent_layer(
        g, x,
        &(LsRecurrentLayer){
            .cell = m->cell, .width = m->width, .lengths = lengths, .reverse = reverse, .carries = !reverse},
        NULL);
}

/* x: (B, T, C) -> (B, T, H), or (B, T, 2 H) */
static LsTensor *layer_of(LsGraph *g, const Rnn *m, LsTensor *x, LsTensor *lengths)
{
    LsTensor *there = direction(g, m, x, lengths, false);
    if (!m->bidirectional)
        return there;
    ls_push(g, "reverse");
    LsTensor *back = direction(g, m, x, lengths, true);
    ls_pop(g);
    return ls_concat(g, 2, (LsTensor *[]){there, back});
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* A table that the head shares begins small, so that logits do; one of its own begins as PyTorch's, from which a GRU
 * learns faster. */
static LsInit table_init(const Rnn *m) { return m->tied ? ls_init_uniform(-0.1, 0.1) : ls_init_normal(1); }

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Rnn *m = config;
    int64_t channels = m->embedding ? m->embedding : m->width;
    LsTensor *table, *x = ls_sequence_inputs(g, shape, m->picture, m->vocabulary, channels, table_init(m), &table);
    x = table ? ls_drop(g, x, m->dropout) : x; /* numbers are what they are */
    LsTensor *lengths = ls_shape_field(shape, "length") ? ls_shape_input(g, shape, "length") : NULL;
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_drop(g, layer_of(g, m, x, lengths), m->dropout);
        ls_pop(g);
    }
    /* in both directions it would have seen the tokens that it is to say */
    if (!table || m->bidirectional || !ls_shape_field(shape, "targets"))
        return (LsBody){.features = x};
    double bound = 1 / sqrt((double)m->width);
    if (!m->tied)
        table = ls_param(g, "head", ls_init_uniform(-bound, bound), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = table, .loss_classes = m->loss_vocabulary};
}

const LsModel ls_model_rnn = {
    .name = "rnn",
    .summary = "recurrent network: plain, LSTM or GRU",
    .paper = "Hochreiter and Schmidhuber 1997, Long short-term memory; Cho et al. 2014, Learning phrase "
             "representations using RNN encoder-decoder",
    .settings = settings,
    .config_bytes = sizeof(Rnn),
    .small = "cell=lstm layers=2 width=6 dropout=0.2; cell=gru layers=1 width=7 embedding=4 tied=false;"
             "cell=tanh layers=2 width=5 bidirectional=true; cell=relu layers=1 width=6",
    .check = check,
    .build = build,
};
