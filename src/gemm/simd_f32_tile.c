/* The float kernel's register tile: LS_SIMD_ROWS rows by LS_SIMD_VECTORS vectors of C, one row of A and of B at a
 * time. */
#include "gemm/simd_level.h"
#include "gemm/simd_f32.h"

#include "base/pieces.h"

enum { STEP = 4 };

typedef struct Tile {
    const float *a;
    int64_t a_row, a_step; /* floats from row to row, and from k to k */
    /* instead, of runs: where they lie, their length, where in the first the tile begins (LsSimdLeft) */
    const float *const *run;
    int64_t length, begin;
    const float *b;         /* (depth, vectors) */
    int64_t depth, columns; /* columns of C: up to the vectors' */
    const char *next;       /* of the panel of B that comes next: asked for meanwhile, a line every STEP of k */
    LsSimdTarget target;
} Tile;

/* ---- The end of a sum -------------------------------------------------------------------------------------------- */

LS_INLINE vacc load_row(const void *x, int64_t n, bool bfloat16)
{
    vacc v = {0};
    if (!bfloat16)
        return n >= LS_LANES ? ls_load_acc(x) : ls_load_acc_part(x, n);
    ls_halves h = {0};
    memcpy(&h, x, (size_t)ls_least(n, LS_LANES) * sizeof(LsBfloat16));
    v = ls_widen(h);
    return v;
}

LS_INLINE void store_row(void *x, vacc v, int64_t n, bool bfloat16)
{
    if (bfloat16) {
        ls_halves h = ls_narrow(v);
        memcpy(x, &h, (size_t)ls_least(n, LS_LANES) * sizeof(LsBfloat16));
    } else if (n >= LS_LANES)
        ls_store_acc(x, v);
    else
        ls_store_acc_part(x, v, n);
}

/* sum: (rows, vectors) in memory: every kind of target, and columns that fill no vector. */
static __attribute__((noinline)) void store_any(const Tile *t, int64_t rows, int64_t vectors, const vacc *sum)
{
    const LsSimdTarget *g = &t->target;
    const int64_t to_bytes = g->to_bfloat16 ? 2 : 4, bias_bytes = g->bias_bfloat16 ? 2 : 4;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < vectors; j++) {
            int64_t column = j * LS_LANES, n = t->columns - column;
            char *to = (char *)g->to + (i * g->to_stride + column) * to_bytes;
            vacc v = sum[i * vectors + j];
            if (g->from)
                v = load_row(g->from + i * g->from_stride + column, n, false) + v;
            if (g->add)
                v = load_row(to, n, g->to_bfloat16) + v;
            if (g->bias)
                v += load_row((const char *)g->bias + column * bias_bytes, n, g->bias_bfloat16);
            store_row(to, v, n, g->to_bfloat16);
        }
}

/* ---- The sums ---------------------------------------------------------------------------------------------------- */

/* One of k. */
LS_INLINE void add_products(const float *a, int64_t a_row, const float *b, const int rows, const int vectors, vacc *sum)
{
    vacc y[LS_SIMD_VECTORS];
#pragma GCC unroll 3
    for (int v = 0; v < vectors; v++)
        y[v] = *(const vacc *)(const void *)(b + v * LS_LANES);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        vacc x = ls_splat(a[i * a_row]);
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            sum[i * vectors + v] += x * y[v];
    }
}

/* The same of rows that lie apart, `at` elements on. */
LS_INLINE void add_products_of(const float *const *a, int64_t at, const float *b, const int rows, const int vectors,
                               vacc *sum)
{
    vacc y[LS_SIMD_VECTORS];
#pragma GCC unroll 3
    for (int v = 0; v < vectors; v++)
        y[v] = *(const vacc *)(const void *)(b + v * LS_LANES);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        vacc x = ls_splat(a[i][at]);
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            sum[i * vectors + v] += x * y[v];
    }
}

LS_INLINE void begin_sums(const Tile *t, const int rows, const int vectors, vacc *sum)
{
    const LsSimdTarget *g = &t->target;
    const int64_t row_bytes = g->to_stride * (g->to_bfloat16 ? 2 : 4);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 3
        for (int at = 0; at < vectors * LS_VEC_BYTES; at += LS_ALIGN)
            __builtin_prefetch((char *)g->to + i * row_bytes + at, 1);
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            sum[i * vectors + v] = (vacc){0};
    }
}

