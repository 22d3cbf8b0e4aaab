/* The float product: how it is cut into pieces, one thread each.
 *
 * The order of the sum over k decides the bits. The kernel's depends on the range of k alone, so its pieces of the
 * output may follow the number of threads; oneDNN, which does the work where the kernel cannot run, chooses by the
 * piece's shape, so its pieces follow the product's shape. A cut of k itself follows the shape in both. */
#include "base/gemm.h"
#include "base/gemm_check.h"
#include "base/gemm_deep.h"
#include "base/gemm_few.h"
#include "base/gemm_fixed.h"
#include "base/gemm_kernel.h"
#include "base/gemm_panel.h"
#include "base/gemm_parts.h"
#include "base/gemm_space.h"
#include "base/pieces.h"
#include "base/share.h"

#include <oneapi/dnnl/dnnl.h>
#include <omp.h>
#include <string.h>

/* A long sum over a small output is cut into ranges of this length, so that there is work for many threads. */
#define K_RANGE 2048
#define SMALL_OUTPUT (64 * 384)
/* Products below this many operations for each thread are shared out evenly. */
#define EVEN_FLOPS 6e7
#define ONEDNN_PIECES 16

LsStatus ls_gemm_check(const LsGemm *g)
{
    bool fits = g->m >= 0 && g->n >= 0 && g->k >= 0 && g->ldc >= g->n && g->lda >= (g->transpose_a ? g->m : g->k) &&
                g->ldb >= (g->transpose_b ? g->k : g->n);
    if (!fits)
        return ls_fail(LS_ERROR,
                       "matrix product of (%lld, %lld) and (%lld, %lld) with strides %lld, %lld, %lld: a stride is "
                       "shorter than a row",
                       (long long)g->m, (long long)g->k, (long long)g->k, (long long)g->n, (long long)g->lda,
                       (long long)g->ldb, (long long)g->ldc);
    return LS_OK;
}

/* ---- The cut ----------------------------------------------------------------------------------------------------- */

typedef enum By { BY_ONEDNN, BY_VECTORS } By;

typedef struct Cut {
    int64_t rows, columns, depth; /* of one piece */
    int64_t row_pieces, column_pieces, ranges;
    By by;
} Cut;

/* Time of a piece in units of a multiply-add's: those, and what it costs to bring in both operands. */
static double piece_time(const LsGemm *g, int64_t rows, int64_t columns)
{
    double a = g->transpose_a ? 16 : 12, b = g->transpose_b ? 20 : 16;
    return (double)rows * (double)columns + a * (double)rows + b * (double)columns;
}

/* The grid of `pieces` whose longest piece takes least. Returns that time. */
static double cut_output(const LsGemm *g, Cut *cut, int64_t pieces)
{
    double best = 0;
    for (int64_t row_pieces = 1; row_pieces <= pieces; row_pieces++) {
        if (pieces % row_pieces != 0)
            continue;
        int64_t rows = ls_ceil_div(ls_ceil_div(g->m, row_pieces), 8) * 8,
                columns = ls_ceil_div(ls_ceil_div(g->n, pieces / row_pieces), 16) * 16;
        double time = piece_time(g, rows, columns);
        if (best == 0 || time < best) {
            best = time;
            cut->rows = rows;
            cut->columns = columns;
        }
    }
    cut->row_pieces = ls_ceil_div(g->m, cut->rows);
    cut->column_pieces = ls_ceil_div(g->n, cut->columns);
    return best;
}

/* One, two or four pieces for each thread: more of them cost more copying, fewer wait longer for a thread that came
 * late (taken to be a tenth of one piece of the fewest). */
static void cut_for_threads(const LsGemm *g, Cut *cut)
{
    int64_t threads = ls_threads();
    double best = cut_output(g, cut, threads) * 1.1;
    if (2 * (double)g->m * (double)g->n * (double)g->k < EVEN_FLOPS * (double)threads)
        return;
    for (int64_t each = 2; each <= 4; each *= 2) {
        Cut other = *cut;
        double time = cut_output(g, &other, each * threads) * (double)each * (1 + 0.1 / (double)each);
        if (time < best) {
            best = time;
            *cut = other;
        }
    }
}

