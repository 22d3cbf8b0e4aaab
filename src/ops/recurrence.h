/* Shared by recurrent layers of all cells: at step s
 *
 *     (h_s, c_s) = cell(x_t, h_{s-1} w^T, c_{s-1}),   y_t = h_s
 *
 * with x: (B, T, G H), the inputs' share of the G gates with their biases, which a dense layer makes of the whole
 * sequence at once. t is s or, in reverse, length - 1 - s. Past a stream's length its state stands still and y is 0, as
 * in PyTorch's packed sequences.
 *
 * Work is cut by units and streams. Each thread packs the columns of w that make its units' gates, keeps them in its
 * cache over all steps, and applies the cell to a piece of the product at once; threads meet once a step, or twice where
 * the products' kernel has to finish what was written for them. A thread's piece does not enter any sum, so results are
 * the same bits for any number of threads.
 *
 * An op's file has its cell: the arithmetic of a vector of units forward and backward, and the plain form. */
#ifndef LS_OPS_RECURRENCE_H
#define LS_OPS_RECURRENCE_H

#include "base/pieces.h"
#include "gemm/packed.h"
#include "ops/op_build.h"
#include "ops/vec_math.h"

#include <omp.h>

enum { X, W, BIAS, START_H, START_C, STATE_H, STATE_C, LENGTHS, INPUTS };

enum {
    MOST_GATES = 4,
    MOST_SAVED = 5,
    COLUMNS = LS_PACKED_COLUMNS, /* units of a piece */
    ROWS = LS_PACKED_ROWS,       /* streams of a piece */
    FEW_STEPS = 4                /* fewer of them are not worth packing w */
};

/* ---- A cell ------------------------------------------------------------------------------------------------------ */

/* A stretch of units of one stream at one step; what stands for each gate lies `units` (of u: `u_gate`) apart. */
typedef struct CellRow {
    const real *x;
    const acc *u;     /* h_{s-1} w^T */
    const real *bias; /* of the last gate's u, or NULL */
    int64_t units, u_gate;
    acc *h, *c; /* states, before and after; c NULL where the cell has none */
    real *y;
    real *saved; /* for backward, or NULL */
    void *left;  /* h for the next step's product, or NULL */
    bool left_bfloat16;
} CellRow;

/* Backward: dh and dc are those of the states after the step, then of those before it but for what goes through w. */
typedef struct CellBack {
    const real *dy, *h_before, *c_before;
    const acc *u; /* the next step's share of dh, through w */
    int64_t units;
    acc *dh, *dc;
    real *saved; /* the gates' gradients, those of u, take the first entries' place */
    real *dx;    /* or NULL */
    bool add;
    void *left[MOST_GATES]; /* the gradients of u for the step before's product */
    bool left_bfloat16;
    acc *dbias; /* += the last gate's, or NULL */
} CellBack;

typedef struct Cell {
    int gates, saved; /* G, and numbers kept for each unit: at least G, c the last of them */
    bool has_c;
    void (*forward)(const CellRow *row, int64_t count);
    void (*backward)(const CellBack *row, int64_t count);
    void (*plain)(const double *x, const double *u, double bias, double *h, double *c, double *saved);
} Cell;

LS_INLINE vacc load_acc_upto(const acc *x, int64_t n)
{
    return n >= LS_LANES ? ls_load_acc(x) : ls_load_acc_part(x, n);
}

LS_INLINE void store_acc_upto(acc *x, vacc v, int64_t n)
{
    if (n >= LS_LANES)
        ls_store_acc(x, v);
    else
        ls_store_acc_part(x, v, n);
}

LS_INLINE void store_left(void *left, bool bfloat16, int64_t j, vacc v, int64_t n)
{
    if (bfloat16)
        ls_store_upto((real *)left + j, v, n);
    else
        store_acc_upto((acc *)left + j, v, n);
}

/* A vector of units: h and c become those after the step. */
typedef void CellForward(const vacc *x, const vacc *u, vacc bias, vacc *h, vacc *c, vacc *saved);

/* dx and du: the gradients of x's gates and u's; dc and dh as in CellBack. */
typedef void CellBackward(const vacc *saved, vacc h_before, vacc c_before, vacc *dh, vacc *dc, vacc *dx, vacc *du);

