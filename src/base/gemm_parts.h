/* What cut float products have in common: places of a part's operands, sums of parts, the end of a sum. */
#ifndef LS_BASE_GEMM_PARTS_H
#define LS_BASE_GEMM_PARTS_H

#include "base/gemm.h"

/* Element (row, column) of op(matrix). */
static inline const float *ls_gemm_at(const void *matrix, int64_t stride, bool transposed, int64_t row, int64_t column)
{
    const float *x = matrix;
    return transposed ? x + column * stride + row : x + row * stride + column;
}

/* Bias and epilogue of a rectangle whose sum is complete. */
void ls_gemm_finish(const LsGemm *gemm, int64_t row, int64_t column, int64_t rows, int64_t columns);

/* Row i of C, which has the first range of k, and of the parts: (ranges - 1, m, n), in order; and the row's end. */
void ls_gemm_sum_row(const LsGemm *gemm, int64_t ranges, const float *parts, int64_t i);

#endif
