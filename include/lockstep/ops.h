/* Builder calls of all ops: LsTensor *ls_NAME(LsGraph *g, ...), made from the list in ops.def. Shapes, formulas and
 * options stand above each builder in src/ops/NAME.c; `lockstep ops` prints them. */
#ifndef LOCKSTEP_OPS_H
#define LOCKSTEP_OPS_H

#include "lockstep/graph.h"

/* Activations that linear can apply in its epilogue, where they are free. */
typedef enum LsActivation {
    LS_NO_ACTIVATION,
    LS_GELU,      /* x Phi(x), by erf */
    LS_GELU_TANH, /* GPT-2's approximation */
    LS_SILU,
    LS_RELU
} LsActivation;

#ifndef LS_OP_BUILD /* inside the ops' own files builders are defined, some of them static */
#define OP(name, arguments) LsTensor *ls_##name arguments;
#include "lockstep/ops.def"
#undef OP
#endif

#endif
