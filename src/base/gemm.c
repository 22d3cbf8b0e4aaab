/* Dense matrix products: how the output is cut into pieces, and the double product in plain loops.
 *
 * oneDNN by itself chooses its partition by the number of threads, and with some shapes that changes the order of the sum over k.
 * So the cut is made here, as a function of the shape alone, and every piece runs on one thread. */
#include "base/gemm.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>

/* Pieces of the output are about this many rows and columns: small enough to share among many threads, large enough that
 * packing the operands, which every piece does for itself, stays a few percent. */
#define PIECE 384
#define MANY_PIECES 16
#define K_CHUNK 2048

typedef struct Cut {
    int64_t rows, columns, depth; /* of one piece */
    int64_t row_pieces, column_pieces, chunks;
} Cut;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Cuts `length` into equal pieces of about `piece`, each a multiple of `step` except the last. */
static int64_t piece_length(int64_t length, int64_t piece, int64_t step)
{
    int64_t pieces = ceil_div(length, piece);
    return ceil_div(ceil_div(length, pieces), step) * step;
}

static Cut cut_of(const LsGemm *g)
{
    Cut cut;
    int64_t piece = PIECE;
    while (piece > 96 && ceil_div(g->m, piece) * ceil_div(g->n, piece) < MANY_PIECES)
        piece /= 2;
    cut.rows = piece_length(g->m, piece, 48);
    cut.columns = piece_length(g->n, piece, 48);
    cut.row_pieces = ceil_div(g->m, cut.rows);
    cut.column_pieces = ceil_div(g->n, cut.columns);
    /* A long sum over a small output is cut too, so that there is work for all; its parts are added in order. */
    bool few = cut.row_pieces * cut.column_pieces < MANY_PIECES && g->k > K_CHUNK;
    cut.depth = few ? K_CHUNK : g->k;
    cut.chunks = ceil_div(g->k, cut.depth);
    return cut;
}

static const float *at(const void *matrix, int64_t row, int64_t column, int64_t stride, bool transposed)
{
    const float *x = matrix;
    return transposed ? x + column * stride + row : x + row * stride + column;
}

/* Bias and epilogue of a piece whose sum is complete. */
static void finish_piece(const LsGemm *g, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    if (g->bias) {
        const float *bias = (const float *)g->bias + column;
        for (int64_t i = row; i < row + rows; i++)
            for (int64_t j = 0; j < columns; j++)
                ((float *)g->c)[i * g->ldc + column + j] += bias[j];
    }
    if (g->finish)
        g->finish(g->self, row, column, rows, columns);
}

/* One piece of the output over one chunk of k, written to `c`. */
static dnnl_status_t run_piece(const LsGemm *g, const Cut *cut, int64_t row, int64_t column, int64_t chunk, float *c, int64_t ldc, float beta)
{
    int64_t i = row * cut->rows, j = column * cut->columns, p = chunk * cut->depth;
    int64_t rows = min64(cut->rows, g->m - i), columns = min64(cut->columns, g->n - j), depth = min64(cut->depth, g->k - p);
    return dnnl_sgemm(g->transpose_a ? 'T' : 'N', g->transpose_b ? 'T' : 'N', rows, columns, depth, 1.0f,
                      at(g->a, i, p, g->lda, g->transpose_a), g->lda, at(g->b, p, j, g->ldb, g->transpose_b), g->ldb, beta, c, ldc);
}

/* No chunks: every piece goes to its place. */
static dnnl_status_t run_whole(const LsGemm *g, const Cut *cut)
{
    dnnl_status_t worst = dnnl_success;
    int64_t pieces = cut->row_pieces * cut->column_pieces;
#pragma omp parallel for schedule(dynamic, 1) if (pieces > 1) reduction(max : worst)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t row = piece % cut->row_pieces, column = piece / cut->row_pieces;
        int64_t i = row * cut->rows, j = column * cut->columns;
        float *c = (float *)g->c + i * g->ldc + j;
        dnnl_status_t status = run_piece(g, cut, row, column, 0, c, g->ldc, g->accumulate ? 1.0f : 0.0f);
        if (status == dnnl_success)
            finish_piece(g, i, j, min64(cut->rows, g->m - i), min64(cut->columns, g->n - j));
        worst = status > worst ? status : worst;
    }
    return worst;
}

/* parts: (chunks, m, n); summed in order of the chunks. */
static void sum_parts(const LsGemm *g, const Cut *cut, const float *parts)
{
#pragma omp parallel for
    for (int64_t i = 0; i < g->m; i++) {
        float *c = (float *)g->c + i * g->ldc;
        if (!g->accumulate)
            memset(c, 0, (size_t)g->n * sizeof *c);
        for (int64_t chunk = 0; chunk < cut->chunks; chunk++) {
            const float *part = parts + (chunk * g->m + i) * g->n;
            for (int64_t j = 0; j < g->n; j++)
                c[j] += part[j];
        }
        finish_piece(g, i, 0, 1, g->n);
    }
}

