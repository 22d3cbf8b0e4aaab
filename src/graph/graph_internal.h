/* The graph's insides, shared by the files of this folder only. */
#ifndef LS_GRAPH_INTERNAL_H
#define LS_GRAPH_INTERNAL_H

#include "base/names.h"
#include "lockstep/adapters.h"
#include "lockstep/op.h"

#define LS_SCOPE_BYTES 512
#define LS_SCOPE_DEPTH 16

/* Where a block of the arena lives, and when: forward of node i is time i; times of backward and of what is recomputed
 * for it follow (see lifetimes.c). */
typedef struct LsBlock {
    int64_t bytes, offset;
    int first, last;
} LsBlock;

typedef struct LsNamedOutput {
    char *name;
    LsTensor *tensor;
} LsNamedOutput;

/* A tensor as planner and executor see it, beside LsTensor. */
typedef struct LsTensorPlan {
    bool kept;                  /* an output: lives to the end */
    bool of_base;               /* a parameter of ls_params_base */
    bool seed;                  /* backward starts here */
    bool active;                /* on a path from something with a gradient to a seed */
    bool zero_grad;             /* an active node's result that nobody contributes to: zeroed before its backward */
    bool owns_data, owns_grad;  /* allocated by this graph, outside the arena */
    int data_block, grad_block; /* -1: not in the arena */
    const LsTensor *aliases_grad_of; /* data lies in this parameter's gradient; NULL: it does not */
    int recompute_block;             /* of data, once the producer's forward was recomputed; -1: it is not */
    int producer;                    /* index of the node that makes it; -1: none */
    int last, recompute_last;        /* last time at which data is read, in either block */
    double low, high;                /* range of values for ls_case_* */
} LsTensorPlan;

typedef struct LsNodePlan {
    bool active;
    uint32_t add_first, add_more; /* node->add for the first micro-batch and for those after */
    bool fused, fused_back;       /* forward, backward of the node before are part of this node's (LsOp.fuses) */
    int forward_block, backward_block, recompute_block; /* scratch */
    /* results are let go of after forward; backward has them recomputed where it needs them */
    bool dropped;
    int backward_time, recompute_time; /* recompute_time -1: forward is made once */
    int recomputes; /* the first so many of g->recompute are recomputed before this node's backward */
    int64_t ready;  /* all parameters at or after this offset are final after this node's backward */
    double forward_seconds, backward_seconds, recompute_seconds;
    int64_t calls;
} LsNodePlan;

struct LsGraph {
    LsParams *params;
    LsGraphOptions options;
    bool (*frozen)(const void *self, const char *name); /* ls_graph_freeze */
    const void *frozen_self;
    LsIsa isa;
    const LsOp *const *ops;

    int tensors, tensor_room;
    LsTensor **tensor;
    LsTensorPlan *tensor_plan;
    LsNames *param_tensors; /* indices of the parameters' tensors, by name */
    int nodes, node_room;
    LsNode **node;
    LsNodePlan *node_plan;
    int outputs, output_room;
    LsNamedOutput *output;

    LsAdapters *adapters; /* NULL: everything learns */

    char scope[LS_SCOPE_BYTES];
    size_t scope_end[LS_SCOPE_DEPTH];
    int scope_depth;

    LsStatus failed;
    char *message;
    bool state_refused; /* ls_state was asked for in a training graph */
    LsTensor placeholder;

    LsGraph *states_of;      /* shares this graph's states */
    const LsGraph *arena_of; /* computes in this graph's arena */
    bool planned;
    int recomputes, *recompute; /* (nodes) nodes whose forward is recomputed, in that order */
    int end_time;               /* one past the last */
    int64_t *live;              /* (end_time + 1) while planning: bytes */
    int blocks, block_room;
    LsBlock *block;
    char *arena;
    bool owns_arena;
    int64_t arena_bytes;
    LsMemory memory;
    /* start and end, in training also the gradients of both: each `carry_bytes`, all carries one after the other */
    char *carries;
    int64_t carry_bytes;
};

/* Appends the name in the current scope; the caller frees. NULL with the error recorded. */
char *ls_scoped_name(LsGraph *g, const char *name);

/* A new tensor of this graph, or NULL with the error recorded. Takes over `name`. */
LsTensor *ls_tensor_new(LsGraph *g, char *name, LsRole role, LsDtype dtype, int rank, const int64_t *dim);

/* Grows an array of `room` elements so that one more fits. */
bool ls_grow(void **array, int *room, int count, size_t size);

int64_t ls_tensor_bytes(const LsGraph *g, const LsTensor *x);

