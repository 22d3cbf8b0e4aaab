/* The loops over blocks and tasks. */
#include "gemm/blocking.h"
#include "base/pieces.h"

#include <omp.h>

static void pack_right(const LsGemmTasks *t, const LsGemmBlock *b, void *own)
{
    int64_t slices = ls_ceil_div(b->depth, t->pack_depth), pieces = ls_ceil_div(b->columns, t->pack_columns) * slices;
#pragma omp for schedule(static)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t column = piece / slices * t->pack_columns, from = piece % slices * t->pack_depth;
        t->pack_right(t->self, b, column, ls_least(t->pack_columns, b->columns - column), from,
                      ls_least(t->pack_depth, b->depth - from), own);
    }
}

static void run_block(LsGemmTasks *t, const LsGemmBlock *b, void *own)
{
    const LsGemm *g = t->g;
    int64_t down = ls_ceil_div(g->m, t->task_rows), across = ls_ceil_div(b->columns, t->task_columns), kept = -1;
#pragma omp master
    ls_share_begin(t->share, down * across, omp_get_num_threads());
    pack_right(t, b, own);
    for (int64_t i; (i = ls_share_next(t->share, omp_get_thread_num())) >= 0;) {
        int64_t row = i / across * t->task_rows, column = i % across * t->task_columns;
        LsGemmTask task = {row, ls_least(t->task_rows, g->m - row), b->column + column,
                           ls_least(t->task_columns, b->columns - column)};
        t->multiply(t->self, b, &task, row != kept, own);
        kept = row;
        if (b->last && g->finish)
            g->finish(g->self, task.row, task.column, task.rows, task.columns);
    }
}

void ls_gemm_tasks_run(LsGemmTasks *t, void *own)
{
    const LsGemm *g = t->g;
    for (int64_t column = 0; column < g->n; column += t->columns)
        for (int64_t from = 0; from < g->k; from += t->depth) {
            if (column > 0 || from > 0) { /* the packed B and the tasks of the block before are done with */
#pragma omp barrier
            }
            run_block(t,
                      &(LsGemmBlock){.column = column,
                                     .columns = ls_least(t->columns, g->n - column),
                                     .from = from,
                                     .depth = ls_least(t->depth, g->k - from),
                                     .first = from == 0,
                                     .last = from + t->depth >= g->k},
                      own);
        }
}
