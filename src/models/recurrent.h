/* A recurrent layer: the inputs' share of all gates as one product over the whole sequence, then the scan. */
#ifndef LS_MODELS_RECURRENT_H
#define LS_MODELS_RECURRENT_H

#include "lockstep/model.h"

/* What settings call the cells. */
#define LS_CELL_NAMES "tanh|relu|lstm|gru"

typedef struct LsRecurrentLayer {
    const char *cell;
    int64_t width;     /* H */
    LsTensor *lengths; /* (B) LS_I32, NULL: whole sequences */
    bool reverse;      /* from the last step to the first */
    /* what it starts from: activations (B, H), h and for lstm c; NULL: zero, or where `carries` what the sequence before
     * left (states "state_h" and "state_c": ls_carry) */
    LsTensor *start[2];
    bool carries;
} LsRecurrentLayer;

/* x: (B, T, C) -> (B, T, H). end: gets the state after the last step, (B, H) each, NULL where the cell has none; may be
 * NULL. Parameters, in PyTorch's order of gates, G of them: "input.weight": (G H, C) and "input.bias": (G H) are weight_ih
 * and bias_ih (plus bias_hh, but for the n of gru), "recurrent.weight": (G H, H) is weight_hh, and for gru
 * "recurrent.bias": (H) the n of bias_hh. All are drawn from U(-1/sqrt(H), 1/sqrt(H)), as there. */
LsTensor *ls_recurrent_layer(LsGraph *g, LsTensor *x, const LsRecurrentLayer *layer, LsTensor *end[2]);

/* Number of states of a cell: 2 for lstm, else 1. */
int ls_cell_states(const char *cell);

#endif
