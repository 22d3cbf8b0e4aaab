/* Float products by tiles of 8-bit integers.
 *
 * In a block of k, every row of A and every column of B has a power of two of its own, 2^e > max |x|, of which its
 * numbers are fractions of 24 bits, and these are three signed digits of 8 bits:
 *
 *     x = 2^(e - 23) (2^16 x1 + 2^8 x2 + x3) + at most half a unit,      -128 <= xi <= 127
 *     x y = 2^(e + f - 30) (2^16 x1 y1 + 2^8 (x1 y2 + x2 y1) + (x1 y3 + x2 y2 + x3 y1)) + what x2 y3 + x3 y2 and x3 y3 would add
 *
 * (Ootomo, Ozaki, Yokota 2024, "DGEMM on integer matrix multiplication unit"; Ozaki, Ogita, Oishi, Rump 2012 for the
 * splitting). The tiles sum each bracket over the block in 32 bits without any error, so that the float sum has as
 * many roundings as there are blocks; six products of 8 bits take half the time of the six of 16 bits that a float's
 * three bfloat16 parts would need.
 *
 * Error of an element, u = 2^-24: in every block at most 12.2 u max|a| max|b| for each of its k, and the float sum
 * over blocks. Signs are random in practice: for normal numbers and k from 128 to 50,257 the root mean square of the
 * error is 1.4 to 2 times that of sums in float vectors, most of it from the digits' products left out.
 *
 * What one power of two for a row cannot carry are a few numbers of one size among many that are far smaller. So
 * packing counts: where more than a quarter of the numbers of a row, zeros aside, are below 2^-10 of its power of
 * two, or one is not finite, its panel is `wide`, and float vectors multiply it instead. LsGemm.a_rowwise_error says
 * that this is not needed; b_columnwise_error likewise. Numbers below 2^-104 have fewer bits.
 */
#ifndef LS_GEMM_INT8X3_H
#define LS_GEMM_INT8X3_H

#include "gemm/gemm.h"

enum {
    LS_INT8X3_TILE = 16, /* rows of a panel of A, columns of a panel of B */
    LS_INT8X3_STEP = 64, /* of k, in a tile */
    /* A: (16 rows, 16 fours of k, 4); B: (16 fours of k, 16 columns, 4); four i is of k = i, 16 + i, 32 + i, 48 + i */
    LS_INT8X3_TILE_BYTES = 1024,
    LS_INT8X3_DIGITS = 3,
    LS_INT8X3_TOGETHER = 4, /* panels that are packed at once */
    LS_INT8X3_STEP_BYTES = LS_INT8X3_DIGITS * LS_INT8X3_TILE_BYTES
};

/* Which numbers a panel holds, besides the tiles: (steps, 3 digits, tile). */
typedef struct LsInt8x3Scale {
    float scale[LS_INT8X3_TILE]; /* a row's half of 2^(e + f - 30): 2^(e - 15) */
    bool wide;                   /* some row is, or is not finite: the tiles say nothing of it */
} LsInt8x3Scale;

/* An operand seen as rows of k: those of A, or the columns of B. */
typedef struct LsInt8x3Source {
    const float *data;      /* of row 0 at k = 0 */
    int64_t stride;         /* elements from row to row, or from k to k */
    bool along_k;           /* neighbours in memory are neighbours in k, not rows */
    bool right;             /* pack as B, not as A */
    bool by_largest;        /* rows are never wide for the sizes of their numbers */
    const LsGemmRuns *runs; /* of which it is made instead, or NULL: each along k, or across it */
} LsInt8x3Source;

static inline int64_t ls_int8x3_steps(int64_t depth) { return (depth + LS_INT8X3_STEP - 1) / LS_INT8X3_STEP; }
static inline int64_t ls_int8x3_bytes(int64_t depth) { return ls_int8x3_steps(depth) * LS_INT8X3_STEP_BYTES; }

/* Floats of copying space that ls_int8x3_pack needs for so many panels, LS_INT8X3_TOGETHER at most, aligned to LS_ALIGN;
 * of a source along k one panel of one step is enough. Sources of runs need twice the space of LS_INT8X3_TOGETHER. */
static inline int64_t ls_int8x3_copy(int64_t depth, int64_t panels)
{
    return ls_int8x3_steps(depth) * LS_INT8X3_STEP * LS_INT8X3_TILE * panels;
}

/* Of a source of runs: out: rows, (rows, depth), where it is along_k, else lines of k, (depth, rows); `stride` from one
 * to the next. */
void ls_int8x3_gather(const LsInt8x3Source *source, int64_t row, int64_t rows, int64_t from, int64_t depth, float *out,
                      int64_t stride);

/* Packs `rows` rows from `row` of k from `from`, `depth` long, in panels of 16; what lies beyond them is
 * zero. scale: of each panel. sums: the sum of each row, for whole panels, or NULL; only where neighbours in memory are
 * rows. */
void ls_int8x3_pack(const LsInt8x3Source *source, int64_t row, int64_t rows, int64_t from, int64_t depth, float *copy,
                    uint8_t *out, LsInt8x3Scale *scale, float *sums);

/* sum: (3 brackets, 16, 16), = a b or += a b over `steps` steps. While the tiles are busy, memory is asked for `lines`
 * cache lines a step from `next` on. Between ls_tiles_begin and ls_tiles_end. */
typedef struct LsInt8x3Product {
    const uint8_t *a, *b;
    int64_t steps;
    bool a_stays; /* a is to stay in the first-level cache, else it passes by */
    bool add;
    int32_t *sum;
    const uint8_t *next;
    int64_t lines;
    /* rows of C that will be written: asked for a few in every step, all at once would wait; NULL: none */
    const float *result;
    int64_t result_stride, result_rows;
} LsInt8x3Product;

void ls_int8x3_multiply(const LsInt8x3Product *product);

/* Where a complete sum goes: c: (rows, columns) = or += sum, + bias (columns) if not NULL. */
typedef struct LsInt8x3Target {
    float *c;
    int64_t ldc, rows, columns; /* 1 to 16 */
    bool add;
    const float *bias;
} LsInt8x3Target;

void ls_int8x3_store(const LsInt8x3Target *target, const int32_t *sum, const LsInt8x3Scale *a, const LsInt8x3Scale *b);

/* Its kernel would do the product. */
bool ls_int8x3_does(const LsGemm *gemm);

/* The product in a parallel region of the caller's, who begins and ends the work outside, with as many threads, each of
 * which calls ls_int8x3_team. All of them meet before anything is summed, and for every further block, but not at the
 * end. NULL when out of memory; ls_int8x3_end allows it. */
typedef struct LsInt8x3Work LsInt8x3Work;
LsInt8x3Work *ls_int8x3_begin(const LsGemm *gemm, int64_t threads);
void ls_int8x3_team(LsInt8x3Work *work);
void ls_int8x3_end(LsInt8x3Work *work);

#endif