LS_INLINE void store_sums(const Tile *t, const int rows, const int vectors, const vacc *sum)
{
    const LsSimdTarget *g = &t->target;
    const bool whole = t->columns == vectors * LS_LANES && !g->bias;
    if (whole && g->to_bfloat16 && !g->add) {
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++) {
                vacc all = sum[i * vectors + v];
                if (g->from)
                    all = ls_load_acc(g->from + i * g->from_stride + v * LS_LANES) + all;
                ls_halves h = ls_narrow(all);
                memcpy((LsBfloat16 *)g->to + i * g->to_stride + v * LS_LANES, &h, sizeof h);
            }
        return;
    }
    if (!whole || g->to_bfloat16 || g->from) {
        vacc all[LS_SIMD_ROWS * LS_SIMD_VECTORS];
#pragma GCC unroll 24
        for (int i = 0; i < rows * vectors; i++)
            all[i] = sum[i];
        store_any(t, rows, vectors, all);
        return;
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        float *c = (float *)g->to + i * g->to_stride;
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++, c += LS_LANES)
            ls_store_acc(c, g->add ? ls_load_acc(c) + sum[i * vectors + v] : sum[i * vectors + v]);
    }
}

/* The sums of constant `rows` and `vectors` live in registers. `beside`: the rows of A lie beside each other, else
 * their k do. */
LS_INLINE void tile(const Tile *t, const int rows, const int vectors, const bool beside)
{
    vacc sum[LS_SIMD_ROWS * LS_SIMD_VECTORS];
    begin_sums(t, rows, vectors, sum);
    const float *a = t->a, *b = t->b;
    const int64_t a_row = beside ? 1 : t->a_row, a_step = beside ? t->a_step : 1;
    const char *next = t->next;
    int64_t p = 0;
    for (; p + STEP <= t->depth; p += STEP, next += LS_ALIGN) {
        __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
        for (int q = 0; q < STEP; q++, a += a_step, b += vectors * LS_LANES)
            add_products(a, a_row, b, rows, vectors, sum);
    }
    for (; p < t->depth; p++, a += a_step, b += vectors * LS_LANES)
        add_products(a, a_row, b, rows, vectors, sum);
    store_sums(t, rows, vectors, sum);
}

/* Each row of A is runs that lie anywhere. */
LS_INLINE void tile_of_runs(const Tile *t, const int rows, const int vectors)
{
    vacc sum[LS_SIMD_ROWS * LS_SIMD_VECTORS];
    begin_sums(t, rows, vectors, sum);
    const float *b = t->b, *const *run = t->run;
    const char *next = t->next;
    int64_t n = ls_least(t->length - t->begin, t->depth);
    for (int64_t left = t->depth; left > 0; left -= n, n = ls_least(t->length, left), run += LS_SIMD_ROWS) {
        const float *a[LS_SIMD_ROWS];
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
            a[i] = run[i];
        int64_t p = 0;
        for (; p + STEP <= n; p += STEP, next += LS_ALIGN) {
            __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
            for (int q = 0; q < STEP; q++, b += vectors * LS_LANES)
                add_products_of(a, q, b, rows, vectors, sum);
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++)
                a[i] += STEP;
        }
        for (int q = 0; p < n; p++, q++, b += vectors * LS_LANES)
            add_products_of(a, q, b, rows, vectors, sum);
    }
    store_sums(t, rows, vectors, sum);
}

/* The rows are neighbours in runs, one for each of k. */
LS_INLINE void tile_across_runs(const Tile *t, const int rows, const int vectors)
{
    vacc sum[LS_SIMD_ROWS * LS_SIMD_VECTORS];
    begin_sums(t, rows, vectors, sum);
    const float *b = t->b;
    const char *next = t->next;
    int64_t p = 0;
    for (; p + STEP <= t->depth; p += STEP, next += LS_ALIGN) {
        __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
        for (int q = 0; q < STEP; q++, b += vectors * LS_LANES)
            add_products(t->run[p + q] + t->begin, 1, b, rows, vectors, sum);
    }
    for (; p < t->depth; p++, b += vectors * LS_LANES)
        add_products(t->run[p] + t->begin, 1, b, rows, vectors, sum);
    store_sums(t, rows, vectors, sum);
}

