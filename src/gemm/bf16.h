/* Products of bfloat16 pairs: operands packed in panels, which tile registers (AMX) or dot products of pairs
 * (AVX512_BF16) multiply.
 *
 * A float is the sum of three bfloat16 numbers, x = x1 + x2 + x3 with |x2| <= 2^-8 |x1| and |x3| <= 2^-8 |x2|, so that
 *
 *     x y = x1 y1 + (x1 y2 + x2 y1) + (x1 y3 + x2 y2 + x3 y1) + at most 2^-23 |x y|
 *
 * (Henry, Tang, Heinecke 2019, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
 * computations"). Tiles multiply so much faster than vectors that these six products take less time than the one. A
 * tile sums 32 products before it adds them to what there is, so that the small terms cost few roundings: the error is
 * no larger than that of a sum of float products. What the split cannot carry: an infinite operand may give NaN, and of
 * numbers below 2^-110 less than 24 bits count.
 */
#ifndef LS_GEMM_BF16_H
#define LS_GEMM_BF16_H

#include "gemm/gemm.h"

enum {
    LS_TILE = 16,         /* rows of a tile of A, columns of a tile of B */
    LS_PANEL = 32,        /* two tiles */
    LS_STEP = 32,         /* of k, in a tile */
    LS_TILE_BYTES = 1024, /* A: (16 rows, 32 of k); B: (16 pairs of k, 16 columns, 2) */
    LS_STEP_BYTES = 2 * LS_TILE_BYTES,
    LS_FLOAT_PARTS = 3
};

/* An operand seen as rows of k: those of A, or the columns of B. */
typedef struct LsPanelSource {
    const void *data; /* of row 0 at k = 0 */
    int64_t stride;   /* elements from row to row, or from k to k */
    bool along_k;     /* neighbours in memory are neighbours in k, not rows */
    bool is_float;    /* else LsBfloat16 */
    bool right;       /* pack as B, not as A */
} LsPanelSource;

/* Packs `rows` rows from `row` of k from `from`, `depth` long, in panels of 32, which come panel_bytes apart: out:
 * (steps, parts, 2 tiles) each, parts 3 for float, else 1; what lies beyond rows and depth is zero to the end of its
 * tile. */
void ls_panel_pack(const LsPanelSource *source, int64_t row, int64_t rows, int64_t from, int64_t depth, uint8_t *out,
                   int64_t panel_bytes);

static inline int64_t ls_panel_steps(int64_t depth) { return (depth + LS_STEP - 1) / LS_STEP; }
static inline int64_t ls_panel_bytes(int64_t depth, int parts) { return ls_panel_steps(depth) * parts * LS_STEP_BYTES; }

/* Where the sums of a panel of A and one of B go: to = from + sum + (to as it was, if add) + bias. */
typedef struct LsPanelTarget {
    void *to; /* (rows, columns) of float or LsBfloat16 */
    int64_t to_stride;
    const float *from; /* what earlier blocks of k gave, or NULL */
    int64_t from_stride;
    const void *bias;      /* (columns) of bfloat16, or NULL */
    int64_t rows, columns; /* 1 to 32 */
    bool to_float, add;
    bool nontemporal; /* 32 columns of whole lines, not added to: written without reading what was there */
} LsPanelTarget;

void ls_panel_store(const LsPanelTarget *target, const float *sum);

/* After gives past the caches, before other threads may read. */
void ls_store_fence(void);

/* sum: (32, 32) = a b over all parts, or sum + a b; only the first 16 rows (columns) where row_tiles (column_tiles) is
 * 1. While the tiles are busy, memory is asked for what comes next: `lines` cache lines a step from `next` on, and
 * those that `target` will write. */
typedef struct LsPanelProduct {
    const uint8_t *a, *b;
    int64_t steps;
    int parts, row_tiles, column_tiles;
    bool add;
    float *sum;
    const uint8_t *next;
    int64_t lines;
    const LsPanelTarget *target; /* NULL: nothing will be written yet */
} LsPanelProduct;

/* How panels are multiplied. */
typedef struct LsPanelKernel {
    void (*begin)(void); /* before the first multiply on a thread, and after the last; NULL: nothing to do */
    void (*end)(void);
    void (*multiply)(const LsPanelProduct *product);
} LsPanelKernel;

/* The best kernel that machine and LOCKSTEP_ISA allow; NULL without AVX512_BF16. */
const LsPanelKernel *ls_panel_kernel(void);

/* The same for floats in their three parts: NULL without tiles, as vectors of floats are faster then. */
const LsPanelKernel *ls_panel_tiles(void);

#endif
