#include "models/recurrent.h"

#include "lockstep/ops.h"

#include <math.h>
#include <string.h>

/* A scan's operands: x: (B, T, G H), w: (G H, H), bias: (H) of a cell that has one, states by ls_carry. */
typedef struct Scan {
    const LsRecurrentLayer *layer;
    LsTensor *x, *w, *bias, *state[2];
} Scan;

static LsTensor *scan_tanh(LsGraph *g, const Scan *s)
{
    return ls_rnn_scan(g, s->x, s->w, s->layer->start[0], s->state[0], s->layer->lengths, false, s->layer->reverse);
}

static LsTensor *scan_relu(LsGraph *g, const Scan *s)
{
    return ls_rnn_scan(g, s->x, s->w, s->layer->start[0], s->state[0], s->layer->lengths, true, s->layer->reverse);
}

static LsTensor *scan_lstm(LsGraph *g, const Scan *s)
{
    return ls_lstm_scan(g, s->x, s->w, s->layer->start[0], s->layer->start[1], s->state[0], s->state[1],
                        s->layer->lengths, s->layer->reverse);
}

static LsTensor *scan_gru(LsGraph *g, const Scan *s)
{
    return ls_gru_scan(g, s->x, s->w, s->bias, s->layer->start[0], s->state[0], s->layer->lengths, s->layer->reverse);
}

typedef struct CellKind {
    const char *name;
    int gates, states;
    bool bias; /* one inside the recurrence */
    LsTensor *(*scan)(LsGraph *g, const Scan *s);
} CellKind;

static const CellKind kinds[] = {{"tanh", 1, 1, false, scan_tanh},
                                 {"relu", 1, 1, false, scan_relu},
                                 {"lstm", 4, 2, false, scan_lstm},
                                 {"gru", 3, 1, true, scan_gru}};

static const CellKind *find_kind(const char *name)
{
    for (size_t i = 0; i < LS_COUNT_OF(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return &kinds[0];
}

int ls_cell_states(const char *cell) { return find_kind(cell)->states; }

LsTensor *ls_recurrent_layer(LsGraph *g, LsTensor *x, const LsRecurrentLayer *layer, LsTensor *end[2])
{
    static const char *const names[] = {"h", "c"};
    const CellKind *kind = find_kind(layer->cell);
    int64_t rows = kind->gates * layer->width;
    double bound = 1 / sqrt((double)layer->width);
    LsInit init = ls_init_uniform(-bound, bound);
    Scan s = {.layer = layer};
    LsTensor *input = ls_param_flags(g, "weight_ih", init, LS_MATRIX, 2, (int64_t[]){rows, x->dim[x->rank - 1]});
    s.x = ls_linear(g, x, input, ls_param(g, "bias", init, 1, &rows), LS_NO_ACTIVATION);
    s.w = ls_param_flags(g, "weight_hh", init, LS_MATRIX, 2, (int64_t[]){rows, layer->width});
    s.bias = kind->bias ? ls_param(g, "bias_hn", init, 1, &layer->width) : NULL;
    for (int i = 0; i < kind->states && layer->carries && !layer->start[i]; i++)
        s.state[i] = ls_carry(g, names[i], LS_ACC, 2, (int64_t[]){x->dim[0], layer->width});
    LsTensor *y = kind->scan(g, &s);
    for (int i = 0; end && i < 2; i++)
        end[i] = i < kind->states ? ls_tensor_sibling(y, 1 + i) : NULL;
    return y;
}
