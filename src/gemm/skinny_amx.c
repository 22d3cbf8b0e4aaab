/* Few rows of A, but enough for tiles: C^T = B A^T, so that the rows of B, the weights, are loaded as tiles the way
 * they lie in memory, once, and only A, which is small, is packed. Memory still sets the time: while tiles multiply,
 * the rows that come next are fetched.
 *
 * A tile multiplies bfloat16. Weights of 8 bits are such numbers, made where they are needed and never stored for
 * longer; a float of A is three of them (see bf16.h). Each element of C is one sum over k in steps of LS_STEP,
 * whatever the other rows and columns. */
#include "base/bfloat16.h"
#include "base/pieces.h"
#include "gemm/bf16.h"
#include "gemm/skinny.h"
#include "gemm/workspace.h"

#include <omp.h>

#include "gemm/amx.h"

#ifdef LS_HAS_AMX

enum {
    MOST_SUMS = 4,  /* tile registers of sums; number 4 is of B, numbers 5 to 7 are of A */
    MADE_STEPS = 4, /* steps whose weights are made into tiles before they are used */
    LINE = 64
};

#define INLINE static inline __attribute__((always_inline))

typedef struct Job {
    const LsGemm *g;
    const float *scale;     /* of 8-bit rows, else NULL */
    char *right;            /* A packed: (steps, parts, tiles of 16 rows), a tile (16 pairs of k, 16 rows, 2) */
    int64_t steps, columns; /* of k; tiles of 16 rows of A */
    bool a_float;
} Job;

/* How an operand is stored. */
typedef enum Stored { STORED_FLOAT, STORED_BF16, STORED_INT8 } Stored;

INLINE int64_t bytes_of(Stored stored) { return stored == STORED_FLOAT ? 4 : stored == STORED_BF16 ? 2 : 1; }

INLINE Stored stored_b(LsSkinnyKind kind) { return kind == LS_SKINNY_BFLOAT16 ? STORED_BF16 : STORED_INT8; }

INLINE Stored stored_a(LsSkinnyKind kind) { return kind == LS_SKINNY_INT8 ? STORED_FLOAT : STORED_BF16; }

INLINE int parts_of_a(LsSkinnyKind kind) { return stored_a(kind) == STORED_FLOAT ? LS_FLOAT_PARTS : 1; }

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

INLINE __m512i pairs_of(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

INLINE __m512 cut_off(__m512 x)
{
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32((int)0xffff0000)));
}

/* x = x1 + x2 + x3, each of the next 8 bits of x. */
INLINE void split(__m512 x, __m512 part[LS_FLOAT_PARTS])
{
    part[0] = cut_off(x);
    x = _mm512_sub_ps(x, part[0]);
    part[1] = cut_off(x);
    part[2] = _mm512_sub_ps(x, part[1]);
}

/* LS_STEP elements of a row, of which `count` exist, to a row of a tile; of floats, to a row in each of LS_FLOAT_PARTS
 * tiles. */
INLINE void make_row(const Stored stored, const char *from, int64_t count, char *to)
{
    __mmask32 mask = count >= LS_STEP ? 0xffffffffu : (1u << count) - 1;
    if (stored == STORED_BF16) {
        _mm512_store_si512(to, _mm512_maskz_loadu_epi16(mask, from));
    } else if (stored == STORED_FLOAT) {
        __m512 low[LS_FLOAT_PARTS], high[LS_FLOAT_PARTS];
        split(_mm512_maskz_loadu_ps((__mmask16)mask, from), low);
        split(_mm512_maskz_loadu_ps((__mmask16)(mask >> 16), from + LINE), high);
#pragma GCC unroll 3
        for (int p = 0; p < LS_FLOAT_PARTS; p++)
            _mm512_store_si512(to + p * LS_TILE_BYTES, pairs_of(low[p], high[p]));
    } else {
        __m256i bytes = _mm256_maskz_loadu_epi8(mask, from);
        __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(bytes)));
        __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(bytes, 1)));
        _mm512_store_si512(to, pairs_of(low, high));
    }
}

/* The tiles of `blocks` blocks of 16 rows of B from row `row` on, of `steps` steps from `step` on; to: (steps,
 * blocks). */