/* Grows this thread's block for partial sums: after the first product of a shape it is there. */
static float *parts_block(size_t bytes)
{
    static _Thread_local struct {
        float *data;
        size_t bytes;
    } block;
    if (block.bytes < bytes) {
        ls_free(block.data);
        block.data = ls_alloc(bytes);
        block.bytes = block.data ? bytes : 0;
    }
    return block.data;
}

static LsStatus run_chunks(const LsGemm *g, const Cut *cut, dnnl_status_t *worst_of)
{
    float *parts = parts_block((size_t)(cut->chunks * g->m * g->n) * sizeof(float));
    if (!parts)
        return LS_RESOURCE;
    dnnl_status_t worst = dnnl_success;
    int64_t pieces = cut->row_pieces * cut->column_pieces;
#pragma omp parallel for schedule(dynamic, 1) reduction(max : worst)
    for (int64_t work = 0; work < pieces * cut->chunks; work++) {
        int64_t piece = work % pieces, chunk = work / pieces;
        int64_t row = piece % cut->row_pieces, column = piece / cut->row_pieces;
        float *c = parts + (chunk * g->m + row * cut->rows) * g->n + column * cut->columns;
        dnnl_status_t status = run_piece(g, cut, row, column, chunk, c, g->n, 0.0f);
        worst = status > worst ? status : worst;
    }
    *worst_of = worst;
    if (worst == dnnl_success)
        sum_parts(g, cut, parts);
    return LS_OK;
}

/* k = 0: the sum is empty. */
static void empty_product_float32(const LsGemm *g)
{
    for (int64_t i = 0; i < g->m; i++) {
        float *c = (float *)g->c + i * g->ldc;
        if (!g->accumulate)
            memset(c, 0, (size_t)g->n * sizeof *c);
        finish_piece(g, i, 0, 1, g->n);
    }
}

static LsStatus check(const LsGemm *g)
{
    bool fits = g->m >= 0 && g->n >= 0 && g->k >= 0 && g->ldc >= g->n && g->lda >= (g->transpose_a ? g->m : g->k) &&
                g->ldb >= (g->transpose_b ? g->k : g->n);
    if (!fits)
        return ls_fail(LS_ERROR, "matrix product of (%lld, %lld) and (%lld, %lld) with strides %lld, %lld, %lld: a stride is shorter than a row",
                       (long long)g->m, (long long)g->k, (long long)g->k, (long long)g->n, (long long)g->lda, (long long)g->ldb,
                       (long long)g->ldc);
    return LS_OK;
}

LsStatus ls_gemm_float32(const LsGemm *g)
{
    LS_TRY(check(g));
    if (g->m == 0 || g->n == 0)
        return LS_OK;
    if (g->k == 0) {
        empty_product_float32(g);
        return LS_OK;
    }
    Cut cut = cut_of(g);
    dnnl_status_t worst = dnnl_success;
    if (cut.chunks == 1)
        worst = run_whole(g, &cut);
    else
        LS_TRY(run_chunks(g, &cut, &worst));
    if (worst != dnnl_success)
        return ls_fail(worst == dnnl_out_of_memory ? LS_RESOURCE : LS_ERROR, "matrix product (%lld, %lld, %lld): oneDNN status %d",
                       (long long)g->m, (long long)g->n, (long long)g->k, (int)worst);
    return LS_OK;
}

/* ---- Double ------------------------------------------------------------------------------------------------------------- */

#define BLOCK 64

/* out: (BLOCK, BLOCK): rows and columns of a block of op(matrix) that starts at (row, column). */
static void copy_block(double *out, const double *matrix, int64_t stride, bool transposed, int64_t row, int64_t column, int64_t rows,
                       int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[i * BLOCK + j] = transposed ? matrix[(column + j) * stride + row + i] : matrix[(row + i) * stride + column + j];
}

/* sum: (rows, columns) += x (rows, depth) y (depth, columns), all with BLOCK elements from row to row. */
static void multiply_block(double *restrict sum, const double *restrict x, const double *restrict y, int64_t rows, int64_t columns,
                           int64_t depth)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t p = 0; p < depth; p++)
            for (int64_t j = 0; j < columns; j++)
                sum[i * BLOCK + j] += x[i * BLOCK + p] * y[p * BLOCK + j];
}

static void product_block(const LsGemm *g, int64_t i, int64_t j)
{
    double x[BLOCK * BLOCK], y[BLOCK * BLOCK], sum[BLOCK * BLOCK] = {0};
    int64_t rows = min64(BLOCK, g->m - i), columns = min64(BLOCK, g->n - j);
    for (int64_t p = 0; p < g->k; p += BLOCK) {
        int64_t depth = min64(BLOCK, g->k - p);
        copy_block(x, g->a, g->lda, g->transpose_a, i, p, rows, depth);
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

LsStatus ls_gemm_float64(const LsGemm *g)
{
    LS_TRY(check(g));
    int64_t row_blocks = ceil_div(g->m, BLOCK), column_blocks = ceil_div(g->n, BLOCK);
#pragma omp parallel for schedule(static) if (row_blocks * column_blocks > 1)
    for (int64_t block = 0; block < row_blocks * column_blocks; block++)
        product_block(g, block % row_blocks * BLOCK, block / row_blocks * BLOCK);
    return LS_OK;
}
