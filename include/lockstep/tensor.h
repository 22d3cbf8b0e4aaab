/* Tensors, the parameter store and the graph's communicator: the types that builders, ops and trainers share. */
#ifndef LOCKSTEP_TENSOR_H
#define LOCKSTEP_TENSOR_H

#include "lockstep/base.h"

#define LS_MAX_RANK 5

typedef struct LsGraph LsGraph;
typedef struct LsNode LsNode;

/* Element types, seen from the build of the ops that runs them. */
typedef enum LsDtype {
    LS_REAL, /* storage of activations: float, bfloat16 or double by the graph's precision */
    /* arithmetic: float (double in the double build): statistics, losses, scan states, gradients of parameters */
    LS_ACC,
    LS_I8, /* weights of 8 bits, each row with a scale of its own: of linear_int8 alone, never has a gradient */
    LS_I32 /* token ids, positions, class numbers; never has a gradient */
} LsDtype;

typedef enum LsPrecision { LS_FLOAT32, LS_BFLOAT16, LS_FLOAT64, LS_PRECISIONS } LsPrecision;

typedef enum LsRole {
    LS_ROLE_ACTIVATION, /* made by a node, lives in the arena between its first and last use */
    LS_ROLE_INPUT,      /* filled by the caller before a run */
    LS_ROLE_PARAM,      /* bound to the parameter store by name */
    LS_ROLE_STATE,      /* survives between runs, no gradient; first dimension is the stream */
    LS_ROLE_CARRY,      /* goes from one part of a sequence to the next, with its gradient: ls_carry */
    LS_ROLE_RUNNING     /* saved, not trained: `grad` gets what the value is to move by: ls_running */
} LsRole;

/* Row-major, contiguous. `data` and `grad` are valid after ls_graph_plan (grad NULL where none is wanted). */
typedef struct LsTensor {
    char *name;
    LsRole role;
    LsDtype dtype;
    int rank;
    int64_t dim[LS_MAX_RANK];
    int64_t count; /* product of dim */
    void *data;
    void *grad; /* same element type as data; LS_ACC for parameters and running values */
    bool needs_grad;
    /* of a state or carry: the tensor that receives its value after the last step. A state's is the state itself. */
    struct LsTensor *end;
    LsNode *producer; /* NULL unless an activation */
    int param;        /* index in the store, of a running value among those of the store; -1: neither */
    int id;           /* index in the graph */
} LsTensor;

/* ---- Parameters ---------------------------------------------------------------------------------------------- */

/* How a parameter's values are drawn: fill writes all `count` floats as a function of (key, dim, a, b) only. */
typedef struct LsInit {
    void (*fill)(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b);
    double a, b;
} LsInit;

LsInit ls_init_constant(double value);
LsInit ls_init_normal(double std);               /* N(0, std^2) */
LsInit ls_init_uniform(double low, double high); /* U[low, high) */

enum {
    LS_NO_DECAY = 1, /* never decayed; parameters of rank below 2 are not decayed anyway */
    LS_PRECISE = 2   /* ops see it as LS_ACC, never as a bfloat16 shadow (Mamba's A and D, norms' scales) */
};

/* Storage of a parameter's values that graphs read: float, bfloat16, or 8 bits with a scale for each row. */
typedef enum LsForm { LS_FORM_FLOAT, LS_FORM_BFLOAT16, LS_FORM_INT8, LS_FORMS } LsForm;

typedef struct LsParam {
    char *name;
    int rank;
    int64_t dim[LS_MAX_RANK];
    int64_t count;
    int64_t offset; /* of its first float in the flat arrays; a multiple of LS_ALIGN / sizeof(float) */
    int64_t row;    /* its first row among those of all parameters: of its scales in row_scale */
    LsInit init;
    unsigned flags;
    void *only[LS_FORMS]; /* of a frozen store: its values, in the forms that are read; NULL elsewhere */
} LsParam;

/* Named parameters in flat float arrays, in order of first use; outside any graph, so that several graphs (training,
 * evaluation, one token) bind to the same one by name. `grad` is NULL until ls_params_allocate(…, true).
 * Padding between parameters is zero in every array and stays so. */