INLINE void make_tiles(const LsGemm *g, const Stored stored, int64_t row, int blocks, int64_t step, int64_t steps,
                       char *to)
{
    for (int64_t i = 0; i < blocks * LS_TILE; i++) {
        bool exists = row + i < g->n;
        const char *from = (const char *)g->b + (exists ? row + i : 0) * g->ldb * bytes_of(stored);
        for (int64_t s = 0; s < steps; s++)
            make_row(stored, from + (step + s) * LS_STEP * bytes_of(stored), exists ? g->k - (step + s) * LS_STEP : 0,
                     to + (s * blocks + i / LS_TILE) * LS_TILE_BYTES + i % LS_TILE * LINE);
    }
}

/* Four perfect shuffles transpose a square of 16 (Stone 1971). */
INLINE void transpose(__m512 v[LS_TILE])
{
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
#pragma GCC unroll 4
    for (int stage = 0; stage < 4; stage++) {
        __m512 next[LS_TILE];
#pragma GCC unroll 8
        for (int i = 0; i < LS_TILE / 2; i++) {
            next[2 * i] = _mm512_permutex2var_ps(v[i], low, v[i + 8]);
            next[2 * i + 1] = _mm512_permutex2var_ps(v[i], high, v[i + 8]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LS_TILE; i++)
            v[i] = next[i];
    }
}

/* Tile number `tile` of A, at one step, all parts: pairs of k are the 32 bits that a transposition moves. */
INLINE void pack_tile(const Job *job, const Stored stored, int64_t tile, int64_t step)
{
    const LsGemm *g = job->g;
    const int64_t parts = stored == STORED_FLOAT ? LS_FLOAT_PARTS : 1;
    char made[LS_FLOAT_PARTS * LS_TILE_BYTES] __attribute__((aligned(64)));
    for (int64_t i = 0; i < LS_TILE; i++) {
        int64_t row = tile * LS_TILE + i;
        const char *from = (const char *)g->a + ((row < g->m ? row : 0) * g->lda + step * LS_STEP) * bytes_of(stored);
        make_row(stored, from, row < g->m ? g->k - step * LS_STEP : 0, made + i * LINE);
    }
    for (int64_t p = 0; p < parts; p++) {
        char *to = job->right + ((step * parts + p) * job->columns + tile) * LS_TILE_BYTES;
        __m512 v[LS_TILE];
#pragma GCC unroll 16
        for (int i = 0; i < LS_TILE; i++)
            v[i] = _mm512_load_ps(made + p * LS_TILE_BYTES + i * LINE);
        transpose(v);
#pragma GCC unroll 16
        for (int i = 0; i < LS_TILE; i++)
            _mm512_store_ps(to + i * LINE, v[i]);
    }
}

/* ---- One step ---------------------------------------------------------------------------------------------------- */

/* Sum number c gets tile 4 times the tile of A's rows number x: registers are part of the instruction. */
#define MULTIPLY_INTO(c)                                                                                               \
    if (sum == (c) && x % 3 == 0)                                                                                      \
        _tile_dpbf16ps(c, 4, 5);                                                                                       \
    if (sum == (c) && x % 3 == 1)                                                                                      \
        _tile_dpbf16ps(c, 4, 6);                                                                                       \
    if (sum == (c) && x % 3 == 2)                                                                                      \
    _tile_dpbf16ps(c, 4, 7)

INLINE void multiply(const int sum, const int x)
{
    MULTIPLY_INTO(0);
    MULTIPLY_INTO(1);
    MULTIPLY_INTO(2);
    MULTIPLY_INTO(3);
}

INLINE void load_right(const int x, const char *from)
{
    if (x % 3 == 0)
        _tile_loadd(5, from, LINE);
    if (x % 3 == 1)
        _tile_loadd(6, from, LINE);
    if (x % 3 == 2)
        _tile_loadd(7, from, LINE);
}

INLINE void fetch(const char *from, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += LINE)
        _mm_prefetch(from + i, _MM_HINT_T1);
}

/* `blocks` tiles of B, at `weights` with `row_bytes` from row to row and `block_bytes` from tile to tile, times
 * `columns` tiles of A, all parts. `bytes` from `next` on are asked for meanwhile, for each tile some: all at once
 * would wait for each other. */
INLINE void one_step(const Job *job, const int blocks, const int columns, const int parts, const char *weights,
                     int64_t row_bytes, int64_t block_bytes, int64_t step, const char *next, int64_t bytes)
{
    const char *right = job->right + step * parts * columns * LS_TILE_BYTES;
#pragma GCC unroll 4
    for (int y = 0; y < blocks; y++) {
        _tile_loadd(4, weights + y * block_bytes, row_bytes);
        fetch(next + y * (bytes / blocks), bytes / blocks);
#pragma GCC unroll 3
        for (int q = 0; q < parts; q++)
#pragma GCC unroll 4
            for (int x = 0; x < columns; x++) {
                load_right(x, right + (q * columns + x) * LS_TILE_BYTES);
                multiply(y * columns + x, x);
            }
    }
}

