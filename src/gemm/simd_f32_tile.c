/* The float kernel's register tile: LS_SIMD_ROWS rows by LS_SIMD_VECTORS vectors of C, one row of A and of B at a
 * time. */
#include "gemm/simd_level.h"
#include "gemm/simd_f32.h"

#include "base/pieces.h"

enum { STEP = 4 };

typedef struct Tile {
    const float *a;
    int64_t a_row, a_step;  /* floats from row to row, and from k to k */
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

/* The sums of constant `rows` and `vectors` live in registers. `beside`: the rows of A lie beside each other, else
 * their k do. */
LS_INLINE void tile(const Tile *t, const int rows, const int vectors, const bool beside)
{
    vacc sum[LS_SIMD_ROWS * LS_SIMD_VECTORS];
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

#define TILE(rows, vectors)                                                                                            \
    static void rows_##rows##_##vectors(const Tile *t) { tile(t, rows, vectors, false); }                              \
    static void beside_##rows##_##vectors(const Tile *t) { tile(t, rows, vectors, true); }
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
static void (*const tiles[2][LS_SIMD_ROWS][LS_SIMD_VECTORS])(const Tile *) = {TABLE(rows), TABLE(beside)};

void ls_simd_multiply(const LsSimdLeft *a, const float *b, int64_t rows, int64_t columns, int64_t depth,
                      const LsSimdTarget *target)
{
    const int64_t to_bytes = target->to_bfloat16 ? 2 : 4, bias_bytes = target->bias_bfloat16 ? 2 : 4;
    for (int64_t j = 0; j < columns; j += LS_SIMD_COLUMNS) {
        int64_t wide = ls_least(LS_SIMD_COLUMNS, columns - j), vectors = ls_ceil_div(wide, LS_LANES);
        const char *next = (const char *)(b + (j + LS_SIMD_COLUMNS) * depth);
        int64_t each =
            ls_round_up(LS_SIMD_COLUMNS * depth * (int64_t)sizeof(float) / ls_ceil_div(rows, LS_SIMD_ROWS), LS_ALIGN);
        for (int64_t i = 0; i < rows; i += LS_SIMD_ROWS, next += each) {
            Tile t = {.a = a->data + i / LS_SIMD_ROWS * a->panel,
                      .a_row = a->row,
                      .a_step = a->step,
                      .b = b + j * depth,
                      .depth = depth,
                      .columns = wide,
                      .next = next,
                      .target = *target};
            t.target.to = (char *)target->to + (i * target->to_stride + j) * to_bytes;
            if (target->from)
                t.target.from = target->from + i * target->from_stride + j;
            if (target->bias)
                t.target.bias = (const char *)target->bias + j * bias_bytes;
            tiles[a->row == 1][ls_least(LS_SIMD_ROWS, rows - i) - 1][vectors - 1](&t);
        }
    }
}
