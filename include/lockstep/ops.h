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

/* What pooling makes of the positions of a window, or of all of them. */
typedef enum LsPool { LS_POOL_MAX, LS_POOL_MEAN, LS_POOL_FIRST, LS_POOL_LAST } LsPool;

/* The keys that a query of attention may see. */
typedef enum LsMask {
    LS_MASK_NONE,  /* all */
    LS_MASK_CAUSAL /* those up to its own position */
} LsMask;

/* Options of ls_attention, at which each is explained; what is left out is NULL or 0. */
typedef struct LsAttention {
    int64_t heads, kv_heads;
    LsMask mask;
    LsTensor *kv;
    LsTensor *cache, *position;
    LsTensor *lengths;
} LsAttention;

#ifndef LS_OP_BUILD /* inside the ops' own files builders are defined, some of them static */
#define OP(name, arguments) LsTensor *ls_##name arguments;
#include "lockstep/ops.def"
#undef OP

/* x: (B, ...) -> (B, N) */
static inline LsTensor *ls_flatten(LsGraph *g, LsTensor *x) { return ls_reshape(g, x, 2, (int64_t[]){x->dim[0], -1}); }
#endif

#endif
