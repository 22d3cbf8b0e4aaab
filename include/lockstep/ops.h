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

/* How pooling reduces the positions of a window, or all of them, to one. */
typedef enum LsPool { LS_POOL_MAX, LS_POOL_MEAN, LS_POOL_FIRST, LS_POOL_LAST } LsPool;

/* The keys that a query of attention may see. */
typedef enum LsMask {
    LS_MASK_NONE,  /* all */
    LS_MASK_CAUSAL /* those up to its own position */
} LsMask;

/* The inputs of ls_linear_scan, from which the factors a and addends b of h_t = a_t h_{t-1} + b_t are computed. */
typedef enum LsScanForm {
    LS_SCAN_PLAIN,  /* a and b themselves */
    LS_SCAN_MINGRU, /* a gate and a candidate */
    LS_SCAN_MINLSTM /* a forget gate, an input gate and a candidate */
} LsScanForm;

/* How a continuous state space is discretised. */
typedef enum LsSsmRule { LS_SSM_ZOH, LS_SSM_BILINEAR } LsSsmRule;
/* How ls_diagonal_ssm computes whole sequences. */
typedef enum LsSsmForm { LS_SSM_SCAN, LS_SSM_CONVOLUTION } LsSsmForm;

/* Options of ls_attention, explained above its builder (src/ops/attention.c). An option that is not set is NULL or
 * 0. */
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

/* How the frequencies of rotary positions are scaled, so that a model can read longer sequences than it was first
 * trained for. */
typedef enum LsRotaryScaling {
    LS_ROTARY_PLAIN,  /* they are not */
    LS_ROTARY_LINEAR, /* all are divided by a factor */
    LS_ROTARY_NTK,    /* the base is raised until the lowest is divided by the factor */
    LS_ROTARY_LLAMA3  /* low ones are divided by the factor, high ones are not */
} LsRotaryScaling;

/* Options of ls_rotary, explained above its builder (src/ops/rotary.c). An option that is not set is 0. */
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