LS_INLINE void cell_forward_row(const CellRow *r, int64_t count, CellForward *step, const int gates, const int saved)
{
    for (int64_t j = 0; j < count; j += LS_LANES) {
        int64_t n = ls_least(LS_LANES, count - j);
        vacc x[MOST_GATES], u[MOST_GATES], kept[MOST_SAVED], h = load_acc_upto(r->h + j, n),
                                                             c = r->c ? load_acc_upto(r->c + j, n) : (vacc){0};
#pragma GCC unroll 4
        for (int k = 0; k < gates; k++) {
            x[k] = ls_load_upto(r->x + k * r->units + j, n);
            u[k] = load_acc_upto(r->u + k * r->u_gate + j, n);
        }
        step(x, u, r->bias ? ls_load_upto(r->bias + j, n) : (vacc){0}, &h, &c, kept);
        store_acc_upto(r->h + j, h, n);
        if (r->c)
            store_acc_upto(r->c + j, c, n);
        ls_store_upto(r->y + j, h, n);
        if (r->left)
            store_left(r->left, r->left_bfloat16, j, h, n);
        if (!r->saved)
            continue;
#pragma GCC unroll 5
        for (int k = 0; k < saved; k++)
            ls_store_upto(r->saved + k * r->units + j, kept[k], n);
    }
}

