/* Small dense products and transpositions in registers, for ops that work on blocks which stay in cache.
 *
 * Everything here is about row-major blocks of acc whose sizes are padded by the caller, so that there are no tails:
 * rows to a multiple of LS_TILE_ROWS, columns to a multiple of LS_LANES.
 */
#ifndef LS_OPS_TILE_H
#define LS_OPS_TILE_H

#include "simd/vec.h"

#include <stdbool.h>

/* Registers bound the tile of sums: 8 x 2 of the 32 registers of AVX-512, 4 x 2 of the 16 of older sets; the rest hold
 * operands. Both have at least the 8 independent sums that two multiply-adds a cycle of latency 4 need. */
#define LS_TILE_ROWS ((int64_t)(LS_VEC_BYTES == 64 ? 8 : 4))
#define LS_TILE_VECTORS 2
#define LS_TILE_COLUMNS (LS_TILE_VECTORS * LS_LANES)

/* The last dimension of a block is padded to a multiple of this, so that it can serve as rows or as columns of a
 * product. */
#define LS_TILE_UNIT (LS_LANES > LS_TILE_ROWS ? LS_LANES : LS_TILE_ROWS)

#define LS_ROUND_UP(x, unit) (((x) + (unit)-1) / (unit) * (unit))

/* How the left operand lies: element (i, k) of it at a[i * stride + k], or at a[k * stride + i]. */
typedef enum LsTileLeft { LS_TILE_PLAIN, LS_TILE_TRANSPOSED } LsTileLeft;

