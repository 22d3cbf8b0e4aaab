/* The loops around the register tile follow Goto and van de Geijn 2008, "Anatomy of high-performance matrix
 * multiplication": a block of A and a block of B are copied into the order in which the tile reads them; the block of A
 * stays in the second-level cache while the panels of B pass by.
 *
 * Every element of C is summed in one order: over k within a block of DEPTH in a register, then block after block. */
#include "base/gemm_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include <immintrin.h>

enum {
    LANES = 16,
    TILE_ROWS = 8,
    COPY_DEPTH = 16,
    PAGE_FLOATS = 1024,
    TILE_VECTORS = 3, /* 8 x 3 sums + 3 of B + 1 of A are 28 of 32 registers; 11 loads feed 24 multiply-adds */
    DEPTH = 384,   /* of a block: amortises reading and writing C */
    ROWS = 192,    /* of a block of A: 288 KiB, in the second-level cache */
    COLUMNS = 768, /* of a block of B: 1.1 MiB */
};

bool ls_gemm_kernel_usable(void)
{
    return ls_isa() >= LS_ISA_V4;
}

int64_t ls_gemm_kernel_space(void)
{
    return (int64_t)DEPTH * (ROWS + COLUMNS);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Asks for the cache line at x, which may lie beyond the matrix: nothing happens then. */
static inline void fetch(const float *x)
{
    _mm_prefetch((const char *)x, _MM_HINT_T0);
}

static __mmask16 first_lanes(int64_t count)
{
    return count >= LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1);
}

static const float *part_of(const void *matrix, int64_t stride, bool transposed, int64_t row, int64_t column)
{
    const float *x = matrix;
    return transposed ? x + column * stride + row : x + row * stride + column;
}

/* ---- Packing A: panels of TILE_ROWS rows, (depth, 8) each; rows beyond the last are zero ------------------------- */

