#include "base/gemm_deep.h"
#include "base/gemm_fixed.h"
#include "base/gemm_parts.h"
#include "base/gemm_space.h"
#include "base/pieces.h"
#include "base/share.h"

#include <omp.h>

#define DEEP 768
#define DEEP_RATIO 6
#define DEEP_OUTPUT (1 << 20) /* most elements of a result */

/* Ranges of k, whatever the number of threads: its bits depend on them. Columns are cut only where there are more
 * threads. */
typedef struct Deep {
    const LsGemm *g;
    int64_t depth, ranges, columns, pieces; /* of a range; of a piece of it, pieces of a range */
    float *parts;                           /* (ranges - 1, m, n): sums of all ranges but the first, whose place is C */
    float *row_sums;                        /* (ranges - 1, m) */
    uint8_t *space;                         /* of all threads */
    int64_t each;                           /* bytes of it for one */
    LsShare share;
} Deep;

bool ls_gemm_is_deep(const LsGemm *g)
{
    return g->k >= DEEP && g->m * g->n <= DEEP_OUTPUT && DEEP_RATIO * g->m * g->n <= g->k * (g->m + g->n);
}

/* B of two ranges, and a part: mostly one side of a result is a few times the other, a square one takes 3 MiB more at
 * most. The threads' own space is that which a product that is not deep does not use: of the vectors, which few need. */
int64_t ls_deep_space(int64_t columns)
{
    return 2 * ls_fixed_space_of_right(columns) + ls_least(DEEP_OUTPUT, columns * columns / 4) * (int64_t)sizeof(float);
}

static Deep deep_of(const LsGemm *g, int64_t threads)
{
    Deep d = {.g = g};
    d.depth = ls_round_up(ls_ceil_div(g->k, 2), LS_FIXED_STEP);
    d.ranges = ls_ceil_div(g->k, d.depth);
    d.columns = ls_round_up(ls_ceil_div(g->n, ls_ceil_div(threads, d.ranges)), LS_FIXED_TILE);
    d.pieces = ls_ceil_div(g->n, d.columns);
    d.each = ls_round_up(ls_fixed_alone_space(&(LsGemm){.m = g->m, .n = d.columns, .k = d.depth}), LS_ALIGN);
    return d;
}

static void multiply_piece(const Deep *d, int64_t number, void *space)
{
    const LsGemm *g = d->g;
    int64_t range = number / d->pieces, column = number % d->pieces * d->columns, from = range * d->depth;
    LsGemm piece = *g;
    piece.n = ls_least(d->columns, g->n - column), piece.k = ls_least(d->depth, g->k - from);
    piece.a = ls_gemm_at(g->a, g->lda, g->transpose_a, 0, from);
    piece.b = ls_gemm_at(g->b, g->ldb, g->transpose_b, from, column);
    piece.c = column + (range > 0 ? d->parts + (range - 1) * g->m * g->n : (float *)g->c);
    piece.ldc = range > 0 ? g->n : g->ldc;
    piece.accumulate = range == 0 && g->accumulate;
    piece.bias = NULL, piece.finish = NULL;
    if (column > 0)
        piece.row_sums = NULL;
    else if (g->row_sums && range > 0)
        piece.row_sums = d->row_sums + (range - 1) * g->m;
    piece.add_row_sums = range == 0 && g->add_row_sums;
    ls_fixed_alone(&piece, space);
}

/* Row i of C and of the parts, in order. */
static void sum_row(const Deep *d, int64_t i)
{
    const LsGemm *g = d->g;
    ls_gemm_sum_row(g, d->ranges, d->parts, i);
    for (int64_t range = 1; g->row_sums && range < d->ranges; range++)
        g->row_sums[i] += d->row_sums[(range - 1) * g->m + i];
}

static void run(Deep *d, LsFixedWork *next, int64_t threads)
{
    ls_share_begin(&d->share, d->ranges * d->pieces, threads);
#pragma omp parallel num_threads((int)threads)
    {
        for (int64_t i; (i = ls_share_next(&d->share, omp_get_thread_num())) >= 0;)
            multiply_piece(d, i, d->space + omp_get_thread_num() * d->each);
        if (next)
            ls_fixed_team(next); /* where all threads have met */
        else {
#pragma omp barrier
        }
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < d->g->m; i++)
            sum_row(d, i);
    }
}

LsStatus ls_deep_gemm(const LsGemm *g, const LsGemm *next)
{
    int64_t threads = omp_in_parallel() ? 1 : ls_threads();
    Deep d = deep_of(g, threads);
    int64_t sums = (d.ranges - 1) * g->m * (g->n + 1) * (int64_t)sizeof(float);
    LsGemmSpace *space = ls_gemm_space_take(threads * d.each + sums);
    LsFixedWork *work = space && next ? ls_fixed_begin(next, threads) : NULL;
    bool ready = space && (work || !next);
    if (ready) {
        d.space = space->data;
        d.parts = (float *)(void *)(d.space + threads * d.each);
        d.row_sums = d.parts + (d.ranges - 1) * g->m * g->n;
        run(&d, work, threads);
    }
    ls_fixed_end(work);
    ls_gemm_space_give(space);
    return ready ? LS_OK : LS_RESOURCE;
}
