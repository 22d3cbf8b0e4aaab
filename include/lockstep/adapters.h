/* What models say of parameters beyond their shapes: which are matrices, and low-rank adapters of dense layers
 * (Hu et al. 2021, "LoRA"): y = x (W + scale B A)^T + b, of which A and B alone learn. */
#ifndef LOCKSTEP_ADAPTERS_H
#define LOCKSTEP_ADAPTERS_H

#include "lockstep/graph.h"

/* Flags of ls_param_flags, beside LS_NO_DECAY and LS_PRECISE. */
enum {
    LS_MATRIX = 4, /* (outputs, inputs) of a dense layer inside the model: what Muon takes as a matrix */
    LS_ADAPTER = 8 /* of an adapter: learns where a graph adapts a model */
};

typedef struct LsAdapters {
    int64_t rank; /* of B A */
    double scale;
    bool (*takes)(void *self, const char *name); /* the layer of this full name */
    void *self;
    int taken; /* layers so far */
} LsAdapters;

/* Before the first parameter: those declared without LS_ADAPTER are read from the store's base (ls_params_base), and
 * never learn. adapters must live while the graph is built; NULL ends it. */
void ls_graph_adapt(LsGraph *g, LsAdapters *adapters);

/* For the builder of a dense layer, in the layer's scope: what is to be added to it, which is counted; NULL: nothing. */
const LsAdapters *ls_graph_adapters_here(LsGraph *g);

/* Parameters that graphs read and never change, of a model that is adapted: a store of its own without gradients, of
 * each rank its own, made, given memory and freed with params. NULL: there are none. */
LsParams *ls_params_base(const LsParams *params);
/* The same, which is the caller's from now on: params has none any more. */
LsParams *ls_params_base_take(LsParams *params);

/* A store of names and shapes alone, for arrays beside the parameters: in the same order, each with what `shape` makes of
 * its rank and dimensions, left out where that is false. NULL when out of memory. */
LsParams *ls_params_derive(const LsParams *params,
                           bool (*shape)(const void *self, const LsParam *param, int *rank, int64_t *dim),
                           const void *self);

#endif
