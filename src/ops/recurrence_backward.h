/* Backward of recurrent layers (recurrence.h): from the last step to the first
 *
 *     dh_s = dL/dy_t + direct_{s+1} + dgates_{s+1} w,   (dgates_s, direct_s, dc_{s-1}) = cell'(dh_s, dc_s)
 *
 * then dL/dw = sum over all steps of dgates_s^T h_{s-1} as one product. The gradients of the gates take the place of
 * what forward kept of them. */
#ifndef LS_OPS_RECURRENCE_BACKWARD_H
#define LS_OPS_RECURRENCE_BACKWARD_H

#include "ops/recurrence_forward.h"

/* The gradient of the state after the last step into `to`: (B, H). */
static void load_end_gradient(const Recurrence *r, int output, int state, acc *to)
{
    const real *last = r->node->out[output]->grad;
    const acc *end = r->node->in[state] ? r->node->in[state]->end->grad : NULL;
    for (int64_t i = 0; i < r->streams * r->units; i++)
        to[i] = ls_load1(last + i) + (end ? end[i] : 0);
}

static void store_start_gradient(const Recurrence *r, int start, int state, const acc *from)
{
    const LsNode *node = r->node;
    real *to = ls_wants(node, start) ? node->in[start]->grad : NULL;
    for (int64_t i = 0; to && i < r->streams * r->units; i++)
        ls_store1(to + i, ls_adds(node, start) ? ls_load1(to + i) + from[i] : from[i]);
    if (ls_wants(node, state))
        memcpy(node->in[state]->grad, from, (size_t)(r->streams * r->units) * sizeof(acc));
}

/* The states before the first step, as numbers that backward reads like later ones. */
static void write_before_first(const Recurrence *r)
{
    load_start(r, START_H, STATE_H, r->h);
    for (int64_t i = 0; i < r->streams * r->units; i++)
        ls_store1(r->h_before + i, r->h[i]);
    if (!r->c)
        return;
    load_start(r, START_C, STATE_C, r->c);
    for (int64_t i = 0; i < r->streams * r->units; i++)
        ls_store1(r->c_before + i, r->c[i]);
}

/* A stream that stands still in this step. */
static void backward_still(const Recurrence *r, int64_t step, int64_t b, int64_t unit, int64_t width)
{
    const size_t bytes = (size_t)width * (r->kernel->left_bfloat16 ? sizeof(real) : sizeof(acc));
    for (int64_t gate = 0; gate < r->cell->gates; gate++) {
        memset(saved_of(r, step, b) + gate * r->units + unit, 0, (size_t)width * sizeof(real));
        memset(r->kernel->left_at(r->left[step % 2] + gate * r->left_gate, r->units, b, unit), 0, bytes);
    }
    memset(r->h_before + (step * r->streams + b) * r->units + unit, 0, (size_t)width * sizeof(real));
}

static void backward_row(const Recurrence *r, int64_t step, int64_t b, int64_t unit, int64_t width, const acc *u)
{
    const LsNode *node = r->node;
    const int64_t row = row_at(r, b, step), block = b / ROWS, state = b * r->units + unit;
    if (row < 0) {
        backward_still(r, step, b, unit, width);
        return;
    }
    real *h_before = r->h_before + step * r->streams * r->units + state;
    if (step > 0)
        memcpy(h_before, (const real *)node->out[0]->data + row_at(r, b, step - 1) * r->units + unit,
               (size_t)width * sizeof(real));
    CellBack back = {.dy = (const real *)node->out[0]->grad + row * r->units + unit,
                     .h_before = h_before,
                     .u = u,
                     .units = r->units,
                     .dh = r->h + state,
                     .dc = r->c ? r->c + state : NULL,
                     .saved = saved_of(r, step, b) + unit,
                     .add = ls_adds(node, X),
                     .left_bfloat16 = r->kernel->left_bfloat16};
    if (r->c)
        back.c_before =
            step == 0 ? r->c_before + state : saved_of(r, step - 1, b) + (r->cell->saved - 1) * r->units + unit;
    if (ls_wants(node, X))
        back.dx = (real *)node->in[X]->grad + row * r->cell->gates * r->units + unit;
    if (ls_wants(node, BIAS))
        back.dbias = r->dbias + block * r->units + unit;
    for (int64_t gate = 0; gate < r->cell->gates; gate++)
        back.left[gate] = r->kernel->left_at(r->left[step % 2] + gate * r->left_gate, r->units, b, unit);
    r->cell->backward(&back, width);
}