/* One tile in registers: c (LS_TILE_ROWS, vectors * LS_LANES) = a b, or c + a b. */
LS_INLINE void ls_tile(LsTileLeft left, int vectors, bool add, int64_t inner, const acc *a, int64_t a_stride,
                       const acc *b, int64_t b_stride, acc *c, int64_t c_stride)
{
    vacc sum[LS_TILE_ROWS][LS_TILE_VECTORS];
#pragma GCC unroll 8
    for (int64_t i = 0; i < LS_TILE_ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            sum[i][j] = add ? ls_load_acc(c + i * c_stride + j * LS_LANES) : (vacc){0};
    for (int64_t k = 0; k < inner; k++) {
        vacc right[LS_TILE_VECTORS];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            right[j] = ls_load_acc(b + k * b_stride + j * LS_LANES);
#pragma GCC unroll 8
        for (int64_t i = 0; i < LS_TILE_ROWS; i++) {
            vacc one = ls_splat(left == LS_TILE_PLAIN ? a[i * a_stride + k] : a[k * a_stride + i]);
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++)
                sum[i][j] += one * right[j];
        }
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < LS_TILE_ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            ls_store_acc(c + i * c_stride + j * LS_LANES, sum[i][j]);
}

/* c (rows, columns) = a (rows, inner) b (inner, columns), or c + a b. */
LS_INLINE void ls_block_product(LsTileLeft left, bool add, int64_t rows, int64_t columns, int64_t inner, const acc *a,
                                int64_t a_stride, const acc *b, int64_t b_stride, acc *c, int64_t c_stride)
{
    int64_t step = left == LS_TILE_PLAIN ? a_stride : 1;
    int64_t whole = columns / LS_TILE_COLUMNS * LS_TILE_COLUMNS;
    for (int64_t j = 0; j < whole; j += LS_TILE_COLUMNS)
        for (int64_t i = 0; i < rows; i += LS_TILE_ROWS)
            ls_tile(left, LS_TILE_VECTORS, add, inner, a + i * step, a_stride, b + j, b_stride, c + i * c_stride + j,
                    c_stride);
    for (int64_t i = 0; whole < columns && i < rows; i += LS_TILE_ROWS)
        ls_tile(left, 1, add, inner, a + i * step, a_stride, b + whole, b_stride, c + i * c_stride + whole, c_stride);
}

/* ---- Transposition ----------------------------------------------------------------------------------------------- */

#if defined(LS_BUILD_FLOAT64)
#define LS_LANE_COUNT (LS_VEC_BYTES / 8)
#else
#define LS_LANE_COUNT (LS_VEC_BYTES / 4)
#endif

/* The lanes of the lower (upper) halves of a and b, in turn. */
#if LS_LANE_COUNT == 16
#define LS_ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define LS_ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define LS_LANE_STAGES 4
#elif LS_LANE_COUNT == 8
#define LS_ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define LS_ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define LS_LANE_STAGES 3
#elif LS_LANE_COUNT == 4
#define LS_ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define LS_ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LS_LANE_STAGES 2
#else
#define LS_ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 2)
#define LS_ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 1, 3)
#define LS_LANE_STAGES 1
#endif

/* Transposes a square of LS_LANES vectors: log2 of LS_LANES perfect shuffles of the whole square (Stone 1971, "Parallel
 * processing with the perfect shuffle"). */
LS_INLINE void ls_transpose(vacc square[LS_LANE_COUNT])
{
#pragma GCC unroll 4
    for (int stage = 0; stage < LS_LANE_STAGES; stage++) {
        vacc next[LS_LANE_COUNT];
#pragma GCC unroll 8
        for (int i = 0; i < LS_LANE_COUNT / 2; i++) {
            next[2 * i] = LS_ZIP_LOW(square[i], square[i + LS_LANE_COUNT / 2]);
            next[2 * i + 1] = LS_ZIP_HIGH(square[i], square[i + LS_LANE_COUNT / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LS_LANE_COUNT; i++)
            square[i] = next[i];
    }
}

/* Rows of activations, x: (rows, size) with `stride` from row to row, into a block y: (padded rows, padded) of the same
 * orientation, zeros in the padding. */
LS_INLINE void ls_pack(acc *y, int64_t padded_rows, int64_t padded, const real *x, int64_t stride, int64_t rows,
                       int64_t size)
{
    int64_t whole = size / LS_LANES * LS_LANES;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < whole; j += LS_LANES)
            ls_store_acc(y + i * padded + j, ls_load(x + i * stride + j));
        for (int64_t j = whole; j < padded; j++)
            y[i * padded + j] = j < size ? ls_load1(x + i * stride + j) : 0;
    }
    memset(y + rows * padded, 0, (size_t)((padded_rows - rows) * padded) * sizeof(acc));
}

/* The same, transposed: y: (size rounded up to LS_LANES, LS_TILE_COLUMNS), rows <= LS_TILE_COLUMNS. */
LS_INLINE void ls_pack_transposed(acc *y, const real *x, int64_t stride, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < LS_TILE_COLUMNS; row += LS_LANES)
        for (int64_t j = 0; j < size; j += LS_LANES) {
            vacc square[LS_LANE_COUNT];
            for (int64_t i = 0; i < LS_LANES; i++) {
                const real *at = x + (row + i) * stride + j;
                square[i] = row + i >= rows        ? (vacc){0}
                            : j + LS_LANES <= size ? ls_load(at)
                                                   : ls_load_part(at, size - j);
            }
            ls_transpose(square);
            for (int64_t i = 0; i < LS_LANES; i++)
                ls_store_acc(y + (j + i) * LS_TILE_COLUMNS + row, square[i]);
        }
}

/* The way back, lane i of row j times scale[i]: x: (rows, size) from y: (size rounded up, LS_TILE_COLUMNS), written or
 * added. */
LS_INLINE void ls_unpack_transposed(real *x, int64_t stride, int64_t rows, int64_t size, const acc *y, const acc *scale,
                                    bool add)
{
    for (int64_t row = 0; row < rows; row += LS_LANES)
        for (int64_t j = 0; j < size; j += LS_LANES) {
            vacc square[LS_LANE_COUNT], factor = ls_load_acc(scale + row);
            for (int64_t i = 0; i < LS_LANES; i++)
                square[i] = ls_load_acc(y + (j + i) * LS_TILE_COLUMNS + row) * factor;
            ls_transpose(square);
            for (int64_t i = 0; i < LS_LANES && row + i < rows; i++) {
                real *at = x + (row + i) * stride + j;
                if (j + LS_LANES <= size)
                    ls_store(at, add ? ls_load(at) + square[i] : square[i]);
                else
                    ls_store_part(at, add ? ls_load_part(at, size - j) + square[i] : square[i], size - j);
            }
        }
}

#endif
