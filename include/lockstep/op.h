/* For authors of an op: one file in src/ops that fills in an LsOp, and one line in ops.def.
 *
 * An op is a constant table entry that nodes point to. Nothing outside the op's file asks which op it is,
 * but that an op may name the one before it whose work it can do as well (fuses).
 */
#ifndef LOCKSTEP_OP_H
#define LOCKSTEP_OP_H

#include "lockstep/graph.h"

#include <stdio.h>

#define LS_MAX_IN 16
#define LS_MAX_OUT 4

typedef struct LsOp LsOp;

struct LsNode {
    const LsOp *op;
    char *name; /* scope + op name + number */
    LsGraph *graph;
    int inputs, outputs;
    LsTensor *in[LS_MAX_IN]; /* an optional input left out is NULL */
    LsTensor *out[LS_MAX_OUT];
    void *attr;    /* a copy of what the builder gave ls_node, or NULL */
    void *scratch; /* valid during one forward or backward call only; contents undefined at entry */
    int64_t scratch_forward, scratch_backward; /* bytes, set by infer */
    uint32_t want;                             /* bit i: the gradient of in[i] is wanted */
    uint32_t add;                              /* bit i: backward adds to in[i]->grad; else it overwrites */
    /* bit i: others write the columns of in[i]->grad that are not this op's (LsOp.grad_columns): leave them alone */
    uint32_t partial_grad;
    uint64_t key; /* of the node's name, for counter-based random numbers */
    /* during a call: the node whose forward or backward is fused into this one's (LsOp.fuses); NULL: none is */
    const LsNode *fused_producer;
};

/* Whether an op's forward or backward speaks to other ranks. All ranks must then come to it in one order and number of
 * times, so that its forward is never run again in backward: ranks may plan unlike. */
typedef enum LsCollective {
    LS_ALONE,
    LS_COLLECTIVE,           /* through run->comm */
    LS_COLLECTIVE_WITH_CARRY /* through run->sequence, where an input is a carry */
} LsCollective;

struct LsOp {
    const char *name;
    const char *formula;

    /* Checks the inputs' shapes (ls_node_fail with one message), sets scratch, makes the outputs with ls_node_output:
     * out[0] is the result, the others are statistics saved for backward and get no gradient. */
    LsStatus (*infer)(LsNode *node);

    LsStatus (*forward)(const LsNode *node, const LsRun *run);

    /* Writes (or adds, by node->add) the gradients asked for in node->want. NULL: the op stops gradients.
     * May use out[0]->grad as room to work in: nobody reads it afterwards.
     * Must be bit-identical for any number of threads. */
    LsStatus (*backward)(const LsNode *node, const LsRun *run);

    /* The plain forward, written to be read; forward is compared with it. NULL where forward itself is plain. */
    LsStatus (*reference)(const LsNode *node, const LsRun *run);

    void (*cost)(const LsNode *node, LsCost *forward, LsCost *backward);

    /* The columns (of the last dimension) of in[i]'s gradient that this op contributes to, false: all.
     * Where the users of a tensor share out its columns, each overwrites its own and leaves the others
     * alone (node->partial_grad); otherwise an op that overwrites zeroes the rest. NULL: all. */
    bool (*grad_columns)(const LsNode *node, int i, int64_t *first, int64_t *count);

    uint32_t saves_in, saves_out; /* bits: data of these inputs and outputs that backward reads */
    /* Inputs that must be parameters, and inputs that must be running values; all others must be neither:
     *
     *     input        bit in       its gradient, written or added to in backward by node->add
     *     activation   -            in LS_REAL (LS_ACC where it is of that type), dL/dx
     *     parameter    param_in     in LS_ACC, dL/dw
     *     running      running_in   in LS_ACC, by how much the value is to move (ls_running)
     *
     * A parameter reaches an input that takes activations through ls_broadcast, which repeats it for each sample (a
     * class token before a sequence, the vector v of additive attention, a bias that is added to what no
     * linear layer made: ls_add(g, x, ls_broadcast(g, b, ...))). An activation cannot take the place of a parameter:
     * that is another op (mul for a scale, a product of activations for weights). */
    uint32_t param_in, running_in;
    LsCollective collective;
    /* results at one position of the sequence depend on other positions or on its number: the op can work on a part
     * of the time only where it is given a carry (ls_carry); otherwise graphs of parts refuse it */
    bool mixes_time;
    /* bits: inputs whose memory out[0] may take over if nobody else needs it (same bytes). Backward then also may
     * write that input's gradient over out[0]'s: element i depends on element i only. */
    uint32_t in_place;

    /* grad_alias[k] = i + 1: out[k] is the gradient of parameter in[i] for an upstream gradient of 1. Where that memory
     * is free in forward, out[k]->data is in[i]->grad (LsGraphOptions.single_pass) */
    uint8_t grad_alias[LS_MAX_OUT];

    /* Fusion. Name of an op (the producer) whose work this op's calls can do along with their own, in one pass over
     * memory, where the producer is the node before and makes in[0]; NULL: none. node->fused_producer is the
     * producer during such a call and NULL during others:
     *
     *     call      it is     node->add bit 0   done beside this op's own results
     *     forward   NULL      -                 nothing
     *     forward   producer  -                 the producer's result is written to in[0]->data
     *     backward  NULL      0, 1              in[0]->grad is written, or added to
     *     backward  producer  0                 the producer's gradients are written, from this op's gradient of in[0]
     *     backward  producer  1                 the same, from the sum of this op's gradient of in[0] and in[0]->grad
     *
     * The bits are those of one op after the other. A fused backward leaves in[0]->grad alone, unless one of the
     * producer's gradients lies there; it is called only where all of the producer's gradients would be written, none
     * added to. Of the producer it takes that its backward reads no data and that its gradients have in[0]'s shape;
     * its result may lie in one of its inputs (in_place). */
    const char *fuses;