/* Step -1: only what the first step's gates say of the state before it. */
static void backward_piece(const Recurrence *r, int64_t step, int64_t group, int64_t block)
{
    _Alignas(64) acc u[ROWS * COLUMNS];
    const int64_t unit = group * COLUMNS, width = ls_least(COLUMNS, r->units - unit), first = block * ROWS,
                  rows = ls_least(ROWS, r->streams - first);
    const bool last = step + 1 == r->longest;
    for (int64_t gate = 0; !last && gate < r->cell->gates; gate++)
        r->kernel->multiply(r->left[(step + 1) % 2] + gate * r->left_gate, first, rows, r->units,
                            block_at(r, group, gate), width, u, COLUMNS, gate > 0);
    for (int64_t b = first; b < first + rows; b++) {
        const acc *more = last ? NULL : u + (b - first) * COLUMNS;
        acc *dh = r->h + b * r->units + unit;
        if (step >= 0)
            backward_row(r, step, b, unit, width, more);
        else
            for (int64_t j = 0; more && j < width; j++)
                dh[j] += more[j];
    }
}

static void backward_steps(const Recurrence *r)
{
    const bool starts = ls_wants(r->node, START_H) || ls_wants(r->node, STATE_H);
    for (int i = 0; i < 2; i++)
        memset(r->left[i], 0, (size_t)(r->left_gate * r->cell->gates));
    if (ls_wants(r->node, BIAS))
        memset(r->dbias, 0, (size_t)(r->blocks * r->units) * sizeof(acc));
#pragma omp parallel num_threads(wanted_threads(r))
    {
        ThreadPart part = part_of(r, omp_get_thread_num(), omp_get_num_threads());
        if (part.first_block == 0)
            pack_groups(r, part.first_group, part.end_group, true);
#pragma omp barrier
        for (int64_t step = r->longest - 1; step >= (starts ? -1 : 0); step--) {
            for (int64_t group = part.first_group; group < part.end_group; group++)
                for (int64_t block = part.first_block; block < part.end_block; block++)
                    backward_piece(r, step, group, block);
#pragma omp barrier
            if (step >= 0)
                finish_left(r, r->left[step % 2], r->cell->gates);
        }
    }
}

static LsStatus weight_gradient(const Recurrence *r)
{
    if (!ls_wants(r->node, W))
        return LS_OK;
    const int64_t rows = r->cell->gates * r->units;
    return ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = rows,
                             .n = r->units,
                             .k = r->longest * r->streams,
                             .a = saved_of(r, 0, 0),
                             .lda = r->cell->saved * r->units,
                             .transpose_a = true,
                             .b = r->h_before,
                             .ldb = r->units,
                             .c = r->node->in[W]->grad,
                             .ldc = r->units,
                             .c_float = true,
                             .accumulate = ls_adds(r->node, W)});
}

static void bias_gradient(const Recurrence *r)
{
    acc *to = ls_wants(r->node, BIAS) ? r->node->in[BIAS]->grad : NULL;
    for (int64_t j = 0; to && j < r->units; j++) {
        acc sum = 0;
        for (int64_t block = 0; block < r->blocks; block++)
            sum += r->dbias[block * r->units + j];
        to[j] = ls_adds(r->node, BIAS) ? to[j] + sum : sum;
    }
}