/* ---- Results ----------------------------------------------------------------------------------------------------- */

INLINE __m512 load_part(bool is_float, const void *from, int64_t at, __mmask16 mask)
{
    if (is_float)
        return _mm512_maskz_loadu_ps(mask, (const float *)from + at);
    __m256i half = _mm256_maskz_loadu_epi16(mask, (const LsBfloat16 *)from + at);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* sum: (16 rows of B, 16 rows of A), to C from (row, column) on. */
static void store_tile(const Job *job, const float *sum, int64_t row, int64_t column)
{
    const LsGemm *g = job->g;
    bool c_float = job->a_float || g->c_float;
    __mmask16 mask = g->n - column >= LS_TILE ? (__mmask16)0xffff : (__mmask16)((1u << (g->n - column)) - 1);
    __m512 v[LS_TILE];
#pragma GCC unroll 16
    for (int i = 0; i < LS_TILE; i++)
        v[i] = _mm512_load_ps(sum + i * LS_TILE);
    transpose(v);
    __m512 scale = job->scale ? _mm512_maskz_loadu_ps(mask, job->scale + column) : _mm512_set1_ps(1);
    __m512 bias = g->bias ? load_part(job->a_float, g->bias, column, mask) : _mm512_setzero_ps();
    for (int64_t i = 0; i < LS_TILE && row + i < g->m; i++) {
        int64_t at = (row + i) * g->ldc + column;
        __m512 value = job->scale ? _mm512_mul_ps(v[i], scale) : v[i];
        if (g->accumulate)
            value = _mm512_add_ps(value, load_part(c_float, g->c, at, mask));
        if (g->bias)
            value = _mm512_add_ps(value, bias);
        if (c_float)
            _mm512_mask_storeu_ps((float *)g->c + at, mask, value);
        else
            _mm256_mask_storeu_epi16((LsBfloat16 *)g->c + at, mask, (__m256i)_mm512_cvtneps_pbh(value));
    }
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* `blocks` blocks of 16 rows of B from row `row` on times `columns` tiles of A. */
INLINE void multiply_blocks(const Job *job, const LsSkinnyKind kind, const int blocks, const int columns, int64_t row)
{
    const LsGemm *g = job->g;
    const int parts = parts_of_a(kind);
    const Stored stored = stored_b(kind);
    const int64_t row_bytes = g->ldb * bytes_of(stored), step_bytes = LS_STEP * bytes_of(stored);
    char made[MADE_STEPS * MOST_SUMS * LS_TILE_BYTES] __attribute__((aligned(64)));
    float sums[MOST_SUMS][LS_TILE * LS_TILE] __attribute__((aligned(64)));
    const char *here = (const char *)g->b + row * row_bytes, *next = here + blocks * LS_TILE * row_bytes;
    int64_t each = blocks * LS_TILE * step_bytes; /* as many bytes of the next blocks as a step takes of these */
    bool whole = stored == STORED_BF16 && row + blocks * LS_TILE <= g->n;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t step = 0; step < job->steps; step += MADE_STEPS) {
        int64_t count = ls_least(MADE_STEPS, job->steps - step);
        bool direct = whole && (step + count) * LS_STEP <= g->k;
        if (!direct)
            make_tiles(g, stored, row, blocks, step, count, made);
        for (int64_t s = step; s < step + count; s++)
            if (direct)
                one_step(job, blocks, columns, parts, here + s * step_bytes, row_bytes, LS_TILE * row_bytes, s,
                         next + s * each, each);
            else
                one_step(job, blocks, columns, parts, made + (s - step) * blocks * LS_TILE_BYTES, LINE, LS_TILE_BYTES,
                         s, next + s * each, each);
    }
    _tile_stored(0, sums[0], LINE);
    _tile_stored(1, sums[1], LINE);
    _tile_stored(2, sums[2], LINE);
    _tile_stored(3, sums[3], LINE);
    for (int y = 0; y < blocks; y++)
        for (int x = 0; x < columns && row + y * LS_TILE < g->n; x++)
            store_tile(job, sums[y * columns + x], x * LS_TILE, row + y * LS_TILE);
}

/* How many blocks at a time go with so many tiles of A, where so many are left. */
static int blocks_for(int64_t columns, int64_t left)
{
    int blocks = columns == 1 ? 4 : columns == 2 ? 2 : 1;
    return left < blocks ? 1 : blocks;
}

#define BLOCKS(kind)                                                                                                   \
    static void blocks_##kind(const Job *job, int blocks, int64_t row)                                                 \
    {                                                                                                                  \
        if (job->columns == 1 && blocks == 4)                                                                          \
            multiply_blocks(job, LS_SKINNY_##kind, 4, 1, row);                                                         \
        else if (job->columns == 1)                                                                                    \
            multiply_blocks(job, LS_SKINNY_##kind, 1, 1, row);                                                         \
        else if (job->columns == 2 && blocks == 2)                                                                     \
            multiply_blocks(job, LS_SKINNY_##kind, 2, 2, row);                                                         \
        else if (job->columns == 2)                                                                                    \
            multiply_blocks(job, LS_SKINNY_##kind, 1, 2, row);                                                         \
        else if (job->columns == 3)                                                                                    \
            multiply_blocks(job, LS_SKINNY_##kind, 1, 3, row);                                                         \
        else                                                                                                           \
            multiply_blocks(job, LS_SKINNY_##kind, 1, 4, row);                                                         \
    }
BLOCKS(BFLOAT16)
BLOCKS(INT8)
BLOCKS(INT8_OF_BFLOAT16)
static void (*const table[LS_SKINNY_KINDS])(const Job *, int,
                                            int64_t) = {[LS_SKINNY_BFLOAT16] = blocks_BFLOAT16,
                                                        [LS_SKINNY_INT8] = blocks_INT8,
                                                        [LS_SKINNY_INT8_OF_BFLOAT16] = blocks_INT8_OF_BFLOAT16};

/* The rows of B from `first` to before `end`: C's columns. */
static void multiply_range(const Job *job, LsSkinnyKind kind, int64_t first, int64_t end)
{
    LsGemm range = *job->g; /* what is past the end is another thread's */
    range.n = end;
    Job mine = *job;
    mine.g = &range;
    ls_tiles_begin();
    for (int64_t row = first; row < end;) {
        int blocks = blocks_for(job->columns, (end - row + LS_TILE - 1) / LS_TILE);
        table[kind](&mine, blocks, row);
        row += blocks * LS_TILE;
    }
    ls_tiles_end();
    if (range.finish)
        range.finish(range.self, 0, first, range.m, end - first);
}

static LsStatus run(const LsGemm *g)
{
    const LsSkinnyKind kind = ls_skinny_kind(g);
    Job job = {.g = g,
               .scale = g->b_scale,
               .steps = ls_panel_steps(g->k),
               .columns = (g->m + LS_TILE - 1) / LS_TILE,
               .a_float = stored_a(kind) == STORED_FLOAT};
    LsWorkspace *space = ls_workspace_acquire(job.steps * job.columns * parts_of_a(kind) * LS_TILE_BYTES);
    if (!space)
        return LS_RESOURCE;
    job.right = space->data;
    int64_t tiles = (g->n + LS_TILE - 1) / LS_TILE, row_bytes = g->ldb * bytes_of(stored_b(kind));
#pragma omp parallel if (g->n * g->k > 16384)
    {
        int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
        int64_t first = tiles * thread / threads * LS_TILE,
                end = ls_least(tiles * (thread + 1) / threads * LS_TILE, g->n);
        fetch((const char *)g->b + first * row_bytes,
              ls_least(blocks_for(job.columns, tiles) * LS_TILE, end - first) * row_bytes);
#pragma omp for schedule(static)
        for (int64_t step = 0; step < job.steps; step++)
            for (int64_t tile = 0; tile < job.columns; tile++)
                if (job.a_float)
                    pack_tile(&job, STORED_FLOAT, tile, step);
                else
                    pack_tile(&job, STORED_BF16, tile, step);
        if (first < end)
            multiply_range(&job, kind, first, end);
    }
    ls_workspace_release(space);
    return LS_OK;
}

static bool usable(const LsGemm *g)
{
    return ls_skinny_lies(g) && ls_skinny_kind(g) != LS_SKINNY_FLOAT32 && g->m >= LS_SKINNY_AMX_FROM &&
           g->m <= LS_SKINNY_AMX_ROWS;
}

/* Nothing else is as quick where this can be used. */
static double picoseconds(const LsGemm *g)
{
    (void)g;
    return 0;
}

extern const LsGemmKernel ls_gemm_kernel_skinny_amx;
const LsGemmKernel ls_gemm_kernel_skinny_amx = {
    .name = "skinny_amx", .isa = LS_ISA_V4_AMX, .usable = usable, .picoseconds = picoseconds, .run = run};

#endif
