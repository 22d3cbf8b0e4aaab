/* The double product, for gradient checks: plain loops over blocks that fit the cache. */
#include "base/pieces.h"
#include "gemm/kernel.h"

#include <string.h>

#define BLOCK 64

/* out: (BLOCK, BLOCK): rows and columns of a block of op(matrix) that starts at (row, column). */
static void copy_block(double *out, const double *matrix, int64_t stride, bool transposed, int64_t row, int64_t column,
                       int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[i * BLOCK + j] =
                transposed ? matrix[(column + j) * stride + row + i] : matrix[(row + i) * stride + column + j];
}

/* sum: (rows, columns) += x (rows, depth) y (depth, columns), all with BLOCK elements from row to row. */
static void multiply_block(double *restrict sum, const double *restrict x, const double *restrict y, int64_t rows,
                           int64_t columns, int64_t depth)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t p = 0; p < depth; p++)
            for (int64_t j = 0; j < columns; j++)
                sum[i * BLOCK + j] += x[i * BLOCK + p] * y[p * BLOCK + j];
}

/* The same of a matrix of runs. */
static void copy_runs(double *out, const LsGemmRuns *runs, const double *data, bool transposed, int64_t row,
                      int64_t column, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            int64_t line = transposed ? column + j : row + i, at = transposed ? row + i : column + j;
            const double *run = ls_gemm_run(runs, data, sizeof *run, line, at / runs->length);
            out[i * BLOCK + j] = run ? run[at % runs->length] : 0;
        }
}

static void product_block(const LsGemm *g, int64_t i, int64_t j)
{
    double x[BLOCK * BLOCK], y[BLOCK * BLOCK], sum[BLOCK * BLOCK] = {0};
    int64_t rows = ls_least(BLOCK, g->m - i), columns = ls_least(BLOCK, g->n - j);
    for (int64_t p = 0; p < g->k; p += BLOCK) {
        int64_t depth = ls_least(BLOCK, g->k - p);
        if (g->a_runs.offset)
            copy_runs(x, &g->a_runs, g->a, g->transpose_a, i, p, rows, depth);
        else
            copy_block(x, g->a, g->lda, g->transpose_a, i, p, rows, depth);
        if (g->b_runs.offset)
            copy_runs(y, &g->b_runs, g->b, false, p, j, depth, columns);
        else
            copy_block(y, g->b, g->ldb, g->transpose_b, p, j, depth, columns);
        multiply_block(sum, x, y, rows, columns, depth);
    }
    const double *bias = g->bias;
    for (int64_t row = 0; row < rows; row++) {
        double *c = (double *)g->c + (i + row) * g->ldc + j;
        for (int64_t column = 0; column < columns; column++) {
            double value = sum[row * BLOCK + column] + (g->accumulate ? c[column] : 0);
            c[column] = value + (bias ? bias[j + column] : 0);
        }
    }
    if (g->finish)
        g->finish(g->self, i, j, rows, columns);
}

static LsStatus run(const LsGemm *g)
{
    int64_t row_blocks = ls_ceil_div(g->m, BLOCK), column_blocks = ls_ceil_div(g->n, BLOCK);
#pragma omp parallel for schedule(static) if (row_blocks * column_blocks > 1)
    for (int64_t block = 0; block < row_blocks * column_blocks; block++)
        product_block(g, block % row_blocks * BLOCK, block / row_blocks * BLOCK);
    return LS_OK;
}

static bool usable(const LsGemm *g) { return g->type == LS_GEMM_FLOAT64; }

static double picoseconds(const LsGemm *g) { return 200 * (double)g->m * (double)g->n * (double)g->k; }

extern const LsGemmKernel ls_gemm_kernel_reference;
const LsGemmKernel ls_gemm_kernel_reference = {
    .name = "reference", .isa = LS_ISA_BASELINE, .usable = usable, .picoseconds = picoseconds, .run = run};
