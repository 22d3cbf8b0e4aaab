/* Recurrent networks of any depth over tokens or numbers (Elman 1990; LSTM: Hochreiter and Schmidhuber 1997; GRU: Cho et al.
 * 2014), one-way or two-way. One-way, they are language models whose state goes on from step to step (train.carry).
 *
 *     x = E[ids], or the numbers themselves;  x = layer(x)      for each layer, two-way: both directions side by side
 */
#include "models/blocks.h"
#include "models/recurrent.h"

typedef struct Rnn {
    int64_t vocabulary, layers, width, embedding;
    char *cell;
    double dropout;
    bool bidirectional;
} Rnn;

static const LsSetting settings[] = {
    LS_SETTING_INT(Rnn, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_CHOICE(Rnn, cell, "lstm", LS_CELL_NAMES, "what a layer's step computes"),
    LS_SETTING_INT(Rnn, layers, "1", 1, 64, "recurrent layers"),
    LS_SETTING_INT(Rnn, width, "256", 1, 1 << 20, "units of a layer, of each direction"),
    LS_SETTING_INT(Rnn, embedding, "0", 0, 1 << 20, "channels of a token; 0: as width"),
    LS_SETTING_BOOL(Rnn, bidirectional, "false", "a second direction, from the end; not for language models"),
    LS_SETTING_FLOAT(Rnn, dropout, "0", 0, 0.99,
                     "probability of zeroing, of embedded tokens, between layers and after the last"),
    {0}};

static LsTensor *drop(LsGraph *g, const Rnn *m, LsTensor *x)
{
    return m->dropout > 0 ? ls_dropout(g, x, m->dropout) : x;
}

static LsTensor *layer_of(LsGraph *g, const Rnn *m, const char *name, LsTensor *x, LsTensor *lengths, bool reverse)
{
    ls_push(g, "%s", name);
    LsTensor *y = ls_recurrent_layer(
        g, x,
        &(LsRecurrentLayer){
            .cell = m->cell, .width = m->width, .lengths = lengths, .reverse = reverse, .carries = !m->bidirectional},
        NULL);
    ls_pop(g);
    return y;
}

/* (B, T, C), and for tokens their table. */
static LsTensor *inputs(LsGraph *g, const Rnn *m, const LsShape *shape)
{
    if (!ls_shape_field(shape, "ids"))
        return ls_shape_input(g, shape, "values");
    int64_t channels = m->embedding ? m->embedding : m->width;
    LsTensor *table = ls_param(g, "embedding", ls_init_normal(1), 2, (int64_t[]){m->vocabulary, channels});
    return drop(g, m, ls_embedding(g, table, ls_shape_input(g, shape, "ids")));
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Rnn *m = config;
    LsTensor *x = inputs(g, m, shape);
    LsTensor *lengths = ls_shape_field(shape, "length") ? ls_shape_input(g, shape, "length") : NULL;
    for (int64_t i = 0; i < m->layers; i++) {
        ls_push(g, "layer.%lld", (long long)i);
        LsTensor *y = layer_of(g, m, "forward", x, lengths, false);
        if (m->bidirectional)
            y = ls_concat(g, y, layer_of(g, m, "backward", x, lengths, true));
        x = drop(g, m, y);
        ls_pop(g);
    }
    bool tokens = ls_shape_field(shape, "ids") && !m->bidirectional;
    LsTensor *head = NULL;
    if (tokens && ls_shape_field(shape, "targets"))
        head = ls_param(g, "head", ls_init_normal(0.05), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head};
}

const LsModel ls_model_rnn = {
    .name = "rnn",
    .summary = "recurrent network: tanh, relu, LSTM or GRU, of any depth, one-way or two-way",
    .paper =
        "Hochreiter and Schmidhuber 1997, Long short-term memory; Cho et al. 2014, Learning phrase representations",
    .settings = settings,
    .config_bytes = sizeof(Rnn),
    .small = "cell=tanh width=5; cell=lstm layers=2 width=4 embedding=3 dropout=0.1; cell=gru width=5;"
             "cell=relu width=4 bidirectional=true | ids T of 11, length int; cell=gru width=4 | values Tx3",
    .build = build,
};
