/* Building, planning and running a graph.
 *
 * A model is a short builder that lists ops on tensors. It is run once per shape; the graph is planned once; then it
 * runs step after step without allocating.
 *
 *     LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
 *     LsTensor *x = ls_input(g, "x", LS_REAL, 2, (int64_t[]){8, 16});          // x: (B, C)
 *     LsTensor *w = ls_param(g, "w", ls_init_normal(0.02), 2, (int64_t[]){32, 16});
 *     LsTensor *y = ls_output(g, "y", ls_linear(g, x, w, NULL, LS_NO_ACTIVATION));
 *     if (ls_graph_plan(g)) ...
 *
 * Builder calls never return NULL: after the first error (a wrong shape, say) they return a placeholder, do nothing,
 * and ls_graph_plan returns that error. So builders need no checks of their own.
 */
#ifndef LOCKSTEP_GRAPH_H
#define LOCKSTEP_GRAPH_H

#include "lockstep/tensor.h"

#include <stdio.h>

typedef enum LsMode {
    LS_TRAIN, /* forward and backward, dropout on */
    LS_EVAL,  /* forward only, dropout off */
    LS_DECODE /* forward only, with states: continues where the last run ended */
} LsMode;

typedef struct LsGraphOptions {
    LsMode mode;
    LsPrecision precision;
    /* not for training: dense layers read their weights in 8 bits, rounded from the store's (see linear_int8) */
    bool int8_weights;
    bool reference;   /* run the ops' plain reference forward instead of the fast one, where there is one */
    bool grad_inputs; /* want gradients of LS_REAL and LS_ACC inputs too (gradient checks) */
    bool profile;     /* time every node */
    const char *loss; /* the output that backward starts from; NULL: "loss" */
    /* training: only parameters whose names begin so ("generator.") get gradients, and backward computes nothing that
     * only the others would need; NULL: all parameters. The text must live as long as the graph. */
    const char *learns;
    bool poison;        /* debugging: fill everything that must be written with NaN before each node runs */
    bool recompute_all; /* debugging: drop every result that can be recomputed, whatever that saves */
    /* debugging: no op does another's work along with its own (LsOp.fuses): the same bits in more time */
    bool no_fusion;
    const LsComm *comm; /* NULL: ls_comm_self() */
    /* training and evaluation: a run sees a part of each sequence, what comes before and after it is carried
     * (ls_carry) */
    bool segmented;
    /* backward is never told to accumulate: forward may work in the memory of the parameters' gradients */
    bool single_pass;
    /* bytes for activations, their gradients and scratch; 0: as many as it takes. Where more are wanted, planning
     * drops results after forward and has backward recompute them: the same bits in more time */
    int64_t arena_limit;
    int64_t arena_room; /* bytes that the arena has at least: for a graph that shares it (ls_graph_share_arena) */
} LsGraphOptions;

/* A graph on `params`, which must outlive it. NULL with a message when out of memory or LOCKSTEP_ISA is wrong. */
LsGraph *ls_graph_new(LsParams *params, const LsGraphOptions *options);
void ls_graph_free(LsGraph *g);

/* ---- Builder calls -------------------------------------------------------------------------------------------- */

/* Named as given, in whatever scope: ls_graph_find finds it by that name. */
LsTensor *ls_input(LsGraph *g, const char *name, LsDtype dtype, int rank, const int64_t *dim);

/* The parameter of this name in the current scope: declared in the store at first use, bound where it exists (its
 * shape must agree). Using one twice ties it. Ops see it as LS_REAL (LS_ACC with LS_PRECISE). */
LsTensor *ls_param(LsGraph *g, const char *name, LsInit init, int rank, const int64_t *dim);
LsTensor *ls_param_flags(LsGraph *g, const char *name, LsInit init, unsigned flags, int rank, const int64_t *dim);

/* A value that is saved with the parameters but not trained, such as the mean of batches that evaluation uses: LS_ACC,
 * named, declared and tied as parameters are, in the store's second part (LsParams.running). Evaluation and decoding
 * read it. In training, where its name learns (LsGraphOptions.learns), the op that takes it leaves in its gradient by
 * how much it is to move, and ls_running_update moves it after the step: forward must not, since it may run twice. For
 * ops that take running values (LsOp.running_in). */
LsTensor *ls_running(LsGraph *g, const char *name, LsInit init, int rank, const int64_t *dim);

/* A tensor that survives between runs; dim[0] is the stream. Zero at first and after ls_graph_reset_states. Graphs that
 * share states do it with ls_graph_share_states. Not in training graphs, where ls_carry hands on the gradient too. */
LsTensor *ls_state(LsGraph *g, const char *name, LsDtype dtype, int rank, const int64_t *dim);

