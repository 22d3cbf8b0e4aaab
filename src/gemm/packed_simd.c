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

/* ---- Columns of one panel ---------------------------------------------------------------------------------------- */

/* With so many registers a block's columns are one panel. What a product of a few rows takes is the time to read B,
 * which as a whole lies in the third-level cache: of DEPTH of k, B stays in the first-level cache for all rows, and
 * what comes AHEAD is asked for meanwhile, evenly. */
enum { ONE_PANEL = (int)LS_SIMD_COLUMNS >= (int)LS_PACKED_COLUMNS, DEPTH = 128, AHEAD = 2 * DEPTH, STEP = 2 };

typedef struct Strip {
    const float *a, *b;
    int64_t a_stride, depth;
    float *c;
    int64_t ldc, columns;
    bool add;
    const char *next; /* a line every STEP of k */
} Strip;

LS_INLINE void add_products(const float *a, int64_t stride, const float *b, const int rows, const int vectors,
                            vacc *sum)
{
    vacc y[2];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
        y[v] = ls_load_acc(b + v * LS_LANES);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        vacc x = ls_splat(a[i * stride]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[i * vectors + v] += x * y[v];
    }
}

LS_INLINE void strip(const Strip *s, const int rows, const int vectors)
{
    vacc sum[LS_SIMD_ROWS * LS_SIMD_VECTORS];
    const float *a = s->a, *b = s->b;
    const char *next = s->next;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            const int64_t n = s->columns - v * LS_LANES;
            const float *c = s->c + i * s->ldc + v * LS_LANES;
            sum[i * vectors + v] = !s->add ? (vacc){0} : n >= LS_LANES ? ls_load_acc(c) : ls_load_acc_part(c, n);
        }
    int64_t p = 0;
    for (; p + STEP <= s->depth; p += STEP, next += LS_ALIGN) {
        __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 2
        for (int q = 0; q < STEP; q++, a++, b += vectors * LS_LANES)
            add_products(a, s->a_stride, b, rows, vectors, sum);
    }
    for (; p < s->depth; p++, a++, b += vectors * LS_LANES)
        add_products(a, s->a_stride, b, rows, vectors, sum);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            const int64_t n = s->columns - v * LS_LANES;
            float *c = s->c + i * s->ldc + v * LS_LANES;
            if (n >= LS_LANES)
                ls_store_acc(c, sum[i * vectors + v]);
            else
                ls_store_acc_part(c, sum[i * vectors + v], n);
        }
}

#define STRIP(rows)                                                                                                    \
    static void strip_##rows##_1(const Strip *s) { strip(s, (rows) <= LS_SIMD_ROWS ? (rows) : 1, 1); }                 \
    static void strip_##rows##_2(const Strip *s) { strip(s, (rows) <= LS_SIMD_ROWS ? (rows) : 1, 2); }
STRIP(1)
STRIP(2)
STRIP(3)
STRIP(4)
STRIP(5)
STRIP(6)
STRIP(7)
STRIP(8)
#undef STRIP
static void (*const strips[][2])(const Strip *) = {
    {strip_1_1, strip_1_2}, {strip_2_1, strip_2_2}, {strip_3_1, strip_3_2}, {strip_4_1, strip_4_2},
    {strip_5_1, strip_5_2}, {strip_6_1, strip_6_2}, {strip_7_1, strip_7_2}, {strip_8_1, strip_8_2}};

static void multiply_panel(const float *a, int64_t stride, int64_t rows, int64_t k, const float *b, int64_t columns,
                           float *c, int64_t ldc, bool add)
{
    const int64_t vectors = ls_ceil_div(columns, LS_LANES), wide = vectors * LS_LANES,
                  each = ls_round_up(DEPTH * wide * (int64_t)sizeof(float) / ls_ceil_div(rows, LS_SIMD_ROWS), LS_ALIGN);
    for (int64_t at = 0; at < k; at += DEPTH) {
        const char *next = (const char *)(b + (at + AHEAD) * wide);
        for (int64_t i = 0; i < rows; i += LS_SIMD_ROWS, next += each) {
            Strip s = {.a = a + i * stride + at,
                       .b = b + at * wide,
                       .a_stride = stride,
                       .depth = ls_least(DEPTH, k - at),
                       .c = c + i * ldc,
                       .ldc = ldc,
                       .columns = columns,
                       .add = add || at > 0,
                       .next = next};
            strips[ls_least(LS_SIMD_ROWS, rows - i) - 1][vectors - 1](&s);
        }
    }
}

/* ---- Any --------------------------------------------------------------------------------------------------------- */

static void multiply(const void *a, int64_t row, int64_t rows, int64_t k, const void *block, int64_t columns, void *c,
                     int64_t ldc, bool add)
{
    const int64_t stride = left_stride(k);
    if (ONE_PANEL) {
        multiply_panel((const float *)a + row * stride, stride, rows, k, block, columns, c, ldc, add);
        return;
    }
    for (int64_t at = 0; at < k; at += LS_SIMD_DEPTH) {
        LsSimdLeft left = {(const float *)a + row * stride + at, stride, 1, LS_SIMD_ROWS * stride};
        LsSimdTarget target = {.to = c, .to_stride = ldc, .add = add || at > 0};
        ls_simd_multiply(&left, (const float *)block + at * ls_round_up(columns, LS_LANES), rows, columns,
                         ls_least(LS_SIMD_DEPTH, k - at), &target);
    }
}

#define KERNEL LS_LEVEL_NAME(ls_packed_simd)
extern const LsPackedKernel KERNEL;
const LsPackedKernel KERNEL = {
    .left_bytes = left_bytes, .left_at = left_at, .block_bytes = block_bytes, .pack = pack, .multiply = multiply};