static Cut cut_of(const LsGemm *g)
{
    Cut cut = {.depth = g->k, .by = ls_gemm_kernel_usable() ? BY_VECTORS : BY_ONEDNN};
    if (g->m * g->n <= SMALL_OUTPUT && g->k >= 2 * K_RANGE)
        cut.depth = K_RANGE;
    cut.ranges = ls_ceil_div(g->k, cut.depth);
    if (cut.by == BY_VECTORS)
        cut_for_threads(g, &cut);
    else
        cut_output(g, &cut, ONEDNN_PIECES);
    return cut;
}

/* ---- The pieces -------------------------------------------------------------------------------------------------- */

static LsStatus onednn_region(const LsGemm *g, const LsGemmRegion *r)
{
    dnnl_status_t status = dnnl_sgemm(g->transpose_a ? 'T' : 'N', g->transpose_b ? 'T' : 'N', r->rows, r->columns,
                                      r->depth, 1.0f, ls_gemm_at(g->a, g->lda, g->transpose_a, r->row, r->from), g->lda,
                                      ls_gemm_at(g->b, g->ldb, g->transpose_b, r->from, r->column), g->ldb,
                                      r->add ? 1.0f : 0.0f, r->c, r->ldc);
    if (status != dnnl_success)
        return ls_fail(status == dnnl_out_of_memory ? LS_RESOURCE : LS_ERROR,
                       "matrix product (%lld, %lld, %lld): oneDNN status %d", (long long)r->rows, (long long)r->columns,
                       (long long)r->depth, (int)status);
    if (r->complete)
        ls_gemm_finish(g, r->row, r->column, r->rows, r->columns);
    return LS_OK;
}

/* The first range of k goes to C, the others to parts: (ranges - 1, m, n). */
static LsGemmRegion region_of(const LsGemm *g, const Cut *cut, int64_t number, float *parts)
{
    int64_t pieces = cut->row_pieces * cut->column_pieces, piece = number % pieces, range = number / pieces;
    LsGemmRegion r = {.row = piece / cut->column_pieces * cut->rows,
                      .column = piece % cut->column_pieces * cut->columns,
                      .from = range * cut->depth,
                      .ldc = range > 0 ? g->n : g->ldc,
                      .add = range == 0 && g->accumulate,
                      .complete = cut->ranges == 1};
    r.rows = ls_least(cut->rows, g->m - r.row);
    r.columns = ls_least(cut->columns, g->n - r.column);
    r.depth = ls_least(cut->depth, g->k - r.from);
    r.c = (range > 0 ? parts + (range - 1) * g->m * g->n : (float *)g->c) + r.row * r.ldc + r.column;
    return r;
}

static LsStatus run_pieces(const LsGemm *g, const Cut *cut, float *parts)
{
    int64_t work = cut->row_pieces * cut->column_pieces * cut->ranges;
    LsStatus worst = LS_OK;
    bool complete = true;
    LsShare share;
    ls_share_begin(&share, work, ls_threads());
#pragma omp parallel if (work > 1) reduction(max : worst)
    {
        LsGemmSpace *space =
            cut->by == BY_VECTORS ? ls_gemm_space_take(ls_gemm_kernel_space() * (int64_t)sizeof(float)) : NULL;
        if (cut->by == BY_VECTORS && !space)
            worst = LS_RESOURCE;
        for (int64_t i; (i = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
            LsGemmRegion r = region_of(g, cut, i, parts);
            if (space)
                ls_gemm_kernel(g, &r, space->data);
            else if (cut->by == BY_ONEDNN) {
                LsStatus status = onednn_region(g, &r);
                worst = status > worst ? status : worst;
            }
        }
        if (worst != LS_OK)
#pragma omp atomic write
            complete = false;
        /* Until all have theirs: a space given back early would serve two threads, and in a later product, where they
         * meet, one would be missing. */
#pragma omp barrier
        ls_gemm_space_give(space);
        if (parts && complete) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < g->m; i++)
                ls_gemm_sum_row(g, cut->ranges, parts, i);
        }
    }
    /* The message of another thread is lost. */
    return worst == LS_OK ? LS_OK
                          : ls_fail(worst, "matrix product (%lld, %lld, %lld): %s", (long long)g->m, (long long)g->n,
                                    (long long)g->k, worst == LS_RESOURCE ? "out of memory" : "oneDNN failed");
}

