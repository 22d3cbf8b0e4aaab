#include "gemm/split_k.h"
#include "base/pieces.h"
#include "base/share.h"
#include "gemm/epilogue.h"
#include "gemm/int8x3.h"
#include "gemm/workspace.h"

#include <omp.h>

#define DEEP 768
#define DEEP_RATIO 6
#define DEEP_OUTPUT (1 << 20) /* most elements of a result */

/* Ranges of k, whatever the number of threads: a kernel's bits may depend on them. Columns are cut only where there are
 * more threads. */
typedef struct Split {
    const LsGemm *g;
    const LsGemmKernel *kernel;
    int64_t depth, ranges, columns, pieces; /* of a range; of a piece of it, pieces of a range */
    /* (ranges - 1, m, n): sums of all ranges but the first, whose place is C */
    float *partial;
    float *row_sums; /* (ranges - 1, m) */
    uint8_t *space;  /* of all threads */
    int64_t each;    /* bytes of it for one */
    LsShare share;
} Split;

bool ls_split_is_deep(const LsGemm *g)
{
    return ls_split_can(g) && g->k >= DEEP && g->m * g->n <= DEEP_OUTPUT &&
           DEEP_RATIO * g->m * g->n <= g->k * (g->m + g->n);
}

bool ls_split_joins(const LsGemm *g, const LsGemm *next)
{
    return ls_int8x3_does(g) && ls_int8x3_does(next) && ls_split_is_deep(g) && !ls_split_is_deep(next);
}

/* Mostly one side of a result is a few times the other; a square one takes 3 MiB more at most. */
int64_t ls_split_sums_most(int64_t columns, int64_t depth)
{
    return depth < DEEP ? 0 : ls_least(DEEP_OUTPUT, columns * columns / 4) * (int64_t)sizeof(float);
}

static Split split_of(const LsGemmKernel *kernel, const LsGemm *g, int64_t threads)
{
    Split s = {.g = g, .kernel = kernel, .depth = kernel->split_depth(g)};
    s.ranges = ls_ceil_div(g->k, s.depth);
    s.columns = ls_round_up(ls_ceil_div(g->n, ls_ceil_div(threads, s.ranges)), 16);
    s.pieces = ls_ceil_div(g->n, s.columns);
    LsGemm piece = *g;
    piece.n = s.columns, piece.k = s.depth;
    s.each = ls_round_up(kernel->alone_space(&piece), LS_ALIGN);
    return s;
}

static void multiply_piece(const Split *s, int64_t number, void *space)
{
    const LsGemm *g = s->g;
    int64_t range = number / s->pieces, column = number % s->pieces * s->columns, from = range * s->depth;
    int64_t bytes = g->type == LS_GEMM_BFLOAT16 ? (int64_t)sizeof(LsBfloat16) : (int64_t)sizeof(float);
    LsGemm piece = *g;
    piece.n = ls_least(s->columns, g->n - column), piece.k = ls_least(s->depth, g->k - from);
    if (g->a_runs.offset)
        piece.a_runs.first += from;
    else
        piece.a = ls_gemm_at(g->a, bytes, g->lda, g->transpose_a, 0, from);
    piece.b = ls_gemm_at(g->b, bytes, g->ldb, g->transpose_b, from, column);
    piece.c = column + (range > 0 ? s->partial + (range - 1) * g->m * g->n : (float *)g->c);
    piece.ldc = range > 0 ? g->n : g->ldc;
    piece.accumulate = range == 0 && g->accumulate;
    piece.bias = NULL, piece.finish = NULL;
    if (column > 0)
        piece.row_sums = NULL;
    else if (g->row_sums && range > 0)
        piece.row_sums = s->row_sums + (range - 1) * g->m;
    piece.add_row_sums = range == 0 && g->add_row_sums;
    s->kernel->alone(&piece, space);
}

/* Row i of C and of the partial sums, in order. */
static void sum_row(const Split *s, int64_t i)
{
    const LsGemm *g = s->g;
    ls_gemm_sum_row(g, s->ranges, s->partial, i);
    for (int64_t range = 1; g->row_sums && range < s->ranges; range++)
        g->row_sums[i] += s->row_sums[(range - 1) * g->m + i];
}

static void run_team(Split *s, LsInt8x3Work *next, int64_t threads)
{
    ls_share_begin(&s->share, s->ranges * s->pieces, threads);
#pragma omp parallel num_threads((int)threads)
    {
        for (int64_t i; (i = ls_share_next(&s->share, omp_get_thread_num())) >= 0;)
            multiply_piece(s, i, s->space + omp_get_thread_num() * s->each);
        if (next)
            ls_int8x3_team(next); /* where all threads have met */
        else {
#pragma omp barrier
        }
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < s->g->m; i++)
            sum_row(s, i);
    }
}

LsStatus ls_split_gemm(const LsGemmKernel *kernel, const LsGemm *g, const LsGemm *next)
{
    int64_t threads = omp_in_parallel() ? 1 : ls_threads();
    Split s = split_of(kernel, g, threads);
    int64_t sums = (s.ranges - 1) * g->m * (g->n + 1) * (int64_t)sizeof(float);
    LsWorkspace *space = ls_workspace_acquire(threads * s.each + sums);
    LsInt8x3Work *work = space && next ? ls_int8x3_begin(next, threads) : NULL;
    bool ready = space && (work || !next);
    if (ready) {
        s.space = space->data;
        s.partial = (float *)(void *)(s.space + threads * s.each);
        s.row_sums = s.partial + (s.ranges - 1) * g->m * g->n;
        run_team(&s, work, threads);
    }
    ls_int8x3_end(work);
    ls_workspace_release(space);
    return ready ? LS_OK : LS_RESOURCE;
}