LS_INLINE void cell_backward_row(const CellBack *r, int64_t count, CellBackward *step, const int gates, const int saved)
{
    for (int64_t j = 0; j < count; j += LS_LANES) {
        int64_t n = ls_least(LS_LANES, count - j);
        vacc kept[MOST_SAVED], dx[MOST_GATES], du[MOST_GATES];
        vacc dh = load_acc_upto(r->dh + j, n), dc = r->dc ? load_acc_upto(r->dc + j, n) : (vacc){0};
#pragma GCC unroll 5
        for (int k = 0; k < saved; k++)
            kept[k] = ls_load_upto(r->saved + k * r->units + j, n);
        dh += ls_load_upto(r->dy + j, n);
        if (r->u)
            dh += load_acc_upto(r->u + j, n);
        step(kept, ls_load_upto(r->h_before + j, n), r->c_before ? ls_load_upto(r->c_before + j, n) : (vacc){0}, &dh,
             &dc, dx, du);
        store_acc_upto(r->dh + j, dh, n);
        if (r->dc)
            store_acc_upto(r->dc + j, dc, n);
#pragma GCC unroll 4
        for (int k = 0; k < gates; k++) {
            ls_store_upto(r->saved + k * r->units + j, du[k], n);
            store_left(r->left[k], r->left_bfloat16, j, du[k], n);
            real *to = r->dx + k * r->units + j;
            if (r->dx)
                ls_store_upto(to, r->add ? ls_load_upto(to, n) + dx[k] : dx[k], n);
        }
        if (r->dbias)
            store_acc_upto(r->dbias + j, load_acc_upto(r->dbias + j, n) + du[gates - 1], n);
    }
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

typedef struct Recurrence {
    const Cell *cell; /* of this op in this build: set by infer's caller, not in the node's attributes */
    const LsNode *node;
    const LsPackedKernel *kernel;
    int64_t streams, steps, units, groups, blocks; /* B, T, H, pieces of units and of streams */
    int64_t longest;                               /* of the lengths */
    const int32_t *lengths;
    bool reverse;
    /* In scratch memory: */
    char *weights;     /* packed blocks: (groups, gates) */
    char *left[2];     /* of even and odd steps: h (gates' gradients, one after the other) as the products want them */
    acc *h, *c;        /* (B, H): the states, or their gradients */
    acc *u;            /* (B, G H), of few steps */
    real *few_h;       /* (B, H), of few steps */
    real *h_before;    /* backward: (T, B, H), the states before each step */
    real *c_before;    /* backward: (B, H), c before the first step */
    acc *dbias;        /* backward: (blocks, H) */
    int64_t left_gate; /* bytes of a gate's gradients in left */
    int64_t bytes;
} Recurrence;

typedef struct RecurrentAttr {
    int which; /* of the op's cells */
    bool reverse;
} RecurrentAttr;

static bool has_shape(const LsTensor *x, LsDtype dtype, int rank, const int64_t *dim)
{
    bool fits = !x || (x->dtype == dtype && x->rank == rank);
    for (int i = 0; x && fits && i < rank; i++)
        fits = x->dim[i] == dim[i];
    return fits;
}

static void *take_scratch(Recurrence *r, int64_t bytes)
{
    char *block = r->node->scratch ? (char *)r->node->scratch + r->bytes : NULL;
    r->bytes += ls_round_up(bytes, LS_ALIGN);
    return block;
}

static bool has_few_steps(const Recurrence *r, bool backward) { return !backward && r->steps < FEW_STEPS; }

static Recurrence recurrence_of(const LsNode *node, const Cell *cells, bool backward)
{
    const LsTensor *x = node->in[X];
    const RecurrentAttr *attr = node->attr;
    Recurrence r = {.cell = &cells[attr->which],
                    .node = node,
                    .kernel = ls_packed_kernel(LS_GEMM_REAL, x->dim[0], node->in[W]->dim[1]),
                    .streams = x->dim[0],
                    .steps = x->dim[1],
                    .units = node->in[W]->dim[1],
                    .lengths = node->in[LENGTHS] ? node->in[LENGTHS]->data : NULL,
                    .reverse = attr->reverse};
    r.groups = ls_ceil_div(r.units, COLUMNS);
    r.blocks = ls_ceil_div(r.streams, ROWS);
    const int64_t gates = r.cell->gates, states = r.streams * r.units;
    r.h = take_scratch(&r, states * (int64_t)sizeof(acc));
    r.c = take_scratch(&r, r.cell->has_c ? states * (int64_t)sizeof(acc) : 0);
    r.c = r.cell->has_c ? r.c : NULL;
    if (has_few_steps(&r, backward)) {
        r.u = take_scratch(&r, gates * states * (int64_t)sizeof(acc));
        r.few_h = take_scratch(&r, states * (int64_t)sizeof(real));
        return r;
    }
    r.weights = take_scratch(&r, r.groups * gates * ls_round_up(r.kernel->block_bytes(r.units), LS_ALIGN));
    r.left_gate = ls_round_up(r.kernel->left_bytes(r.streams, r.units), LS_ALIGN);
    for (int i = 0; i < 2; i++)
        r.left[i] = take_scratch(&r, r.left_gate * (backward ? gates : 1));
    if (backward) {
        r.h_before = take_scratch(&r, r.steps * states * (int64_t)sizeof(real));
        r.c_before = take_scratch(&r, r.cell->has_c ? states * (int64_t)sizeof(real) : 0);
        r.dbias = take_scratch(&r, node->in[BIAS] ? r.blocks * r.units * (int64_t)sizeof(acc) : 0);
    }
    return r;
}

static LsStatus check_shapes(const LsNode *node, const Cell *cell)
{
    LsTensor *const *in = node->in;
    const char *op = node->op->name;
    const LsTensor *x = in[X], *w = in[W];
    if (x->dtype != LS_REAL || x->rank != 3 || w->dtype != LS_REAL || w->rank != 2 ||
        w->dim[0] != cell->gates * w->dim[1] || x->dim[2] != w->dim[0])
        return ls_node_fail(node, "%s: x %s does not fit w %s: x must be (B, T, %d H), w (%d H, H)", op,
                            ls_shape_text(x), ls_shape_text(w), cell->gates, cell->gates);
    const int64_t state[] = {x->dim[0], w->dim[1]};
    if (!has_shape(in[BIAS], LS_REAL, 1, &w->dim[1]))
        return ls_node_fail(node, "%s: bias %s does not fit w %s: it must be (H)", op, ls_shape_text(in[BIAS]),
                            ls_shape_text(w));
    for (int i = START_H; i <= STATE_C; i++)
        if (!has_shape(in[i], i < STATE_H ? LS_REAL : LS_ACC, 2, state))
            return ls_node_fail(node, "%s: %s %s must be (B, H)%s, for x %s and w %s", op, in[i]->name,
                                ls_shape_text(in[i]), i < STATE_H ? "" : " of LS_ACC", ls_shape_text(x),
                                ls_shape_text(w));
    if (!has_shape(in[LENGTHS], LS_I32, 1, state))
        return ls_node_fail(node, "%s: lengths %s must be (B) integers for x %s", op, ls_shape_text(in[LENGTHS]),
                            ls_shape_text(x));
    if ((in[STATE_H] || in[STATE_C]) && (in[START_H] || in[START_C]))
        return ls_node_fail(node, "%s: it starts either from what came before (state) or from start, not both", op);
    if ((in[STATE_H] || in[STATE_C]) && ((const RecurrentAttr *)node->attr)->reverse)
        return ls_node_fail(node, "%s: in reverse it needs whole sequences, so it can carry no state", op);
    return LS_OK;
}

/* Outputs: y: (B, T, H), the last h: (B, H), the last c: (B, H) where there is one, and in training what backward
 * needs: (T, B, saved H), by step, not by time. */
static LsStatus recurrence_infer(LsNode *node, const Cell *cells)
{
    const Cell *cell = &cells[((const RecurrentAttr *)node->attr)->which];
    LS_TRY(check_shapes(node, cell));
    Recurrence r = recurrence_of(node, cells, false);
    node->scratch_forward = r.bytes;
    node->scratch_backward = recurrence_of(node, cells, true).bytes;
    const int64_t state[] = {r.streams, r.units};
    if (!ls_node_output(node, LS_REAL, 3, (int64_t[]){r.streams, r.steps, r.units}))
        return LS_RESOURCE;
    for (int i = 0; i < 1 + cell->has_c; i++) {
        LsTensor *last = ls_node_output(node, LS_REAL, 2, state);
        if (!last)
            return LS_RESOURCE;
        last->needs_grad = node->want != 0;
    }
    if (ls_graph_mode(node->graph) != LS_TRAIN)
        return LS_OK;
    const int64_t saved[] = {r.steps, r.streams, cell->saved * r.units};
    return ls_node_output(node, LS_REAL, 3, saved) ? LS_OK : LS_RESOURCE;
}

static real *saved_of(const Recurrence *r, int64_t step, int64_t stream)
{
    int number = r->cell->has_c ? 3 : 2;
    if (r->node->outputs <= number)
        return NULL;
    return (real *)r->node->out[number]->data + (step * r->streams + stream) * r->cell->saved * r->units;
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static int64_t length_of(const Recurrence *r, int64_t stream) { return r->lengths ? r->lengths[stream] : r->steps; }

/* The row of (B, T, ...) that a stream is at in this step, or -1 where it stands still. */
static int64_t row_at(const Recurrence *r, int64_t stream, int64_t step)
{
    int64_t length = length_of(r, stream);
    return step >= length ? -1 : stream * r->steps + (r->reverse ? length - 1 - step : step);
}

static LsStatus read_lengths(Recurrence *r)
{
    r->longest = r->lengths ? 0 : r->steps;
    for (int64_t b = 0; r->lengths && b < r->streams; b++) {
        if (r->lengths[b] < 0 || r->lengths[b] > r->steps)
            return ls_fail(LS_DATA, "%s: length %d of stream %lld is not within 0 and the %lld steps that there are",
                           r->node->name, (int)r->lengths[b], (long long)b, (long long)r->steps);
        r->longest = r->lengths[b] > r->longest ? r->lengths[b] : r->longest;
    }
    return LS_OK;
}

/* Zeros in the rows of x: (B, T, width) that lie past the lengths. */
static void clear_past_lengths(const Recurrence *r, real *x, int64_t width)
{
    for (int64_t b = 0; r->lengths && b < r->streams; b++)
        memset(x + (b * r->steps + r->lengths[b]) * width, 0,
               (size_t)((r->steps - r->lengths[b]) * width) * sizeof(real));
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

/* Groups of units and blocks of streams, to before the ends. */
typedef struct ThreadPart {
    int64_t first_group, end_group, first_block, end_block;
} ThreadPart;

static ThreadPart part_of(const Recurrence *r, int64_t thread, int64_t threads)
{
    int64_t across = ls_least(threads, r->groups), down = ls_least(threads / across, r->blocks);
    int64_t x = thread % across, y = thread / across;
    if (y >= down)
        return (ThreadPart){0};
    return (ThreadPart){r->groups * x / across, r->groups * (x + 1) / across, r->blocks * y / down,
                        r->blocks * (y + 1) / down};
}

/* Threads beyond what there is to do would only be waited for. */
static int wanted_threads(const Recurrence *r)
{
    enum { ALONE = 16384 }; /* multiply-adds of a step below which meeting costs more than sharing brings */
    int64_t work = r->streams * r->units * r->units * r->cell->gates, threads = ls_threads();
    return work < ALONE ? 1 : (int)ls_least(threads, r->groups * r->blocks);
}

static void *block_at(const Recurrence *r, int64_t group, int64_t gate)
{
    return r->weights + (group * r->cell->gates + gate) * ls_round_up(r->kernel->block_bytes(r->units), LS_ALIGN);
}

/* Packs w for the groups from `first` to before `end`: for h w^T, or for the gates' gradients times w. */
static void pack_groups(const Recurrence *r, int64_t first, int64_t end, bool backward)
{
    LsPackedSource w = {LS_GEMM_REAL, r->node->in[W]->data, r->units, !backward};
    for (int64_t group = first; group < end; group++)
        for (int64_t gate = 0; gate < r->cell->gates; gate++) {
            int64_t unit = group * COLUMNS, width = ls_least(COLUMNS, r->units - unit), row = gate * r->units;
            r->kernel->pack(&w, backward ? row : 0, r->units, backward ? unit : row + unit, width,
                            block_at(r, group, gate));
        }
}

/* This thread's share of what is left to do with what all threads wrote for the products of a step, `gates` operands;
 * then they meet. In a parallel region. */
static void finish_left(const Recurrence *r, char *left, int gates)
{
    if (!r->kernel->finish_left)
        return;
    const int64_t panels = ls_ceil_div(r->streams, LS_PACKED_PANEL);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < gates * panels; i++) {
        int64_t row = i % panels * LS_PACKED_PANEL;
        r->kernel->finish_left(left + i / panels * r->left_gate, row, ls_least(LS_PACKED_PANEL, r->streams - row),
                               r->units);
    }
}

/* Runs compute on the ranks that hold this part of the time, one after the other in the order of the recurrence: what
 * a rank starts from is what the one before ends with. */
static LsStatus chain_over_ranks(const LsNode *node, const LsRun *run, const Cell *cells, bool backward,
                                 LsStatus (*compute)(const LsNode *node, const Cell *cells))
{
    const LsTensor *const states[] = {node->in[STATE_H], node->in[STATE_C]};
    const LsComm *comm = run->sequence;
    if (!ls_over_ranks(run) || !states[0] || states[0]->role != LS_ROLE_CARRY)
        return compute(node, cells);
    for (int i = 0; i < comm->size; i++) {
        int turn = backward ? comm->size - 1 - i : i;
        if (turn == comm->rank)
            LS_TRY(compute(node, cells));
        for (int k = 0; i + 1 < comm->size && k < 2; k++) {
            const LsTensor *s = states[k];
            if (s)
                LS_TRY(comm->shift(comm, backward ? s->grad : s->end->data, backward ? s->end->grad : s->data,
                                   s->count * (int64_t)sizeof(acc), backward));
        }
    }
    return LS_OK;
}

static void recurrence_cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double rows = (double)(node->in[X]->dim[0] * node->in[X]->dim[1]), w = (double)node->in[W]->count,
           y = (double)node->out[0]->count, x = (double)node->in[X]->count;
    double saved = node->outputs > 2 ? (double)node->out[node->outputs - 1]->count : 0;
    *fwd =
        (LsCost){.flops = 2 * rows * w + 30 * x, .bytes = (x + w + y + saved) * sizeof(real), .products = 2 * rows * w};
    *bwd = (LsCost){.flops = 4 * rows * w + 30 * x,
                    .bytes = (x + 2 * w + 3 * y + 2 * saved) * sizeof(real),
                    .products = 4 * rows * w};
}

#endif
