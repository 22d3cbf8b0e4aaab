/* Recurrent encoder and decoder (Cho et al. 2014; Sutskever, Vinyals, Le 2014): the decoder starts from the
 * encoder's last state, layer by layer, and reads the target's own tokens.
 *
 *     h = encoder(E_s[source]);  y = decoder(E_t[ids] from h's last);  logits = y W_head^T
 */
#include "models/blocks.h"
#include "models/recurrent.h"

#include <stdio.h>
#include <string.h>

typedef struct Seq2seq {
    char *cell;
    int64_t layers, width, embedding;
    double dropout;
} Seq2seq;

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(Seq2seq, cell, "gru", LS_CELL_NAMES, "what a layer's step computes"),
    LS_SETTING_INT(Seq2seq, layers, "1", 1, 16, "recurrent layers of the encoder, and of the decoder"),
    LS_SETTING_INT(Seq2seq, width, "256", 1, 1 << 20, "units of a layer"),
    LS_SETTING_INT(Seq2seq, embedding, "0", 0, 1 << 20, "channels of a token; 0: as width"),
    LS_SETTING_FLOAT(Seq2seq, dropout, "0", 0, 0.99,
                     "probability of zeroing, of embedded tokens and between layers, and before the head"),
    {0}};

static LsTensor *drop(LsGraph *g, const Seq2seq *m, LsTensor *x)
{
    return m->dropout > 0 ? ls_dropout(g, x, m->dropout) : x;
}

/* The tokens of a field as vectors: (B, T, embedding). */
static LsTensor *embed(LsGraph *g, const Seq2seq *m, const LsShape *shape, const char *field)
{
    int64_t channels = m->embedding ? m->embedding : m->width;
    const LsField *ids = ls_shape_field(shape, field);
    LsTensor *table = ls_param(g, "embedding", ls_init_normal(1), 2,
                               (int64_t[]){ids && ids->classes > 0 ? ids->classes : 1, channels});
    return drop(g, m, ls_embedding(g, table, ls_shape_input(g, shape, field)));
}

/* end: the last states, (layers, 2). */
static void encode(LsGraph *g, const Seq2seq *m, const LsShape *shape, LsTensor *(*end)[2])
{
    ls_push(g, "encoder");
    LsTensor *x = embed(g, m, shape, "source"), *lengths = ls_shape_input(g, shape, "source_length");
    for (int64_t i = 0; i < m->layers; i++) {
        ls_push(g, "layer.%lld", (long long)i);
        x = ls_recurrent_layer(g, x, &(LsRecurrentLayer){.cell = m->cell, .width = m->width, .lengths = lengths},
                               end[i]);
        x = i + 1 < m->layers ? drop(g, m, x) : x;
        ls_pop(g);
    }
    ls_pop(g);
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

static LsBody decode(LsGraph *g, const Seq2seq *m, const LsShape *shape, LsTensor *(*start)[2])
{
    ls_push(g, "decoder");
    LsTensor *x = embed(g, m, shape, "ids");
    for (int64_t i = 0; i < m->layers; i++) {
        LsRecurrentLayer layer = {.cell = m->cell, .width = m->width, .carries = shape->part == LS_PART_DECODER};
        if (start)
            memcpy(layer.start, start[i], sizeof layer.start);
        ls_push(g, "layer.%lld", (long long)i);
        x = drop(g, m, ls_recurrent_layer(g, x, &layer, NULL));
        ls_pop(g);
    }
    const LsField *ids = ls_shape_field(shape, "ids");
    LsTensor *head =
        ls_param(g, "head", ls_init_normal(0.05), 2, (int64_t[]){ids && ids->classes > 0 ? ids->classes : 1, m->width});
    ls_pop(g);
    return (LsBody){.features = x, .table = head, .source = true};
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Seq2seq *m = config;
    LsTensor *end[16][2] = {{NULL}};
    if (shape->part == LS_PART_DECODER)
        return decode(g, m, shape, NULL);
    encode(g, m, shape, end);
    if (shape->part == LS_PART_WHOLE)
        return decode(g, m, shape, end);
    declare_states(g, m, end);
    return (LsBody){0};
}

const LsModel ls_model_seq2seq = {
    .name = "seq2seq",
    .summary = "recurrent encoder and decoder: translation",
    .paper = "Sutskever, Vinyals, Le 2014, Sequence to sequence learning with neural networks",
    .settings = settings,
    .config_bytes = sizeof(Seq2seq),
    .fields = "source T of 11, source_length int, ids T of 11, length int",
    .small = "layers=2 width=6 embedding=5; cell=lstm width=5 dropout=0.1; cell=tanh width=4",
    .build = build,
};
