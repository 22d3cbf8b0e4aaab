/* A recurrent layer: the inputs' share of all gates as one product over the whole sequence, then the scan. */
#ifndef LS_MODELS_RECURRENT_H
#define LS_MODELS_RECURRENT_H

#include "lockstep/model.h"

/* The cells' names in settings. */
#define LS_CELL_NAMES "tanh|relu|lstm|gru"

typedef struct LsRecurrentLayer {
    const char *cell;
    int64_t width;     /* H */
    LsTensor *lengths; /* (B) LS_I32, NULL: whole sequences */
    bool reverse;      /* from the last step to the first */
    /* what it starts from: activations (B, H), h and for lstm c; NULL: zero, or where `carries` what the sequence
     * before left (states "h" and "c": ls_carry) */
    LsTensor *start[2];
    bool carries;
} LsRecurrentLayer;

/* x: (B, T, C) -> (B, T, H). end: gets the state after the last step, (B, H) each, NULL where the cell has none; may
 * be NULL. Parameters are PyTorch's, gates in its order (LSTM i f g o, GRU r z n), G of them: "weight_ih": (G H, C),
 * "weight_hh": (G H, H) and "bias": (G H), which is bias_ih + bias_hh, but for GRU's n: there it is bias_ih alone,
 * and the last third of bias_hh is "bias_hn": (H). All are drawn from U(-1/sqrt(H), 1/sqrt(H)), as there. */
LsTensor *ls_recurrent_layer(LsGraph *g, LsTensor *x, const LsRecurrentLayer *layer, LsTensor *end[2]);

/* Number of states of a cell: 2 for lstm, else 1. */
int ls_cell_states(const char *cell);

#endif
