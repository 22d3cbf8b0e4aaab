/* Float sums of float or bfloat16 operands in vectors of any width, from one source: compiled once for each instruction
 * set (cmake/levels.cmake). Operands are packed as floats, bfloat16 widened on the way.
 *
 * The loops follow Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication": a panel of B stays
 * in the first-level cache and a block of A in the second-level cache, while a micro-kernel keeps a tile of C in
 * registers. Every element of C is summed in one order: over k within blocks of LS_SIMD_DEPTH from zero in a register,
 * then block after block. So its bits depend on k and the build alone. */
#ifndef LS_GEMM_SIMD_F32_H
#define LS_GEMM_SIMD_F32_H

#include "gemm/kernel.h"
#include "simd/vec.h"

/* A tile of C, in vectors of columns, and the block of k that amortises reading and writing it. With 32 registers: 24
 * sums, 3 of B, 1 of A; with 16: 12, 2 and 1. (256, 16) floats of B are half of the least first-level cache; the panels
 * of AVX-512 come from the second-level cache whatever their length. */
#if defined(__AVX512F__)
enum { LS_SIMD_ROWS = 8, LS_SIMD_VECTORS = 3, LS_SIMD_DEPTH = 512 };
#elif defined(__aarch64__)
enum { LS_SIMD_ROWS = 8, LS_SIMD_VECTORS = 3, LS_SIMD_DEPTH = 256 };
#else
enum { LS_SIMD_ROWS = 6, LS_SIMD_VECTORS = 2, LS_SIMD_DEPTH = 256 };
#endif

enum { LS_SIMD_COLUMNS = LS_SIMD_VECTORS * (LS_VEC_BYTES / 4) }; /* of a panel of B */

/* An operand seen as rows of k: those of op(A), or the columns of op(B). */
typedef struct LsSimdSource {
    const void *data;
    int64_t stride; /* elements from row to row, or from k to k */
    bool along_k;   /* neighbours in memory are neighbours in k, not rows */
    bool bfloat16;
    const LsGemmRuns *runs; /* of which it is made instead, or NULL: each along k, or across it */
} LsSimdSource;

/* A block of A: panels of LS_SIMD_ROWS rows, (depth, LS_SIMD_ROWS) each; rows beyond the last are zero. sums: = or
 * += the sum of each row, or NULL; only where neighbours in memory are rows. */
void ls_simd_pack_a(const LsSimdSource *source, int64_t row, int64_t rows, int64_t from, int64_t depth, float *out,
                    float *sums, bool add_sums);

/* A block of B: panels of LS_SIMD_COLUMNS columns, (depth, columns) each, the last of fewer vectors where it has fewer;
 * columns beyond the last are zero to the end of a vector. */
void ls_simd_pack_b(const LsSimdSource *source, int64_t column, int64_t columns, int64_t from, int64_t depth,
                    float *out);

/* Runs of `data` as floats: out: (lines, columns), `stride` from line to line: lines from `line` on, elements from
 * `column` on of each. */
void ls_simd_gather(const LsGemmRuns *runs, const void *data, bool bfloat16, int64_t line, int64_t lines,
                    int64_t column, int64_t columns, float *out, int64_t stride);

/* Where a tile's sums go: to = sum (+ from) (+ to as it was, if add) (+ bias). */
typedef struct LsSimdTarget {
    void *to; /* (rows, columns) of float or LsBfloat16 */
    int64_t to_stride;
    bool to_bfloat16, add;
    const float *from; /* what earlier blocks of k gave, or NULL */
    int64_t from_stride;
    const void *bias; /* (columns), or NULL */
    bool bias_bfloat16;
} LsSimdTarget;

/* Where so many runs from `run` on lie, of float lines from `line` on. along_k: out: (tiles of LS_SIMD_ROWS lines,
 * runs, LS_SIMD_ROWS), of the first run element `begin`; else (runs, lines). zeros: (length) of them. */
void ls_simd_find_runs(const LsSimdSource *source, int64_t line, int64_t lines, int64_t run, int64_t runs,
                       int64_t begin, const float *zeros, const float **out);

/* A block of A for the tiles: packed, or floats as they stand, or were gathered; or runs where they lie. */
typedef struct LsSimdLeft {
    const float *data;
    int64_t row, step; /* floats from row to row and from k to k, one of which is 1 */
    int64_t panel;     /* from LS_SIMD_ROWS rows to the next, or pointers */
    /* not NULL: of ls_simd_find_runs, of this length, the first row or k at `begin` of its run; along_k as there */
    const float *const *run;
    int64_t length, begin;
    bool along_k;
} LsSimdLeft;

static inline LsSimdLeft ls_simd_packed(const float *a, int64_t depth)
{
    return (LsSimdLeft){.data = a, .row = 1, .step = LS_SIMD_ROWS, .panel = LS_SIMD_ROWS * depth};
}

/* The product of a block of A and a packed block of B: target is of their first element. */
void ls_simd_multiply(const LsSimdLeft *a, const float *b, int64_t rows, int64_t columns, int64_t depth,
                      const LsSimdTarget *target);

#endif
