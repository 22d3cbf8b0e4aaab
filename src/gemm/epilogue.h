/* Shared parts of the kernels: places of a piece's operands, partial sums, bias, the end of a sum. */
#ifndef LS_GEMM_EPILOGUE_H
#define LS_GEMM_EPILOGUE_H

#include "base/bfloat16.h"
#include "gemm/kernel.h"

/* Element (row, column) of op(matrix), of so many bytes. */
static inline const void *ls_gemm_at(const void *matrix, int64_t bytes, int64_t stride, bool transposed, int64_t row,
                                     int64_t column)
{
    return (const char *)matrix + bytes * (transposed ? column * stride + row : row * stride + column);
}

/* Bias and epilogue of a rectangle of C whose sum is complete. */
void ls_gemm_finish(const LsGemm *gemm, int64_t row, int64_t column, int64_t rows, int64_t columns);

/* Row i of C, which has the first range of k, and of the partial sums of a float product: (ranges - 1, m, n), in
 * order; and the row's end. */
void ls_gemm_sum_row(const LsGemm *gemm, int64_t ranges, const float *partial, int64_t i);

#endif
