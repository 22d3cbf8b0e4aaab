/* Products with a packed B: the choice of the kernel, and plain loops for double. */
#include "gemm/packed.h"

#include "base/pieces.h"

/* ---- Double ------------------------------------------------------------------------------------------------------ */

static int64_t left_bytes(int64_t rows, int64_t k)
{
    return rows * ls_round_up(k, LS_PACKED_COLUMNS) * (int64_t)sizeof(double);
}

static void *left_at(void *a, int64_t k, int64_t row, int64_t column)
{
    return (double *)a + row * ls_round_up(k, LS_PACKED_COLUMNS) + column;
}

static int64_t block_bytes(int64_t k) { return k * LS_PACKED_COLUMNS * (int64_t)sizeof(double); }

static void pack(const LsPackedSource *b, int64_t from, int64_t k, int64_t column, int64_t columns, void *block)
{
    for (int64_t p = 0; p < k; p++)
        for (int64_t j = 0; j < columns; j++)
            ((double *)block)[p * LS_PACKED_COLUMNS + j] =
                ((const double *)b
                     ->data)[b->transposed ? (column + j) * b->stride + from + p : (from + p) * b->stride + column + j];
}

static void multiply(const void *a, int64_t row, int64_t rows, int64_t k, const void *block, int64_t columns, void *c,
                     int64_t ldc, bool add)
{
    const int64_t stride = ls_round_up(k, LS_PACKED_COLUMNS);
    for (int64_t i = 0; i < rows; i++) {
        double *restrict to = (double *)c + i * ldc;
        const double *restrict x = (const double *)a + (row + i) * stride;
        for (int64_t j = 0; !add && j < columns; j++)
            to[j] = 0;
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = 0; j < columns; j++)
                to[j] += x[p] * ((const double *)block)[p * LS_PACKED_COLUMNS + j];
    }
}

/* ---- The choice -------------------------------------------------------------------------------------------------- */

extern const LsPackedKernel ls_packed_simd_base;
#if defined(__x86_64__)
extern const LsPackedKernel ls_packed_simd_v3, ls_packed_simd_v4;
#endif

static const LsPackedKernel *simd_kernel(void)
{
#if defined(__x86_64__)
    if (ls_isa() >= LS_ISA_V4)
        return &ls_packed_simd_v4;
    if (ls_isa() >= LS_ISA_V3)
        return &ls_packed_simd_v3;
#endif
    return &ls_packed_simd_base;
}

const LsPackedKernel *ls_packed_kernel(LsGemmType type, int64_t rows, int64_t k)
{
    static const LsPackedKernel of_double = {
        .left_bytes = left_bytes, .left_at = left_at, .block_bytes = block_bytes, .pack = pack, .multiply = multiply};
    if (type == LS_GEMM_FLOAT64)
        return &of_double;
    const LsPackedKernel *tiles = type == LS_GEMM_BFLOAT16 ? ls_packed_panels() : ls_packed_int8x3(rows, k);
    return tiles ? tiles : simd_kernel();
}