static double up_to(int64_t x, int64_t step)
{
    return (double)(ls_ceil_div(x, step) * step);
}

/* Tiles do six products of a float's digits faster than vectors do the one, if each element, once split, meets enough
 * others, and each sum is long enough to be worth its end. Times in picoseconds, as measured on two cores; only their
 * ratio matters, but for what starting costs. */
static bool tiles_pay(const LsGemm *g)
{
    double m = (double)g->m, n = (double)g->n, k = (double)g->k;
    double tiles = 2.35 * up_to(g->m, LS_FIXED_TILE) * up_to(g->n, LS_FIXED_TILE) * up_to(g->k, LS_FIXED_STEP) +
                   150 * (k * (m + n) + m * n) + 5e6;
    double vectors = 6.06 * m * n * k + 130 * k * (m + n);
    return tiles < vectors && ls_fixed_usable();
}

static bool for_tiles(const LsGemm *g)
{
    return g->m > 0 && g->n > 0 && g->k > 0 && !ls_gemm_few_usable(g) && tiles_pay(g);
}

bool ls_gemm_float32_sums(const LsGemm *g)
{
    return g->transpose_a && for_tiles(g);
}

static LsStatus check(const LsGemm *g)
{
    LS_TRY(ls_gemm_check(g));
    if (g->row_sums && !ls_gemm_float32_sums(g))
        return ls_fail(LS_ERROR, "matrix product (%lld, %lld, %lld): it cannot make the sums of A's rows",
                       (long long)g->m, (long long)g->n, (long long)g->k);
    return LS_OK;
}

LsStatus ls_gemm_float32(const LsGemm *g)
{
    LS_TRY(check(g));
    if (g->m == 0 || g->n == 0)
        return LS_OK;
    if (g->k == 0) { /* the sum is empty */
        for (int64_t i = 0; i < g->m; i++) {
            if (!g->accumulate)
                memset((float *)g->c + i * g->ldc, 0, (size_t)g->n * sizeof(float));
            ls_gemm_finish(g, i, 0, 1, g->n);
        }
        return LS_OK;
    }
    if (ls_gemm_few_usable(g)) {
        ls_gemm_few(g, LS_FEW_FLOAT32, NULL);
        return LS_OK;
    }
    if (tiles_pay(g))
        return ls_gemm_is_deep(g) ? ls_deep_gemm(g, NULL) : ls_fixed_gemm(g);
    Cut cut = cut_of(g);
    if (cut.ranges == 1)
        return run_pieces(g, &cut, NULL);
    LsGemmSpace *parts = ls_gemm_space_take((cut.ranges - 1) * g->m * g->n * (int64_t)sizeof(float));
    if (!parts)
        return LS_RESOURCE;
    LsStatus status = run_pieces(g, &cut, parts->data);
    ls_gemm_space_give(parts);
    return status;
}

LsStatus ls_gemm_float32_both(const LsGemm *first, const LsGemm *second)
{
    LS_TRY(check(first));
    LS_TRY(check(second));
    if (for_tiles(first) && for_tiles(second) && ls_gemm_is_deep(first) && !ls_gemm_is_deep(second))
        return ls_deep_gemm(first, second);
    LS_TRY(ls_gemm_float32(first));
    return ls_gemm_float32(second);
}

int64_t ls_gemm_space_most(int64_t columns, bool is_float)
{
    int64_t tiles = 0;
    if (is_float)
        tiles = ls_fixed_usable() ? ls_fixed_space(columns) : 0;
    else
        tiles = ls_panel_kernel() ? ls_panel_space(columns) : 0;
    if (tiles > 0 && is_float)
        tiles += ls_deep_space(columns); /* together with another */
    return ls_threads() * ls_gemm_kernel_space() * (int64_t)sizeof(float) + tiles;
}
