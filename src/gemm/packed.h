/* Many small products with one B, as recurrent layers have them at every step: B is packed once, the rows of A are
 * written by the caller where the kernel wants them, and each product is done on the calling thread.
 *
 *     const LsPackedKernel *p = ls_packed_kernel(LS_GEMM_FLOAT32, rows, k);
 *     p->pack(&(LsPackedSource){.type = LS_GEMM_FLOAT32, .data = w, .stride = k, .transposed = true}, 0, k, 0, 32, b);
 *     store 32 elements of row i from column j on at p->left_at(a, k, i, j), j a multiple of LS_PACKED_COLUMNS;
 *     if (p->finish_left) p->finish_left(a, i, LS_PACKED_PANEL, k) for panels of the rows that were stored;
 *     p->multiply(a, 0, rows, k, b, 32, c, 32, false);
 *
 * Each element of C is one sum over k, in an order that depends on k and the kernel, and where the kernel finishes rows
 * on its panels of A and B: the same bits however blocks of rows and columns are shared among threads. */
#ifndef LS_GEMM_PACKED_H
#define LS_GEMM_PACKED_H

#include "gemm/gemm.h"

enum {
    LS_PACKED_COLUMNS = 32, /* of a packed block at most, and elements of A that lie beside each other */
    LS_PACKED_ROWS = 32,    /* a product begins at a multiple of it, and has no more rows */
    LS_PACKED_PANEL = 16    /* rows that are finished together */
};

/* B: (k, n), or (n, k) if transposed; stride elements from row to row. */
typedef struct LsPackedSource {
    LsGemmType type;
    const void *data;
    int64_t stride;
    bool transposed;
} LsPackedSource;

typedef struct LsPackedKernel {
    /* Elements of A are bfloat16; else they are float, double for LS_GEMM_FLOAT64. */
    bool left_bfloat16;
    int64_t (*left_bytes)(int64_t rows, int64_t k);
    /* Where LS_PACKED_COLUMNS elements of A from `column` on lie beside each other. The memory must be zero where no
     * element was written. */
    void *(*left_at)(void *a, int64_t k, int64_t row, int64_t column);
    /* NULL where it is enough to write A. Else, when `rows` rows from a multiple of LS_PACKED_PANEL on are complete, no
     * more than that many, and before any of them is multiplied. */
    void (*finish_left)(void *a, int64_t row, int64_t rows, int64_t k);
    int64_t (*block_bytes)(int64_t k);
    /* Rows from `from` on, k of them, and columns from `column` on of B into a block; both aligned to LS_ALIGN. */
    void (*pack)(const LsPackedSource *b, int64_t from, int64_t k, int64_t column, int64_t columns, void *block);
    /* C: (rows, columns) = or, with add, += rows of A from `row` on times a block. C is float, or double. */
    void (*multiply)(const void *a, int64_t row, int64_t rows, int64_t k, const void *block, int64_t columns, void *c,
                     int64_t ldc, bool add);
} LsPackedKernel;

/* The kernel for operands of this type at the instruction set in use, for products of A: (rows, k). */
const LsPackedKernel *ls_packed_kernel(LsGemmType type, int64_t rows, int64_t k);

/* Panels of bfloat16 pairs; NULL where the machine has no instructions for them. */
const LsPackedKernel *ls_packed_panels(void);

/* Float products by tiles of 8-bit integers; NULL where the machine has none, or they are no faster. */
const LsPackedKernel *ls_packed_int8x3(int64_t rows, int64_t k);

#endif