    /* Builds the case number `which` (0, 1, …) with ls_case_* inputs and one call of the op's builder; false past the
     * last. One list serves the gradient check, the comparison with the reference at every instruction set, and the
     * benchmark. Keep each under some thousand elements; odd sizes and every option at least once. */
    bool (*cases)(LsGraph *g, int which);

    /* Relative error allowed in float against the double build, as a multiple of 2^-24; 0 means 64. Say why where it is
     * set. */
    double tolerance;

    /* Error allowed in bfloat16 beside the rounding of each result and the above, as a multiple of 2^-8 of the result's
     * largest magnitude: for intermediate values that the op rounds (a pre-activation that it keeps, say). 0 where it
     * rounds results only. Say why where it is set. */
    double bf16_ulps;
};

/* Adds a node of the op called `op` with these inputs; runs its infer. attr: copied, attr_bytes long. Returns the
 * node's out[0], or the placeholder after an error. */
LsTensor *ls_node(LsGraph *g, const char *op, int inputs, LsTensor *const *in, const void *attr, size_t attr_bytes);

/* For infer: declares the next output. For index 0 of an op with backward it gets a gradient where an input has one.
 * Further results that need gradients too: set ->needs_grad (all results of split, say). */
LsTensor *ls_node_output(LsNode *node, LsDtype dtype, int rank, const int64_t *dim);

/* For builders, in graphs with int8_weights: parameter w: (N, K) in 8 bits, as a tensor of LS_I8; and for forward, the
 * scales of its rows: w_jk is about scale[j] x_jk, at most scale[j] / 2 off. */
bool ls_graph_int8_weights(const LsGraph *g);
LsTensor *ls_param_int8(LsGraph *g, LsTensor *w);
const float *ls_param_row_scale(const LsGraph *g, const LsTensor *w);

/* For infer: "layer.3.linear: ...", LS_USAGE. ls_shape_text gives "(2, 3, 4)" in one of a few rotating buffers. */
LsStatus ls_node_fail(const LsNode *node, const char *format, ...) LS_PRINTF(2, 3);
const char *ls_shape_text(const LsTensor *x);

/* For cases: an input with values drawn uniformly from [low, high) (integers for LS_I32) when the checker fills it; a
 * parameter likewise; a state likewise, which makes the case one of decoding alone. */
LsTensor *ls_case_input(LsGraph *g, const char *name, LsDtype dtype, double low, double high, int rank,
                        const int64_t *dim);
LsTensor *ls_case_param(LsGraph *g, const char *name, unsigned flags, double low, double high, int rank,
                        const int64_t *dim);
LsTensor *ls_case_state(LsGraph *g, const char *name, LsDtype dtype, double low, double high, int rank,
                        const int64_t *dim);

/* A carry, with values likewise before the first step. The case is checked twice: in a training graph of parts,
 * to which this switches the graph, with the end and both gradients of the carry; and while decoding, where it
 * is a state. */
LsTensor *ls_case_carry(LsGraph *g, const char *name, LsDtype dtype, double low, double high, int rank,
                        const int64_t *dim);

/* A running value, drawn likewise. The amount that it is to move by is compared between builds, as gradients are, but
 * not with central differences. */
LsTensor *ls_case_running(LsGraph *g, const char *name, double low, double high, int rank, const int64_t *dim);

/* Other ranks hold the rest of this part of the time. */
static inline bool ls_over_ranks(const LsRun *run) { return run->sequence && run->sequence->size > 1; }

/* All builds of all ops: the table for a precision and an instruction set, ended by NULL. A build that does not exist
 * falls back to the next lower instruction set. */
const LsOp *const *ls_op_table(LsPrecision precision, LsIsa isa);

/* Makes an op known that is in no list: of a program that is not ours. Call it before any graph is made; the entries
 * must live on. One build for each precision (lockstep/op_build.h), which all instruction sets use. LS_USAGE where the
 * name is taken, the builds have not one name, or after LS_MAX_ADDED_OPS. */
#define LS_MAX_ADDED_OPS 64
LsStatus ls_op_add(const LsOp *float32, const LsOp *bfloat16, const LsOp *float64) LS_MUST_USE;

/* The same of the builds that the CMake function lockstep_add_ops has compiled. */
#define LS_OP_ADD(name)                                                                                                \
    ({                                                                                                                 \
        extern const LsOp ls_op_##name##_f32, ls_op_##name##_bf16, ls_op_##name##_f64;                                 \
        ls_op_add(&ls_op_##name##_f32, &ls_op_##name##_bf16, &ls_op_##name##_f64);                                     \
    })

/* Checks all cases of an op, as Lockstep's tests do: gradients in double against central differences, the fast forward
 * against the plain one, and the builds of float and bfloat16 at every instruction set of this machine against double.
 * LS_ERROR with the worst element in the message; LS_USAGE where there is no op of this name, or it has no cases. */
LsStatus ls_op_check(const char *name) LS_MUST_USE;

/* Prints name and formula of every op, or one op with its cases, their shapes and costs: as `lockstep ops` does.
 * LS_USAGE where there is none of this name. */
void ls_ops_print(FILE *file);
LsStatus ls_op_print(const char *name, FILE *file) LS_MUST_USE;

#endif
