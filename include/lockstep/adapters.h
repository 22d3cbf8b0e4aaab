/* Flags of parameters that are matrices of dense layers, and low-rank adapters of dense layers (Hu et al. 2021,
 * "LoRA"): y = x (W + scale B A)^T + b, where only A and B are trained. */
#ifndef LOCKSTEP_ADAPTERS_H
#define LOCKSTEP_ADAPTERS_H

#include "lockstep/graph.h"

/* Flags of ls_param_flags, beside LS_NO_DECAY and LS_PRECISE. */
enum {
    LS_MATRIX = 4, /* (outputs, inputs) of a dense layer inside the model: Muon orthogonalises its updates */
    LS_ADAPTER = 8 /* a factor of an adapter: it is trained where a graph adapts a model */
};

typedef struct LsAdapters {
    int64_t rank; /* of B A */
    double scale;
    /* whether the dense layer of this full name gets an adapter */
    bool (*takes)(void *self, const char *name);
    void *self; /* passed to takes */
    int taken;  /* number of layers that have got one so far */
} LsAdapters;

/* Makes g a graph that adapts its model: parameters declared without LS_ADAPTER are read from the store's base
 * (ls_params_base) and are never trained. Call it before the first parameter is declared. `adapters` must live while
 * the graph is built; NULL ends the adapting. */
void ls_graph_adapt(LsGraph *g, LsAdapters *adapters);

/* For the builder of a dense layer, called in the layer's scope: the adapters of the graph where this layer gets one,
 * which is counted in `taken`; NULL where it gets none. */
const LsAdapters *ls_graph_adapters_here(LsGraph *g);

/* The parameters of a model that is adapted, which graphs read and never change: a second store without gradients, one
 * a rank, which is made, allocated and freed together with params. NULL where the model is not adapted. */
LsParams *ls_params_base(const LsParams *params);
/* Detaches the base from params and gives it to the caller, who frees it. */
LsParams *ls_params_base_take(LsParams *params);

/* A store of names and shapes without values, which describes arrays that stand beside the parameters (an optimiser's
 * moments). It has the parameters in the same order. `shape` changes the rank and dimensions of each in place; it
 * returns false for parameters that have no such array. NULL when out of memory. */
LsParams *ls_params_derive(const LsParams *params,
                           bool (*shape)(const void *self, const LsParam *param, int *rank, int64_t *dim),
                           const void *self);

#endif
