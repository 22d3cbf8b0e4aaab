/* What all language models share: token ids in, a loss or logits out. */
#ifndef LS_MODELS_LANGUAGE_H
#define LS_MODELS_LANGUAGE_H

#include "lockstep/model.h"

/* Input "ids": (B, T). */
LsTensor *ls_language_ids(LsGraph *g, const LsShape *shape);

/* Input "position": (B), the tokens each stream has seen, in a graph that decodes; else NULL: positions count from
 * 0. */
LsTensor *ls_language_position(LsGraph *g, const LsShape *shape);

/* What shape->want asks for, from the last hidden states x: (B, T, C) and the head's weight w: (V, C): "loss" or
 * "output". The loss normalises over the first `classes` of the V ids, 0: over all. */
void ls_language_head(LsGraph *g, const LsShape *shape, LsTensor *x, LsTensor *w, int64_t classes);

/* x times the transpose of a parameter "NAME.weight": (outputs, inputs of x), plus "NAME.bias" where wanted. */
LsTensor *ls_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, bool bias,
                   LsActivation activation);

#endif