/* The state of a recurrent op at the border between two parts of a sequence: the op starts from it and leaves the state
 * for the next part; it is zero at the sequence's beginning. While decoding this is ls_state. In training and
 * evaluation it is NULL where a run sees whole sequences, and with the option `segmented` a tensor with gradient: data
 * and grad belong to the state before the first step, end->data and end->grad to that after the last. For use by one
 * op. */
LsTensor *ls_carry(LsGraph *g, const char *name, LsDtype dtype, int rank, const int64_t *dim);

/* Prefixes the names made until the matching ls_pop: scopes nest with dots, "layer.3" + "in_w" = "layer.3.in_w". */
void ls_push(LsGraph *g, const char *format, ...) LS_PRINTF(2, 3);
void ls_pop(LsGraph *g);

/* Result number `index` of the op whose first result is `first`. */
LsTensor *ls_tensor_sibling(LsTensor *first, int index);

/* Keeps x to the end of the run and makes it findable by name. Returns x. */
LsTensor *ls_output(LsGraph *g, const char *name, LsTensor *x);

/* Records an error of a builder (for models: settings that do not fit together). */
void ls_graph_fail(LsGraph *g, LsStatus status, const char *format, ...) LS_PRINTF(3, 4);

LsMode ls_graph_mode(const LsGraph *g);

/* ---- Planning and running -------------------------------------------------------------------------------------- */

typedef struct LsMemory {
    /* bytes; shadows: copies in the graph's precision */
    int64_t parameters, shadows, gradients, activations, scratch, states, inputs;
} LsMemory;

/* Orders, plans lifetimes, lays out the arena. `dry`: computes ls_graph_memory without allocating or binding. Not dry:
 * params must be allocated. Returns the first error of the build; LS_RESOURCE, with the least that would do, where no
 * plan keeps the arena to options.arena_limit. */
LsStatus ls_graph_plan(LsGraph *g) LS_MUST_USE;
LsStatus ls_graph_plan_dry(LsGraph *g) LS_MUST_USE;
LsMemory ls_graph_memory(const LsGraph *g);

/* The nodes that are computed again in backward, so that the arena keeps to options.arena_limit. */
typedef struct LsRecomputed {
    int nodes;
    double share; /* of the time of forward, by the ops' costs */
} LsRecomputed;
LsRecomputed ls_graph_recomputed(const LsGraph *g);

/* Lets g compute in the arena of `from`, where that is large enough, instead of one of its own: the results of each are
 * lost when the other runs. Call before ls_graph_plan of g; `from` must be planned and must outlive g. */
LsStatus ls_graph_share_arena(LsGraph *g, const LsGraph *from) LS_MUST_USE;

/* The numbers and communicators that a run depends on besides its tensors. */
typedef struct LsRun {
    uint64_t seed;
    int64_t step;
    int64_t sample; /* global number of the first sample of this rank's micro-batch: dropout draws by it */
    bool training;
    const LsComm *comm;
    int64_t token; /* number in its sequence of the first token of the part that this run sees */
    /* the ranks that hold this part of the sequences, in order of time; NULL: this one alone */
    const LsComm *sequence;
} LsRun;

/* Called during backward. `ready(self, from)`: gradients of all floats at or after `from` in params->grad are final;
 * those of parameters that do not learn are never touched, so nothing waits for them.
 * `poll(self)`: between nodes, to drive communication. Either may be NULL. */
typedef struct LsHooks {
    LsStatus (*ready)(void *self, int64_t from);
    LsStatus (*poll)(void *self);
    void *self;
} LsHooks;

LsStatus ls_graph_forward(LsGraph *g, const LsRun *run) LS_MUST_USE;

/* Back-propagates from the loss with upstream gradient `scale` in its every element.
 * accumulate: add to params->grad instead of overwriting it (micro-batches after the first). */
LsStatus ls_graph_backward(LsGraph *g, const LsRun *run, double scale, bool accumulate,
                           const LsHooks *hooks) LS_MUST_USE;

/* The input or output of this name, or NULL. Write inputs' data before forward; read outputs' data after. */
LsTensor *ls_graph_find(const LsGraph *g, const char *name);

LsPrecision ls_graph_precision(const LsGraph *g);
int64_t ls_graph_element_bytes(const LsGraph *g, LsDtype dtype);

/* The output number i, from 0, and its name; NULL past the last. */
LsTensor *ls_graph_output(const LsGraph *g, int i, const char **name);

/* Copies between a tensor and floats, whatever its element type (LS_I32 excepted: use its data as int32_t). */
void ls_tensor_get(const LsGraph *g, const LsTensor *x, float *to);
void ls_tensor_set(const LsGraph *g, LsTensor *x, const float *from);
/* Elements first .. first + count - 1 alone. */
void ls_tensor_get_part(const LsGraph *g, const LsTensor *x, int64_t first, int64_t count, float *to);
void ls_tensor_set_part(const LsGraph *g, LsTensor *x, int64_t first, int64_t count, const float *from);