/* rows: (8, 16 of k) in registers -> out: (16 of k, 8). */
static inline void transpose_8_16(const __m512 row[TILE_ROWS], float *out, int64_t depth)
{
    __m512 u[2][4]; /* u[g][c], lane group L: k = 4 L + c of rows 4 g to 4 g + 3 */
    for (int g = 0; g < 2; g++) {
        __m512 a = _mm512_unpacklo_ps(row[4 * g], row[4 * g + 1]), b = _mm512_unpackhi_ps(row[4 * g], row[4 * g + 1]);
        __m512 c = _mm512_unpacklo_ps(row[4 * g + 2], row[4 * g + 3]), d = _mm512_unpackhi_ps(row[4 * g + 2], row[4 * g + 3]);
        u[g][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
        u[g][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
        u[g][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
        u[g][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
    }
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (int c = 0; c < 4; c++) {
        __m512d first = _mm512_castps_pd(u[0][c]), second = _mm512_castps_pd(u[1][c]);
        __m512 x = _mm512_castpd_ps(_mm512_permutex2var_pd(first, low, second)); /* k = c, 4 + c */
        __m512 y = _mm512_castpd_ps(_mm512_permutex2var_pd(first, high, second)); /* k = 8 + c, 12 + c */
        if (c < depth)
            _mm256_storeu_ps(out + c * TILE_ROWS, _mm512_castps512_ps256(x));
        if (4 + c < depth)
            _mm256_storeu_ps(out + (4 + c) * TILE_ROWS, _mm512_extractf32x8_ps(x, 1));
        if (8 + c < depth)
            _mm256_storeu_ps(out + (8 + c) * TILE_ROWS, _mm512_castps512_ps256(y));
        if (12 + c < depth)
            _mm256_storeu_ps(out + (12 + c) * TILE_ROWS, _mm512_extractf32x8_ps(y, 1));
    }
}

/* a: (rows, depth), stride floats from row to row. */
static void pack_a(const float *a, int64_t stride, int64_t rows, int64_t depth, float *out)
{
    for (int64_t i = 0; i < rows; i += TILE_ROWS, out += TILE_ROWS * depth) {
        int64_t p = 0;
        for (; p + LANES <= depth && i + TILE_ROWS <= rows; p += LANES) {
            __m512 row[TILE_ROWS];
            for (int r = 0; r < TILE_ROWS; r++) {
                row[r] = _mm512_loadu_ps(a + (i + r) * stride + p);
                fetch(a + (i + r + TILE_ROWS) * stride + p); /* of the next panel: the rows are too short for the machine's own guesses */
            }
            transpose_8_16(row, out + p * TILE_ROWS, LANES);
        }
        for (; p < depth; p += LANES) {
            __m512 row[TILE_ROWS];
            for (int r = 0; r < TILE_ROWS; r++)
                row[r] = i + r < rows ? _mm512_maskz_loadu_ps(first_lanes(depth - p), a + (i + r) * stride + p)
                                      : _mm512_setzero_ps();
            transpose_8_16(row, out + p * TILE_ROWS, depth - p);
        }
    }
}

/* a: (depth, rows): two panels at a time, so that every cache line is read once. */
static void pack_a_transposed(const float *a, int64_t stride, int64_t rows, int64_t depth, float *out)
{
    for (int64_t i = 0; i < rows; i += LANES) {
        __mmask16 mask = first_lanes(rows - i);
        float *second = i + TILE_ROWS < rows ? out + TILE_ROWS * depth : NULL;
        for (int64_t p = 0; p < depth; p++) {
            __m512 x = _mm512_maskz_loadu_ps(mask, a + p * stride + i);
            _mm256_storeu_ps(out + p * TILE_ROWS, _mm512_castps512_ps256(x));
            if (second)
                _mm256_storeu_ps(second + p * TILE_ROWS, _mm512_extractf32x8_ps(x, 1));
        }
        out += 2 * TILE_ROWS * depth;
    }
}

/* ---- Packing B: panels of 1 to 3 vectors of columns, (depth, 16 vectors) each; columns beyond the last are zero -- */

/* Vectors in the panel that begins with `left` vectors to go: three, but two and two rather than three and one. */
static int64_t panel_vectors(int64_t left)
{
    return left == 4 ? 2 : least(left, TILE_VECTORS);
}

/* `depth` rows of one panel; b: (depth, 16 vectors), of which the last vector has the lanes `last`. */
static inline __attribute__((always_inline)) void copy_panel(const float *b, int64_t stride, int64_t depth,
                                                             const int64_t vectors, __mmask16 last, float *out)
{
    for (int64_t p = 0; p < depth; p++, b += stride, out += vectors * LANES)
        for (int64_t v = 0; v < vectors; v++) {
            __mmask16 mask = v == vectors - 1 ? last : (__mmask16)0xffff;
            _mm512_store_ps(out + v * LANES, _mm512_maskz_loadu_ps(mask, b + v * LANES));
            fetch(b + COPY_DEPTH * stride + v * LANES);
        }
}

/* b: (depth, columns): a few rows of all panels at a time, so that whole rows are read in order. */
static void pack_b(const float *b, int64_t stride, int64_t columns, int64_t depth, float *out)
{
    int64_t vectors = (columns + LANES - 1) / LANES;
    for (int64_t p = 0; p < depth; p += COPY_DEPTH) {
        int64_t rows = least(COPY_DEPTH, depth - p);
        for (int64_t v = 0, width; v < vectors; v += width) {
            width = panel_vectors(vectors - v);
            const float *from = b + p * stride + v * LANES;
            float *to = out + v * LANES * depth + p * width * LANES;
            __mmask16 last = first_lanes(columns - (v + width - 1) * LANES);
            if (width == 3)
                copy_panel(from, stride, rows, 3, last, to);
            else if (width == 2)
                copy_panel(from, stride, rows, 2, last, to);
            else
                copy_panel(from, stride, rows, 1, last, to);
        }
    }
}

/* x: (16, 16) in registers, transposed into rows `stride` floats apart, of which `rows` are wanted. */
static inline void transpose_16_16(const __m512 x[LANES], float *out, int64_t stride, int64_t rows)
{
    __m512 u[4][4]; /* u[g][c], lane group L: element 4 L + c of x[4 g] to x[4 g + 3] */
    for (int g = 0; g < 4; g++) {
        __m512 a = _mm512_unpacklo_ps(x[4 * g], x[4 * g + 1]), b = _mm512_unpackhi_ps(x[4 * g], x[4 * g + 1]);
        __m512 c = _mm512_unpacklo_ps(x[4 * g + 2], x[4 * g + 3]), d = _mm512_unpackhi_ps(x[4 * g + 2], x[4 * g + 3]);
        u[g][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
        u[g][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
        u[g][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
        u[g][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
    }
    for (int c = 0; c < 4; c++) {
        __m512 a = _mm512_shuffle_f32x4(u[0][c], u[1][c], 0x44), b = _mm512_shuffle_f32x4(u[0][c], u[1][c], 0xee);
        __m512 d = _mm512_shuffle_f32x4(u[2][c], u[3][c], 0x44), e = _mm512_shuffle_f32x4(u[2][c], u[3][c], 0xee);
        if (c < rows)
            _mm512_store_ps(out + c * stride, _mm512_shuffle_f32x4(a, d, 0x88));
        if (4 + c < rows)
            _mm512_store_ps(out + (4 + c) * stride, _mm512_shuffle_f32x4(a, d, 0xdd));
        if (8 + c < rows)
            _mm512_store_ps(out + (8 + c) * stride, _mm512_shuffle_f32x4(b, e, 0x88));
        if (12 + c < rows)
            _mm512_store_ps(out + (12 + c) * stride, _mm512_shuffle_f32x4(b, e, 0xdd));
    }
}

/* b: (columns, depth). */
static void pack_b_transposed(const float *b, int64_t stride, int64_t columns, int64_t depth, float *out)
{
    int64_t vectors = (columns + LANES - 1) / LANES;
    for (int64_t v = 0, width; v < vectors; v += width) {
        width = panel_vectors(vectors - v);
        for (int64_t i = 0; i < width; i++) {
            int64_t column = (v + i) * LANES;
            const float *from = b + column * stride;
            float *to = out + v * LANES * depth + i * LANES;
            int64_t p = 0;
            for (; p + LANES <= depth && column + LANES <= columns; p += LANES) {
                __m512 x[LANES];
                for (int r = 0; r < LANES; r++) {
                    x[r] = _mm512_loadu_ps(from + r * stride + p);
                    fetch(from + (r + LANES) * stride + p);
                }
                transpose_16_16(x, to + p * width * LANES, width * LANES, LANES);
            }
            for (; p < depth; p += LANES) {
                __m512 x[LANES];
                for (int r = 0; r < LANES; r++)
                    x[r] = column + r < columns ? _mm512_maskz_loadu_ps(first_lanes(depth - p), from + r * stride + p)
                                                : _mm512_setzero_ps();
                transpose_16_16(x, to + p * width * LANES, width * LANES, depth - p);
            }
        }
    }
}

/* ---- The register tile ------------------------------------------------------------------------------------------- */

typedef struct Tile {
    const float *a; /* lda floats from row to row; by columns: (depth, rows), packed ones with an lda of 8; else (rows, depth) */
    const float *b; /* (depth, 16 vectors) */
    float *c;       /* (rows, columns) */
    const float *bias;
    int64_t depth, lda, ldc;
    __mmask16 last; /* lanes of the last vector that exist */
    bool add;
} Tile;

/* c = or += a b for constant rows and vectors: the sums live in registers. */
static inline __attribute__((always_inline)) void tile(const Tile *t, const int rows, const int vectors,
                                                       const bool by_columns)
{
    __m512 sum[TILE_ROWS][TILE_VECTORS];
    const float *a = t->a, *b = t->b;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = _mm512_setzero_ps();
            _mm_prefetch((const char *)(t->c + i * t->ldc + v * LANES), _MM_HINT_T0);
        }
    }
#pragma GCC unroll 2
    for (int64_t p = 0; p < t->depth; p++, a += by_columns ? t->lda : 1, b += vectors * LANES) {
        __m512 y[TILE_VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            y[v] = _mm512_load_ps(b + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            __m512 x = _mm512_set1_ps(by_columns ? a[i] : a[i * t->lda]);
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++)
                sum[i][v] = _mm512_fmadd_ps(x, y[v], sum[i][v]);
        }
    }
    if (t->last == 0xffff && !t->add && !t->bias) { /* the common case of a short k, where the end of a tile is felt */
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++)
                _mm512_storeu_ps(t->c + i * t->ldc + v * LANES, sum[i][v]);
        }
        return;
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            __mmask16 mask = v == vectors - 1 ? t->last : (__mmask16)0xffff;
            float *c = t->c + i * t->ldc + v * LANES;
            __m512 s = sum[i][v];
            if (t->add)
                s = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, c), s);
            if (t->bias)
                s = _mm512_add_ps(s, _mm512_maskz_loadu_ps(mask, t->bias + v * LANES));
            _mm512_mask_storeu_ps(c, mask, s);
        }
    }
}

#define TILE(rows, vectors)                                                                                              \
    static void columns_##rows##_##vectors(const Tile *t) { tile(t, rows, vectors, true); }                               \
    static void rows_##rows##_##vectors(const Tile *t) { tile(t, rows, vectors, false); }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6) TILES(7) TILES(8)
#define ENTRIES(how, rows) {how##_##rows##_1, how##_##rows##_2, how##_##rows##_3}
#define TABLE(how)                                                                                                       \
    {ENTRIES(how, 1), ENTRIES(how, 2), ENTRIES(how, 3), ENTRIES(how, 4),                                                  \
     ENTRIES(how, 5), ENTRIES(how, 6), ENTRIES(how, 7), ENTRIES(how, 8)}
static void (*const tiles[2][TILE_ROWS][TILE_VECTORS])(const Tile *) = {TABLE(rows), TABLE(columns)};

/* A block of A for the tiles: as it stands, or packed. */
typedef struct Block {
    const float *data;
    int64_t lda, tile_step; /* floats from tile to tile */
    bool by_columns;
} Block;

/* c: (rows, columns) from a block of A and a packed block of B. */
static void multiply_blocks(const Block *a, const float *b, int64_t rows, int64_t columns, int64_t depth, float *c,
                            int64_t ldc, bool add, const float *bias)
{
    int64_t vectors = (columns + LANES - 1) / LANES;
    for (int64_t v = 0, width; v < vectors; v += width) {
        width = panel_vectors(vectors - v);
        Tile t = {.a = a->data, .b = b + v * LANES * depth, .c = c + v * LANES, .bias = bias ? bias + v * LANES : NULL,
                  .depth = depth, .lda = a->lda, .ldc = ldc, .add = add};
        t.last = first_lanes(columns - (v + width - 1) * LANES);
        for (int64_t i = 0; i < rows; i += TILE_ROWS, t.a += a->tile_step, t.c += TILE_ROWS * ldc)
            tiles[a->by_columns][least(TILE_ROWS, rows - i) - 1][width - 1](&t);
    }
}

/* ---- One region -------------------------------------------------------------------------------------------------- */

/* Blocks of equal size: `most` at most, a multiple of `step` each but the last. */
static int64_t block_length(int64_t length, int64_t most, int64_t step)
{
    int64_t blocks = (length + most - 1) / most;
    int64_t each = (length + blocks - 1) / blocks;
    return least((each + step - 1) / step * step, most);
}

/* A tile can read A as it stands, which saves packing it, unless its lines would fall on each other in the first-level
 * cache, or (transposed) lie on many pages while many panels of B pass by. */
static bool reads_direct(const LsGemm *g, const LsGemmRegion *r)
{
    if (g->lda % PAGE_FLOATS == 0)
        return false;
    return !g->transpose_a || (r->columns <= 192 && g->lda <= 512);
}

static Block block_of_a(const LsGemm *g, const float *a, int64_t rows, int64_t depth, bool direct, float *packed)
{
    if (direct)
        return (Block){a, g->lda, g->transpose_a ? TILE_ROWS : TILE_ROWS * g->lda, g->transpose_a};
    (g->transpose_a ? pack_a_transposed : pack_a)(a, g->lda, rows, depth, packed);
    return (Block){packed, TILE_ROWS, TILE_ROWS * depth, true};
}

void ls_gemm_kernel(const LsGemm *g, const LsGemmRegion *r, float *space)
{
    float *packed_a = space, *packed_b = space + (int64_t)DEPTH * ROWS;
    int64_t rows_each = block_length(r->rows, ROWS, TILE_ROWS),
            columns_each = block_length(r->columns, COLUMNS, TILE_VECTORS * LANES);
    bool direct = reads_direct(g, r);
    for (int64_t j = 0; j < r->columns; j += columns_each) {
        int64_t columns = least(columns_each, r->columns - j);
        for (int64_t p = 0; p < r->depth; p += DEPTH) {
            int64_t depth = least(DEPTH, r->depth - p);
            bool complete = r->complete && p + depth == r->depth;
            const float *b = part_of(g->b, g->ldb, g->transpose_b, r->from + p, r->column + j);
            (g->transpose_b ? pack_b_transposed : pack_b)(b, g->ldb, columns, depth, packed_b);
            for (int64_t i = 0; i < r->rows; i += rows_each) {
                int64_t rows = least(rows_each, r->rows - i);
                Block a = block_of_a(g, part_of(g->a, g->lda, g->transpose_a, r->row + i, r->from + p), rows, depth,
                                     direct, packed_a);
                multiply_blocks(&a, packed_b, rows, columns, depth, r->c + i * r->ldc + j, r->ldc, r->add || p > 0,
                                complete && g->bias ? (const float *)g->bias + r->column + j : NULL);
                if (complete && g->finish)
                    g->finish(g->self, r->row + i, r->column + j, rows, columns);
            }
        }
    }
}

#else

bool ls_gemm_kernel_usable(void)
{
    return false;
}

int64_t ls_gemm_kernel_space(void)
{
    return 0;
}

void ls_gemm_kernel(const LsGemm *g, const LsGemmRegion *r, float *space)
{
    (void)g, (void)r, (void)space;
}

#endif
