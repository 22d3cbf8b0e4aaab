/* Products with a packed B by the float kernel's tiles. Compiled once for each instruction set. */
#include "gemm/simd_level.h"
#include "gemm/packed.h"
#include "gemm/simd_f32.h"

#include "base/pieces.h"

/* Rows of A lie as they are, a few numbers apart more than they are long: at powers of two they would fall on each
 * other in the first-level cache. */
static int64_t left_stride(int64_t k) { return ls_round_up(k, LS_PACKED_COLUMNS) + 16; }

static int64_t left_bytes(int64_t rows, int64_t k) { return rows * left_stride(k) * (int64_t)sizeof(float); }

static void *left_at(void *a, int64_t k, int64_t row, int64_t column)
{
    return (float *)a + row * left_stride(k) + column;
}

static int64_t block_bytes(int64_t k) { return k * LS_PACKED_COLUMNS * (int64_t)sizeof(float); }

static void pack(const LsPackedSource *b, int64_t from, int64_t k, int64_t column, int64_t columns, void *block)
{
    LsSimdSource source = {
        .data = b->data, .stride = b->stride, .along_k = b->transposed, .bfloat16 = b->type == LS_GEMM_BFLOAT16};
    for (int64_t at = 0; at < k; at += LS_SIMD_DEPTH)
        ls_simd_pack_b(&source, column, columns, from + at, ls_least(LS_SIMD_DEPTH, k - at),
                       (float *)block + at * ls_round_up(columns, LS_LANES));
}

static void multiply(const void *a, int64_t row, int64_t rows, int64_t k, const void *block, int64_t columns, void *c,
                     int64_t ldc, bool add)
{
    const int64_t stride = left_stride(k);
    for (int64_t at = 0; at < k; at += LS_SIMD_DEPTH) {
        LsSimdLeft left = {(const float *)a + row * stride + at, stride, 1, LS_SIMD_ROWS * stride};
        LsSimdTarget target = {.to = c, .to_stride = ldc, .add = add || at > 0};
        ls_simd_multiply(&left, (const float *)block + at * ls_round_up(columns, LS_LANES), rows, columns,
                         ls_least(LS_SIMD_DEPTH, k - at), &target);
    }
}

#define KERNEL LS_LEVEL_NAME(ls_packed_simd)
extern const LsPackedKernel KERNEL;
const LsPackedKernel KERNEL = {false, left_bytes, left_at, block_bytes, pack, multiply};