/* Brings copies of the parameters (the store's bfloat16 shadow, the double build's) up to date after their values
 * changed other than by an optimiser's step, which does it itself. */
void ls_graph_refresh(LsGraph *g);

/* After a step of a training graph: moves every running value that learns in it by the mean over the ranks of comm and
 * so many micro-batches of what its op left in backward. One sum over the ranks. Collective; nothing where the graph
 * has no such values. */
LsStatus ls_running_update(LsGraph *g, const LsComm *comm, int64_t micro_batches) LS_MUST_USE;

/* States: how many, each by index, all to zero, and shared: from now on g uses those of `from` with equal names. Call
 * ls_graph_share_states before ls_graph_plan of g. */
int ls_graph_states(const LsGraph *g);
LsTensor *ls_graph_state(const LsGraph *g, int index);
void ls_graph_reset_states(LsGraph *g);
LsStatus ls_graph_share_states(LsGraph *g, LsGraph *from) LS_MUST_USE;

/* Replaces stream b of every state by a copy of stream from[b], in place (beam search). from: (dim[0] of every state);
 * a stream may be copied to several places or to none. */
LsStatus ls_graph_reorder_states(LsGraph *g, const int32_t *from) LS_MUST_USE;

/* ---- Sequences in parts ----------------------------------------------------------------------------------------
 *
 * A graph built with the option `segmented` for T tokens trains on longer sequences exactly, with the activations of
 * T tokens only:
 *
 *     ls_carries_reset(g);
 *     for (part = 0; part < parts - 1; part++) {
 *         keep(part); fill inputs;
 *         ls_graph_forward_carries(g, run); ls_carries_advance(g, run);
 *     }
 *     for (part = parts - 1; part >= 0; part--) {
 *         restore(part); fill inputs;
 *         ls_graph_forward(g, run); ls_graph_backward(g, run, 1, part < parts - 1, NULL);
 *         ls_carries_retreat(g, run);
 *     }
 *
 * With run->sequence of N ranks a part is N T tokens, of which rank r holds the r-th T. */

/* Bytes of all carries' data; copies of it, as it is before a part. */
int64_t ls_carries_bytes(const LsGraph *g);
void ls_carries_keep(const LsGraph *g, void *to);
void ls_carries_restore(LsGraph *g, const void *from);

/* Before the first part: data zero, and the gradient of the end, from which the last part's backward starts. clear:
 * data alone. */
void ls_carries_reset(LsGraph *g);
void ls_carries_clear(LsGraph *g);

/* The end of this part is the start of the next; the gradient of this part's start is that of the end of the part
 * before. Collective over run->sequence. */
LsStatus ls_carries_advance(LsGraph *g, const LsRun *run) LS_MUST_USE;
LsStatus ls_carries_retreat(LsGraph *g, const LsRun *run) LS_MUST_USE;

/* For states that go on from one training step to the next: numbers that all carries hold of one stream; the carries'
 * starts from, and their ends to, (B, numbers). */
int64_t ls_carries_stream_numbers(const LsGraph *g);
void ls_carries_set_streams(LsGraph *g, const float *streams);
void ls_carries_get_streams(const LsGraph *g, float *streams);

/* Forward as far as the last op that carries something. Outputs are not valid after it. */
LsStatus ls_graph_forward_carries(LsGraph *g, const LsRun *run) LS_MUST_USE;

/* Checks every parameter gradient and every kept output for values that are not finite; on finding one, LS_DIVERGED
 * with the first bad tensor in graph order named in the message. Not collective. */
LsStatus ls_graph_check_finite(LsGraph *g) LS_MUST_USE;

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

typedef struct LsCost {
    double flops, bytes;
    double products; /* of the flops, those of dense products, which run several times as fast as others */
} LsCost;

typedef struct LsProfile {
    const char *name; /* the op's */
    int64_t calls;
    double forward_seconds, backward_seconds;
    double recompute_seconds; /* of forward in backward, to save memory */
    LsCost forward, backward; /* of all calls together, without what was recomputed */
} LsProfile;

/* Sums of a training step's cost over all nodes; and one row per kind of op (profile must be on), at most `room`.
 * Returns the number of rows. */
LsCost ls_graph_cost(const LsGraph *g);
int ls_graph_profile(const LsGraph *g, LsProfile *rows, int room);
void ls_graph_profile_reset(LsGraph *g);

/* A table of nodes: name, op, shapes, bytes. */
void ls_graph_print(const LsGraph *g, FILE *to);

#endif
