/* What models are made of beyond ops. */
#ifndef LS_MODELS_BLOCKS_H
#define LS_MODELS_BLOCKS_H

#include "lockstep/model.h"

/* Input "position": (B), the tokens each stream has seen, in a graph that decodes; else NULL: positions count from
 * 0. */
LsTensor *ls_stream_position(LsGraph *g, const LsShape *shape);

/* x times the transpose of a parameter "NAME.weight": (outputs, inputs of x), plus "NAME.bias" where wanted. */
LsTensor *ls_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, bool bias,
                   LsActivation activation);

/* The same with both drawn from U(-1/sqrt(inputs), 1/sqrt(inputs)), as PyTorch's linear layers start. */
LsTensor *ls_dense_uniform(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsActivation activation);

#endif
