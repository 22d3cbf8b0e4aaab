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

/* What ls_linear_scan makes the factors and addends of its recurrence of. */
typedef enum LsScanForm {
    LS_SCAN_PLAIN,  /* they are given */
    LS_SCAN_MINGRU, /* of a gate and a candidate */
    LS_SCAN_MINLSTM /* of a forget gate, an input gate and a candidate */
} LsScanForm;

/* How a continuous state space becomes one of steps, and how ls_diagonal_ssm computes whole sequences. */
typedef enum LsSsmRule { LS_SSM_ZOH, LS_SSM_BILINEAR } LsSsmRule;
typedef enum LsSsmForm { LS_SSM_SCAN, LS_SSM_CONVOLUTION } LsSsmForm;

/* Options of ls_attention, at which each is explained; what is left out is NULL or 0. */
typedef struct LsAttention {
    int64_t heads, kv_heads;
    LsMask mask;
    LsTensor *kv;
    LsTensor *cache, *position;
    LsTensor *lengths;
    int64_t window, dilation, dilated_heads;
    bool alibi;
    LsTensor *global;
    int64_t globals;
} LsAttention;

/* What becomes of rotary frequencies in a model that reads longer sequences than it was first trained for. */
typedef enum LsRotaryScaling {
    LS_ROTARY_PLAIN,  /* nothing */
    LS_ROTARY_LINEAR, /* all are divided by a factor */
    LS_ROTARY_NTK,    /* the base is raised until the lowest is divided by it */
    LS_ROTARY_LLAMA3  /* the low ones are divided by it, the high ones are not */
} LsRotaryScaling;

/* Options of ls_rotary, at which each is explained; what is left out is 0. */
typedef struct LsRotary {
    int64_t heads, size, turned;
    double base;
    LsRotaryScaling scaling;
    double factor, low, high;
    int64_t context;
} LsRotary;

#ifndef LS_OP_BUILD /* inside the ops' own files builders are defined, some of them static */
#define OP(name, arguments) LsTensor *ls_##name arguments;
#include "lockstep/ops.def"
#undef OP

/* x: (B, ...) -> (B, N) */
static inline LsTensor *ls_flatten(LsGraph *g, LsTensor *x) { return ls_reshape(g, x, 2, (int64_t[]){x->dim[0], -1}); }
#endif

#endif