typedef struct LsParams {
    LsParam *list;
    int count;
    int64_t total;    /* floats in each flat array, padding included */
    int64_t elements; /* parameters proper, without padding */
    float *value;
    float *grad;
    /* value rounded to bfloat16, for graphs of that precision: NULL until the first of them is planned */
    uint16_t *shadow;
    int64_t rows; /* of all parameters: a parameter has dim[0] of them */
    /* value in 8 bits, row j of a parameter times row_scale[row + j]: NULL until a graph with int8 weights is
     * planned */
    int8_t *eighths;
    float *row_scale;
    bool sealed; /* allocated: a graph may bind, not add */
    bool frozen; /* by ls_params_freeze: value, shadow and eighths are NULL, each parameter has its own memory */
    int64_t frozen_bytes;
    /* values that are saved with the parameters but not trained (ls_running), with names and shapes as theirs: a small
     * store, of each rank its own, whose floats no optimiser, norm or sum of gradients sees; NULL: there are none */
    struct LsParams *running;
    double *moves;         /* of a store of running values: (total), room for the sums of ls_running_update */
    struct LsNames *names; /* indices by name */
} LsParams;

LsParams *ls_params_new(void);
void ls_params_free(LsParams *params);

/* Allocates the flat arrays and draws every value from (seed, name), running values too. Call once, after the first
 * graph was built. */
LsStatus ls_params_allocate(LsParams *params, uint64_t seed, bool with_grad) LS_MUST_USE;

/* Instead of ls_params_allocate, for use without training: gives memory to each parameter in those forms only in which
 * g reads it, a graph that was built on params and planned dry. Graphs that read others cannot be planned later. Values
 * come by ls_params_put or ls_params_draw. */
LsStatus ls_params_freeze(LsParams *params, const LsGraph *g) LS_MUST_USE;

/* All values of parameter `index` of a frozen store; or those that ls_params_allocate would draw, of every
 * parameter. */
void ls_params_put(LsParams *params, int index, const float *value);
LsStatus ls_params_draw(LsParams *params, uint64_t seed) LS_MUST_USE;

/* Rounds value[first] .. value[first + count - 1] into the shadow, if there is one: whoever changes values does it (the
 * optimisers as they write them; ls_graph_refresh for everything). On the calling thread. */
void ls_params_shadow(const LsParams *params, int64_t first, int64_t count);

/* Index of `name`, or -1. */
int ls_params_find(const LsParams *params, const char *name);

/* ---- Communicator --------------------------------------------------------------------------------------------- */

/* Communication with the other ranks, for ops and the trainer. `dist` implements it with MPI; ls_comm_self() is the
 * world of one.
 * Every function is collective unless it says otherwise, and returns LS_LAUNCH with the library's text on failure. */
typedef struct LsComm LsComm;
struct LsComm {
    int rank, size;
    void *self;
    LsStatus (*allreduce_float)(const LsComm *comm, float *x, int64_t count);   /* in place, sum */
    LsStatus (*allreduce_double)(const LsComm *comm, double *x, int64_t count); /* in place, sum in rank order */
    LsStatus (*allreduce_max)(const LsComm *comm, int64_t *x, int64_t count);
    LsStatus (*broadcast)(const LsComm *comm, void *bytes, int64_t count, int root);
    LsStatus (*barrier)(const LsComm *comm);
    /* x_{r+1} = decay_r x_r + add_r over the ranks r in order (reverse: from the last to the first), element by
     * element: x is given on the first rank of that order; every other rank gets the x that it starts from. add is
     * overwritten. wide: double, else float. */
    LsStatus (*scan)(const LsComm *comm, void *x, const void *decay, void *add, int64_t count, bool wide, bool reverse);
    /* Sends bytes to the next rank (back: to the previous one) and receives as many from the other side; the last rank
     * sends nothing, and `receive` of the first stays as it is. */
    LsStatus (*shift)(const LsComm *comm, const void *send, void *receive, int64_t bytes, bool back);
    /* Ends the whole job at once with this exit status, after the message was printed. Not collective. */
    void (*abort)(const LsComm *comm, LsStatus status);
};

const LsComm *ls_comm_self(void);

#endif