static LsStatus backward_alone(const LsNode *node, const Cell *cells)
{
    Recurrence r = recurrence_of(node, cells, true);
    LS_TRY(read_lengths(&r));
    write_before_first(&r);
    load_end_gradient(&r, 1, STATE_H, r.h);
    if (r.c)
        load_end_gradient(&r, 2, STATE_C, r.c);
    backward_steps(&r);
    store_start_gradient(&r, START_H, STATE_H, r.h);
    if (r.c)
        store_start_gradient(&r, START_C, STATE_C, r.c);
    if (ls_wants(node, X) && !ls_adds(node, X))
        clear_past_lengths(&r, node->in[X]->grad, r.cell->gates * r.units);
    bias_gradient(&r);
    return weight_gradient(&r);
}

static LsStatus recurrence_backward(const LsNode *node, const LsRun *run, const Cell *cells)
{
    return chain_over_ranks(node, run, cells, true, backward_alone);
}

/* ---- An op's functions and the cases of all of them -------------------------------------------------------------- */

#define RECURRENT_FUNCTIONS                                                                                            \
    static LsStatus infer(LsNode *node) { return recurrence_infer(node, cells_of_op); }                                \
    static LsStatus forward(const LsNode *node, const LsRun *run)                                                      \
    {                                                                                                                  \
        return recurrence_forward(node, run, cells_of_op);                                                             \
    }                                                                                                                  \
    static LsStatus backward(const LsNode *node, const LsRun *run)                                                     \
    {                                                                                                                  \
        return recurrence_backward(node, run, cells_of_op);                                                            \
    }                                                                                                                  \
    static LsStatus reference(const LsNode *node, const LsRun *run)                                                    \
    {                                                                                                                  \
        return recurrence_reference(node, run, cells_of_op);                                                           \
    }

typedef enum CaseState { FROM_ZERO, FROM_START, FROM_CARRY } CaseState;

/* One case of each op, its tensors made: inputs that it does not have are NULL. */
typedef struct RecurrentCase {
    LsTensor *x, *w, *start[2], *state[2], *lengths;
    bool reverse;
} RecurrentCase;

static bool recurrent_case(LsGraph *g, int which, int64_t gates, bool has_c, RecurrentCase *c)
{
    static const struct {
        int64_t streams, steps, units;
        CaseState from;
        bool lengths, reverse;
    } table[] = {
        {1, 1, 1, FROM_ZERO, false, false},  {2, 5, 3, FROM_ZERO, false, true},    {3, 4, 5, FROM_START, true, false},
        {4, 6, 35, FROM_START, true, true},  {2, 3, 17, FROM_START, true, false},  {3, 7, 33, FROM_CARRY, false, false},
        {2, 2, 4, FROM_CARRY, false, false}, {2, 1, 19, FROM_CARRY, false, false}, {2, 6, 7, FROM_CARRY, false, false},
        {35, 5, 6, FROM_ZERO, true, false},  {2, 70, 8, FROM_ZERO, false, false}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    const int64_t b = table[which].streams, t = table[which].steps, h = table[which].units;
    const CaseState from = table[which].from;
    const double scale = h < 4 ? 0.8 : 1.5 / sqrt((double)h);
    *c = (RecurrentCase){.reverse = table[which].reverse};
    c->x = ls_case_input(g, "x", LS_REAL, -2, 2, 3, (int64_t[]){b, t, gates * h});
    c->w = ls_case_param(g, "w", 0, -scale, scale, 2, (int64_t[]){gates * h, h});
    for (int i = 0; i < 1 + has_c; i++) {
        const char *name = i ? "c" : "h";
        if (from == FROM_START)
            c->start[i] = ls_case_input(g, name, LS_REAL, -1, 1, 2, (int64_t[]){b, h});
        if (from == FROM_CARRY)
            c->state[i] = ls_case_carry(g, name, LS_ACC, -1, 1, 2, (int64_t[]){b, h});
    }
    if (table[which].lengths)
        c->lengths = ls_case_input(g, "lengths", LS_I32, 0, (double)t + 1, 1, &b);
    return true;
}

#endif