/* ---- Planning (plan.c calls the others) ---- */

/* From every node's `dropped`: what is recomputed and when, blocks with lifetimes. */
LsStatus ls_plan_blocks(LsGraph *g) LS_MUST_USE;

/* Most bytes of blocks that live at one time: no arena can be smaller. */
int64_t ls_plan_live(LsGraph *g);

/* Gives the blocks their offsets. */
LsStatus ls_plan_arena(LsGraph *g) LS_MUST_USE;

/* Chooses what is dropped and recomputed so that the arena takes at most `limit` bytes, for little time; lays it out.
 * LS_RESOURCE with the least that would do where nothing does. */
LsStatus ls_plan_fit(LsGraph *g, int64_t limit) LS_MUST_USE;

/* May node n be dropped? Not with results that are kept, states that it changes, or other ranks that it speaks to. */
bool ls_plan_can_drop(const LsGraph *g, int n);

/* Forward, backward of node n are done by the node after it. */
static inline bool ls_plan_done_by_next(const LsGraph *g, int n)
{
    return n + 1 < g->nodes && g->node_plan[n + 1].fused;
}
static inline bool ls_plan_done_by_next_back(const LsGraph *g, int n)
{
    return n + 1 < g->nodes && g->node_plan[n + 1].fused_back;
}

/* Seconds of a node's forward on a typical machine: for comparing nodes. */
double ls_plan_seconds(const LsNode *node);

/* Gradients of parameters are LS_ACC whatever the parameter is seen as; others are of their tensor's type. */
static inline LsDtype ls_grad_dtype(const LsTensor *x) { return x->role == LS_ROLE_PARAM ? LS_ACC : x->dtype; }
static inline int64_t ls_grad_bytes(const LsGraph *g, const LsTensor *x)
{
    return x->count * ls_graph_element_bytes(g, ls_grad_dtype(x));
}

/* Element i of an array of this type, in this graph's precision. */
double ls_element(const LsGraph *g, const void *data, LsDtype dtype, int64_t i);
void ls_set_element(const LsGraph *g, void *data, LsDtype dtype, int64_t i, double value);

/* The store that a parameter's tensor is of. */
static inline LsParams *ls_store_of(const LsGraph *g, const LsTensor *x)
{
    return g->tensor_plan[x->id].of_base ? ls_params_base(g->params) : g->params;
}

/* Does what has this name get a gradient (LsGraphOptions.learns, ls_graph_freeze)? */
bool ls_graph_learns(const LsGraph *g, const char *name);

/* running.c: gives a running value its memory. */
LsStatus ls_running_bind(LsGraph *g, LsTensor *x) LS_MUST_USE;

/* states.c: gives a state its memory, or that of the graph whose states this one shares. */
LsStatus ls_state_bind(LsGraph *g, LsTensor *x) LS_MUST_USE;

/* Gives every tensor of a laid-out graph its memory. */
LsStatus ls_graph_bind(LsGraph *g) LS_MUST_USE;

/* Fills with NaN (bytes 0xff: a NaN in every float format, -1 in integers). */
void ls_poison(void *data, int64_t bytes);

/* One node's forward: with that of the node before where it is fused, nothing where the next node does it. */
LsStatus ls_node_forward(LsGraph *g, int n, const LsRun *run) LS_MUST_USE;

/* grad_columns.c: lets ops that share out the columns of a tensor write their part of its gradient, where one
 * would add to the zeros of another. */
void ls_plan_grad_columns(LsGraph *g);

/* carry.c: refuses ops that cannot work on a part of the time; lays out and gives memory to carries. */
LsStatus ls_check_segmented(const LsNode *node) LS_MUST_USE;
int64_t ls_carries_all_bytes(const LsGraph *g);
LsStatus ls_carries_bind(LsGraph *g) LS_MUST_USE;

/* Backward with the seeds' gradients already in place. */
LsStatus ls_graph_backward_seeded(LsGraph *g, const LsRun *run, bool accumulate, const LsHooks *hooks);

/* Brings the 8-bit copies of the parameters up to date, where there are any. */
void ls_params_quantise(const LsParams *params);

/* In which form g reads a parameter. */
LsForm ls_param_form(const LsGraph *g, const LsTensor *x);

/* The store's base, made where it is the first graph. NULL with a message. */
LsParams *ls_params_base_make(LsParams *params);

/* Declares parameter `name` or finds it; index or -1 with a message. */
int ls_params_declare(LsParams *params, const char *name, LsInit init, unsigned flags, int rank, const int64_t *dim);

#endif
