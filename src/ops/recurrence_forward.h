/* Forward of recurrent layers (recurrence.h). */
#ifndef LS_OPS_RECURRENCE_FORWARD_H
#define LS_OPS_RECURRENCE_FORWARD_H

#include "ops/recurrence.h"

/* The state before the first step, from the input `start` or `state`, into `to`: (B, H). */
static void load_start(const Recurrence *r, int start, int state, acc *to)
{
    const LsTensor *given = r->node->in[start], *carried = r->node->in[state];
    for (int64_t i = 0; i < r->streams * r->units; i++)
        to[i] = given ? ls_load1((const real *)given->data + i) : carried ? ((const acc *)carried->data)[i] : 0;
}

static void store_end(const Recurrence *r, const acc *from, int output, int state)
{
    real *last = r->node->out[output]->data;
    for (int64_t i = 0; i < r->streams * r->units; i++)
        ls_store1(last + i, from[i]);
    if (r->node->in[state])
        memcpy(r->node->in[state]->end->data, from, (size_t)(r->streams * r->units) * sizeof(acc));
}

/* The first step's h as the products want it; zeros in the padding of both. */
static void write_first_left(const Recurrence *r)
{
    memset(r->left[0], 0, (size_t)r->left_gate);
    memset(r->left[1], 0, (size_t)r->left_gate);
    for (int64_t b = 0; b < r->streams; b++)
        for (int64_t unit = 0; unit < r->units; unit += COLUMNS) {
            void *left = r->kernel->left_at(r->left[0], r->units, b, unit);
            for (int64_t j = 0; j < ls_least(COLUMNS, r->units - unit); j++) {
                acc h = r->h[b * r->units + unit + j];
                if (r->kernel->left_bfloat16)
                    ls_store1((real *)left + j, h);
                else
                    ((acc *)left)[j] = h;
            }
        }
}

/* The cell's arguments for stream b at a row of (B, T, ...) in a step, from a unit on, without the product. */
static CellRow cell_row(const Recurrence *r, int64_t b, int64_t row, int64_t step, int64_t unit)
{
    const LsNode *node = r->node;
    real *saved = saved_of(r, step, b);
    return (CellRow){.x = (const real *)node->in[X]->data + row * r->cell->gates * r->units + unit,
                     .bias = node->in[BIAS] ? (const real *)node->in[BIAS]->data + unit : NULL,
                     .units = r->units,
                     .h = r->h + b * r->units + unit,
                     .c = r->c ? r->c + b * r->units + unit : NULL,
                     .y = (real *)node->out[0]->data + row * r->units + unit,
                     .saved = saved ? saved + unit : NULL};
}

static void forward_piece(const Recurrence *r, int64_t step, int64_t group, int64_t block)
{
    _Alignas(64) acc u[MOST_GATES * ROWS * COLUMNS];
    const int64_t unit = group * COLUMNS, width = ls_least(COLUMNS, r->units - unit), first = block * ROWS,
                  rows = ls_least(ROWS, r->streams - first);
    char *now = r->left[step % 2], *next = r->left[(step + 1) % 2];
    for (int64_t gate = 0; gate < r->cell->gates; gate++)
        r->kernel->multiply(now, first, rows, r->units, block_at(r, group, gate), width, u + gate * ROWS * COLUMNS,
                            COLUMNS, false);
    for (int64_t b = first; b < first + rows; b++) {
        int64_t row = row_at(r, b, step);
        void *left = r->kernel->left_at(next, r->units, b, unit);
        if (row < 0) {
            int64_t bytes = width * (int64_t)(r->kernel->left_bfloat16 ? sizeof(real) : sizeof(acc));
            memcpy(left, r->kernel->left_at(now, r->units, b, unit), (size_t)bytes);
            continue;
        }
        CellRow cell = cell_row(r, b, row, step, unit);
        cell.u = u + (b - first) * COLUMNS;
        cell.u_gate = ROWS * COLUMNS;
        cell.left = left;
        cell.left_bfloat16 = r->kernel->left_bfloat16;
        r->cell->forward(&cell, width);
    }
}

static void forward_packed(const Recurrence *r)
{
    write_first_left(r);
#pragma omp parallel num_threads(wanted_threads(r))
    {
        ThreadPart part = part_of(r, omp_get_thread_num(), omp_get_num_threads());
        if (part.first_block == 0)
            pack_groups(r, part.first_group, part.end_group, false);
        finish_left(r, r->left[0], 1);
#pragma omp barrier
        for (int64_t step = 0; step < r->longest; step++) {
            for (int64_t group = part.first_group; group < part.end_group; group++)
                for (int64_t block = part.first_block; block < part.end_block; block++)
                    forward_piece(r, step, group, block);
#pragma omp barrier
            finish_left(r, r->left[(step + 1) % 2], 1);
        }
    }
}

