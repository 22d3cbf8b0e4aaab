/* Float products by tiles of 8-bit integers.
 *
 * In a block of k, every row of A and every column of B has a power of two of its own, 2^e > max |x|, of which its
 * numbers are fractions of 24 bits, and these are three signed digits of 8 bits:
 *
 *     x = 2^(e - 23) (2^16 x1 + 2^8 x2 + x3) + at most half a unit,      -128 <= xi <= 127
 *     x y = 2^(e + f - 30) (2^16 x1 y1 + 2^8 (x1 y2 + x2 y1) + (x1 y3 + x2 y2 + x3 y1)) + what x2 y3 + x3 y2 and x3 y3 would add
 *
 * (Ootomo, Ozaki, Yokota 2024, "DGEMM on integer matrix multiplication unit"; Ozaki, Ogita, Oishi, Rump 2012 for the
 * splitting). The tiles sum each bracket over the block in 32 bits without any error, so that the float sum has as many
 * roundings as there are blocks; six products of 8 bits take half the time of the six of 16 bits that a float's three
 * bfloat16 parts would need.
 *
 * Error of an element, u = 2^-24: in every block at most 12.2 u max|a| max|b| for each of its k, and the float sum over
 * blocks. Signs are random in practice: for normal numbers and k from 128 to 50,257 the root mean square of the error
 * is 1.4 to 2 times that of sums in float vectors, most of it from the digits' products left out.
 *
 * What one power of two for a row cannot carry are a few numbers of one size among many that are far smaller. So
 * packing counts: where more than a quarter of the numbers of a row, zeros aside, are below 2^-10 of its power of two,
 * or one is not finite, its panel is `wide`, and float vectors multiply it instead. LsGemm.a_by_largest says that this
 * is not needed. Numbers below 2^-104 have fewer bits.
 */
#ifndef LS_BASE_GEMM_FIXED_H
#define LS_BASE_GEMM_FIXED_H

#include "base/gemm.h"

enum {
    LS_FIXED_TILE = 16,         /* rows of a panel of A, columns of a panel of B */
    LS_FIXED_STEP = 64,         /* of k, in a tile */
    LS_FIXED_TILE_BYTES = 1024, /* A: (16 rows, 16 fours of k, 4); B: (16 fours of k, 16 columns, 4); four i is of k = i, 16 + i, 32 + i, 48 + i */
    LS_FIXED_DIGITS = 3,
    LS_FIXED_TOGETHER = 4, /* panels that are packed at once */
    LS_FIXED_STEP_BYTES = LS_FIXED_DIGITS * LS_FIXED_TILE_BYTES
};

/* Which numbers a panel holds, besides the tiles: (steps, 3 digits, tile). */
typedef struct LsFixedScale {
    float scale[LS_FIXED_TILE]; /* a row's half of 2^(e + f - 30): 2^(e - 15) */
    bool wide;                  /* some row is, or is not finite: the tiles say nothing of it */
} LsFixedScale;

/* An operand seen as rows of k: those of A, or the columns of B. */
typedef struct LsFixedSource {
    const float *data; /* of row 0 at k = 0 */
    int64_t stride;    /* elements from row to row, or from k to k */
    bool along_k;      /* neighbours in memory are neighbours in k, not rows */
    bool right;        /* pack as B, not as A */
    bool by_largest;   /* rows are never wide for the sizes of their numbers */
} LsFixedSource;

static inline int64_t ls_fixed_steps(int64_t depth) { return (depth + LS_FIXED_STEP - 1) / LS_FIXED_STEP; }
static inline int64_t ls_fixed_bytes(int64_t depth) { return ls_fixed_steps(depth) * LS_FIXED_STEP_BYTES; }

/* Floats of copying space that ls_fixed_pack needs, aligned to LS_ALIGN. */
static inline int64_t ls_fixed_copy(int64_t depth)
{
    return ls_fixed_steps(depth) * LS_FIXED_STEP * LS_FIXED_TILE * LS_FIXED_TOGETHER;
}

/* Packs `rows` rows from `row` of k from `from`, `depth` long, in panels of 16; what lies beyond them is
 * zero. scale: of each panel. sums: the sum of each row, for whole panels, or NULL; only where neighbours in memory are
 * rows. */
void ls_fixed_pack(const LsFixedSource *source, int64_t row, int64_t rows, int64_t from, int64_t depth, float *copy,
                   uint8_t *out, LsFixedScale *scale, float *sums);

/* sum: (3 brackets, 16, 16), = a b or += a b over `steps` steps. While the tiles are busy, memory is asked for `lines`
 * cache lines a step from `next` on. Between ls_tiles_begin and ls_tiles_end. */
typedef struct LsFixedProduct {
    const uint8_t *a, *b;
    int64_t steps;
    bool a_stays; /* a is to stay in the first-level cache, else it passes by */
    bool add;
    int32_t *sum;
    const uint8_t *next;
    int64_t lines;
    const float *result; /* rows of C that will be written: asked for a few in every step, all at once would wait; NULL: none */
    int64_t result_stride, result_rows;
} LsFixedProduct;

void ls_fixed_multiply(const LsFixedProduct *product);

/* Where a complete sum goes: c: (rows, columns) = or += sum, + bias (columns) if not NULL. */
typedef struct LsFixedTarget {
    float *c;
    int64_t ldc, rows, columns; /* 1 to 16 */
    bool add;
    const float *bias;
} LsFixedTarget;

void ls_fixed_give(const LsFixedTarget *target, const int32_t *sum, const LsFixedScale *a, const LsFixedScale *b);

/* The machine has 8-bit tiles and LOCKSTEP_ISA allows them. */
bool ls_fixed_usable(void);

/* The product; k > 0. An element's bits depend on the product alone, not on the number of threads. */
LsStatus ls_fixed_gemm(const LsGemm *gemm) LS_MUST_USE;

/* The same, n > 0 too, in a parallel region of the caller's, who begins and ends the work outside, with as many threads,
 * each of which calls ls_fixed_team. All of them meet before anything is summed, and for every further block, but not at
 * the end. NULL when out of memory; ls_fixed_end allows it. */
typedef struct LsFixedWork LsFixedWork;
LsFixedWork *ls_fixed_begin(const LsGemm *gemm, int64_t threads);
void ls_fixed_team(LsFixedWork *work);
void ls_fixed_end(LsFixedWork *work);

/* The same on the calling thread, inside a parallel region, in a space aligned to LS_ALIGN of as many bytes as a
 * product takes whose m is the same and whose n and k are no less. */
int64_t ls_fixed_alone_space(const LsGemm *gemm);
void ls_fixed_alone(const LsGemm *gemm, void *space);

/* Most bytes of work space that a product takes whose result has this many columns. */
int64_t ls_fixed_space(int64_t columns);
int64_t ls_fixed_space_of_right(int64_t columns); /* that of B alone */

#endif