#define TILE(rows, vectors)                                                                                            \
    static void rows_##rows##_##vectors(const Tile *t) { tile(t, rows, vectors, false); }                              \
    static void beside_##rows##_##vectors(const Tile *t) { tile(t, rows, vectors, true); }                             \
    static void runs_##rows##_##vectors(const Tile *t) { tile_of_runs(t, rows, vectors); }                             \
    static void across_##rows##_##vectors(const Tile *t) { tile_across_runs(t, rows, vectors); }
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3)
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
TILES(7)
TILES(8)
#define ENTRY(how, rows)                                                                                               \
    {                                                                                                                  \
        how##_##rows##_1, how##_##rows##_2, how##_##rows##_3                                                           \
    }
#define TABLE(how)                                                                                                     \
    {                                                                                                                  \
        ENTRY(how, 1), ENTRY(how, 2), ENTRY(how, 3), ENTRY(how, 4), ENTRY(how, 5), ENTRY(how, 6), ENTRY(how, 7),       \
            ENTRY(how, 8)                                                                                              \
    }
#else
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#define ENTRY(how, rows)                                                                                               \
    {                                                                                                                  \
        how##_##rows##_1, how##_##rows##_2                                                                             \
    }
#define TABLE(how)                                                                                                     \
    {                                                                                                                  \
        ENTRY(how, 1), ENTRY(how, 2), ENTRY(how, 3), ENTRY(how, 4), ENTRY(how, 5), ENTRY(how, 6)                       \
    }
#endif
enum { ROWS_APART, ROWS_BESIDE, OF_RUNS, ACROSS_RUNS, KINDS };
static void (*const tiles[KINDS][LS_SIMD_ROWS][LS_SIMD_VECTORS])(const Tile *) = {
    [ROWS_APART] = TABLE(rows), [ROWS_BESIDE] = TABLE(beside), [OF_RUNS] = TABLE(runs), [ACROSS_RUNS] = TABLE(across)};

/* A's part of the tile whose first row is i of the block's; the number of its rows. Tiles across runs do not go beyond
 * their run, which is shared out evenly. */
static int64_t tile_of_left(const LsSimdLeft *a, int64_t i, int64_t rows, int64_t depth, Tile *t)
{
    int64_t high = ls_least(LS_SIMD_ROWS, rows - i);
    if (!a->run) {
        t->a = a->data + i / LS_SIMD_ROWS * a->panel;
        t->a_row = a->row, t->a_step = a->step;
        return high;
    }
    t->length = a->length;
    if (a->along_k) {
        t->run = a->run + i / LS_SIMD_ROWS * a->panel;
        t->begin = a->begin;
        return high;
    }
    int64_t at = a->begin + i, even = ls_even_piece(a->length, LS_SIMD_ROWS, 1);
    t->run = a->run + at / a->length * depth;
    t->begin = at % a->length;
    return ls_least(high, ls_least(even - t->begin % even, a->length - t->begin));
}

void ls_simd_multiply(const LsSimdLeft *a, const float *b, int64_t rows, int64_t columns, int64_t depth,
                      const LsSimdTarget *target)
{
    const int64_t to_bytes = target->to_bfloat16 ? 2 : 4, bias_bytes = target->bias_bfloat16 ? 2 : 4;
    const int kind = a->run ? (a->along_k ? OF_RUNS : ACROSS_RUNS) : a->row == 1 ? ROWS_BESIDE : ROWS_APART;
    for (int64_t j = 0; j < columns; j += LS_SIMD_COLUMNS) {
        int64_t wide = ls_least(LS_SIMD_COLUMNS, columns - j), vectors = ls_ceil_div(wide, LS_LANES);
        const char *next = (const char *)(b + (j + LS_SIMD_COLUMNS) * depth);
        int64_t each =
            ls_round_up(LS_SIMD_COLUMNS * depth * (int64_t)sizeof(float) / ls_ceil_div(rows, LS_SIMD_ROWS), LS_ALIGN);
        for (int64_t i = 0, high; i < rows; i += high, next += each) {
            Tile t = {.b = b + j * depth, .depth = depth, .columns = wide, .next = next, .target = *target};
            high = tile_of_left(a, i, rows, depth, &t);
            t.target.to = (char *)target->to + (i * target->to_stride + j) * to_bytes;
            if (target->from)
                t.target.from = target->from + i * target->from_stride + j;
            if (target->bias)
                t.target.bias = (const char *)target->bias + j * bias_bytes;
            tiles[kind][high - 1][vectors - 1](&t);
        }
    }
}