/* A few steps, as while decoding: w is read as it stands. */
static LsStatus forward_few(const Recurrence *r)
{
    const int64_t columns = r->cell->gates * r->units;
    for (int64_t step = 0; step < r->longest; step++) {
        for (int64_t i = 0; i < r->streams * r->units; i++)
            ls_store1(r->few_h + i, r->h[i]);
        LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                                 .m = r->streams,
                                 .n = columns,
                                 .k = r->units,
                                 .a = r->few_h,
                                 .lda = r->units,
                                 .b = r->node->in[W]->data,
                                 .ldb = r->units,
                                 .transpose_b = true,
                                 .c = r->u,
                                 .ldc = columns,
                                 .c_float = true}));
#pragma omp parallel for schedule(static) if (r->streams * r->units > 8192)
        for (int64_t b = 0; b < r->streams; b++) {
            int64_t row = row_at(r, b, step);
            if (row < 0)
                continue;
            CellRow cell = cell_row(r, b, row, step, 0);
            cell.u = r->u + b * columns;
            cell.u_gate = r->units;
            r->cell->forward(&cell, r->units);
        }
    }
    return LS_OK;
}

static LsStatus forward_alone(const LsNode *node, const Cell *cells)
{
    Recurrence r = recurrence_of(node, cells, false);
    LS_TRY(read_lengths(&r));
    load_start(&r, START_H, STATE_H, r.h);
    if (r.c)
        load_start(&r, START_C, STATE_C, r.c);
    if (has_few_steps(&r, false))
        LS_TRY(forward_few(&r));
    else
        forward_packed(&r);
    clear_past_lengths(&r, node->out[0]->data, r.units);
    store_end(&r, r.h, 1, STATE_H);
    if (r.c)
        store_end(&r, r.c, 2, STATE_C);
    return LS_OK;
}

static LsStatus recurrence_forward(const LsNode *node, const LsRun *run, const Cell *cells)
{
    return chain_over_ranks(node, run, cells, false, forward_alone);
}

/* ---- Plain ------------------------------------------------------------------------------------------------------- */

static void plain_step(const Recurrence *r, int64_t b, int64_t row, int64_t step, const acc *h_before)
{
    const real *w = r->node->in[W]->data;
    const int gates = r->cell->gates;
    for (int64_t unit = 0; unit < r->units; unit++) {
        CellRow cell = cell_row(r, b, row, step, unit);
        double x[MOST_GATES], u[MOST_GATES] = {0}, saved[MOST_SAVED], h = (double)*cell.h,
                              c = cell.c ? (double)*cell.c : 0;
        for (int gate = 0; gate < gates; gate++) {
            x[gate] = (double)ls_load1(cell.x + gate * r->units);
            for (int64_t i = 0; i < r->units; i++)
                u[gate] += (double)h_before[i] * (double)ls_load1(w + (gate * r->units + unit) * r->units + i);
        }
        r->cell->plain(x, u, cell.bias ? (double)ls_load1(cell.bias) : 0, &h, &c, saved);
        *cell.h = (acc)h;
        if (cell.c)
            *cell.c = (acc)c;
        ls_store1(cell.y, (acc)h);
        for (int i = 0; cell.saved && i < r->cell->saved; i++)
            ls_store1(cell.saved + i * r->units, (acc)saved[i]);
    }
}

static LsStatus recurrence_reference(const LsNode *node, const LsRun *run, const Cell *cells)
{
    if (ls_over_ranks(run))
        return ls_fail(LS_ERROR, "%s: the plain form works on one rank only", node->name);
    Recurrence r = recurrence_of(node, cells, false);
    LS_TRY(read_lengths(&r));
    load_start(&r, START_H, STATE_H, r.h);
    if (r.c)
        load_start(&r, START_C, STATE_C, r.c);
    for (int64_t b = 0; b < r.streams; b++)
        for (int64_t step = 0; step < length_of(&r, b); step++) {
            /* other memory that is large enough, and not in use */
            acc *h_before = has_few_steps(&r, false) ? r.u : (acc *)(void *)r.left[0];
            memcpy(h_before, r.h + b * r.units, (size_t)r.units * sizeof(acc));
            plain_step(&r, b, row_at(&r, b, step), step, h_before);
        }
    clear_past_lengths(&r, node->out[0]->data, r.units);
    store_end(&r, r.h, 1, STATE_H);
    if (r.c)
        store_end(&r, r.c, 2, STATE_C);
    return LS_OK;
}

#endif
