/* Few rows of A: every element of B is used so rarely that the time is that of reading B, so B is read as it stands,
 * once. Compiled once for each instruction set.
 *
 * A core that reads one place after the other waits for its memory: what one stream of addresses has under way at a
 * time is limited by the machine's own prefetching, which ends at every page. So each thread reads STREAMS rows that
 * lie far apart, and asks for what comes AHEAD bytes later in each. A thread's columns are one range, which no other
 * thread reads.
 *
 * Each element of C is one sum: lane l adds k = l, l + LS_LANES, ...; then the lanes are added. It depends on nothing
 * but its row, its column and k. */
#include "gemm/simd_level.h"
#include "gemm/skinny.h"

#include "base/bfloat16.h"
#include "base/pieces.h"
#include "simd/vec.h"

#include <omp.h>

enum {
    STREAMS = 4,
#if defined(__AVX512F__) || defined(__aarch64__)
    GROUP = 6, /* rows of A together: 6 x 4 sums and what they are made of are in 32 registers */
#else
    GROUP = 2, /* 2 x 4 in 16 */
#endif
    AHEAD = 1024,
    LINE = 64,
    ALONE = 32768 /* multiply-adds below which waking the other threads costs more than it brings */
};

/* The first of some rows of A, and of some rows of B that lie `step` apart. */
typedef struct Job {
    const LsGemm *g;
    int64_t row, column, step;
} Job;

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

LS_INLINE bool float_a(LsSkinnyKind kind) { return kind == LS_SKINNY_FLOAT32 || kind == LS_SKINNY_INT8; }

LS_INLINE int64_t bytes_of_b(LsSkinnyKind kind)
{
    return kind == LS_SKINNY_FLOAT32 ? 4 : kind == LS_SKINNY_BFLOAT16 ? 2 : 1;
}

LS_INLINE vacc load_floats(const char *x, int64_t n)
{
    const float *at = (const float *)(const void *)x;
    return n >= LS_LANES ? ls_load_acc(at) : ls_load_acc_part(at, n);
}

LS_INLINE vacc load_halves(const char *x, int64_t n)
{
    ls_halves h = {0};
    if (n >= LS_LANES)
        memcpy(&h, x, sizeof h);
    else
        memcpy(&h, x, (size_t)n * sizeof(LsBfloat16));
    return ls_widen(h);
}

LS_INLINE vacc load_bytes(const char *x, int64_t n)
{
    typedef int8_t Bytes __attribute__((vector_size(LS_VEC_BYTES / 4)));
    Bytes b = {0};
    if (n >= LS_LANES)
        memcpy(&b, x, sizeof b);
    else
        memcpy(&b, x, (size_t)n);
#if defined(__AVX512F__)
    return (vacc)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)b));
#elif defined(__AVX2__)
    return (vacc)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_set_epi64x(0, (int64_t)b)));
#else
    return __builtin_convertvector(__builtin_convertvector(b, vint), vacc);
#endif
}

LS_INLINE vacc load_a(LsSkinnyKind kind, const char *x, int64_t n)
{
    return float_a(kind) ? load_floats(x, n) : load_halves(x, n);
}

LS_INLINE vacc load_b(LsSkinnyKind kind, const char *x, int64_t n)
{
    return kind == LS_SKINNY_FLOAT32    ? load_floats(x, n)
           : kind == LS_SKINNY_BFLOAT16 ? load_halves(x, n)
                                        : load_bytes(x, n);
}

LS_INLINE float read1(bool is_float, const void *x, int64_t i)
{
    return is_float ? ((const float *)x)[i] : ls_bfloat16_to_float(((const LsBfloat16 *)x)[i]);
}

/* One copy of it, so that the compiler joins the same multiplications and additions for all. */
static __attribute__((noinline)) void write1(const LsGemm *g, LsSkinnyKind kind, int64_t i, int64_t j, float sum)
{
    bool c_float = float_a(kind) || g->c_float;
    int64_t at = i * g->ldc + j;
    if (g->b_scale)
        sum *= g->b_scale[j];
    if (g->accumulate)
        sum += read1(c_float, g->c, at);
    if (g->bias)
        sum += read1(float_a(kind), g->bias, j);
    if (c_float)
        ((float *)g->c)[at] = sum;
    else
        ((LsBfloat16 *)g->c)[at] = ls_bfloat16_from_float(sum);
}

/* ---- The sums ---------------------------------------------------------------------------------------------------- */

/* n of k, up to LS_LANES. */
LS_INLINE void add_products(const LsSkinnyKind kind, const char *a, int64_t a_row, const char *b, int64_t b_row,
                            int64_t n, const int rows, const int columns, vacc sum[GROUP * STREAMS])
{
    vacc from_b[STREAMS];
#pragma GCC unroll 8
    for (int x = 0; x < columns; x++)
        from_b[x] = load_b(kind, b + x * b_row, n);
#pragma GCC unroll 8
    for (int y = 0; y < rows; y++) {
        vacc from_a = load_a(kind, a + y * a_row, n);
#pragma GCC unroll 8
        for (int x = 0; x < columns; x++)
            sum[y * columns + x] += from_a * from_b[x];
    }
}

/* `rows` rows of A times `columns` rows of B, both constant: one sum of lanes for each, whatever the others. */
LS_INLINE void dots(const Job *job, const LsSkinnyKind kind, const int rows, const int columns)
{
    const LsGemm *g = job->g;
    const int64_t a_bytes = float_a(kind) ? 4 : 2, b_bytes = bytes_of_b(kind), a_row = g->lda * a_bytes,
                  b_row = job->step * g->ldb * b_bytes, fetch = ls_round_up(LINE / b_bytes, LS_LANES);
    const char *a = (const char *)g->a + job->row * a_row, *b = (const char *)g->b + job->column * g->ldb * b_bytes;
    vacc sum[GROUP * STREAMS];
#pragma GCC unroll 32
    for (int i = 0; i < rows * columns; i++)
        sum[i] = (vacc){0};
    int64_t p = 0;
    for (; p + fetch <= g->k; p += fetch) {
#pragma GCC unroll 8
        for (int x = 0; x < columns; x++) /* may lie beyond the matrix: nothing happens then */
            __builtin_prefetch(b + x * b_row + p * b_bytes + AHEAD);
#pragma GCC unroll 4
        for (int64_t q = 0; q < fetch; q += LS_LANES)
            add_products(kind, a + (p + q) * a_bytes, a_row, b + (p + q) * b_bytes, b_row, LS_LANES, rows, columns,
                         sum);
    }
    for (; p < g->k; p += LS_LANES)
        add_products(kind, a + p * a_bytes, a_row, b + p * b_bytes, b_row, ls_least(LS_LANES, g->k - p), rows, columns,
                     sum);
    vacc total[GROUP * STREAMS / LS_LANES + 1]; /* lane i % LS_LANES of i / LS_LANES is sum number i */
#pragma GCC unroll 8
    for (int i = 0; i < rows * columns; i += (int)LS_LANES) {
        vacc some[LS_LANES];
#pragma GCC unroll 16
        for (int l = 0; l < (int)LS_LANES; l++)
            some[l] = i + l < rows * columns ? sum[i + l] : (vacc){0};
        total[i / LS_LANES] = ls_hsums(some);
    }
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            int i = y * columns + x;
            write1(g, kind, job->row + y, job->column + x * job->step, total[i / LS_LANES][i % LS_LANES]);
        }
}

#define DOTS(kind, rows)                                                                                               \
    static void dots_##kind##_##rows##_1(const Job *job) { dots(job, LS_SKINNY_##kind, rows, 1); }                     \
    static void dots_##kind##_##rows##_4(const Job *job) { dots(job, LS_SKINNY_##kind, rows, STREAMS); }
#define ENTRY(kind, rows)                                                                                              \
    {                                                                                                                  \
        dots_##kind##_##rows##_1, dots_##kind##_##rows##_4                                                             \
    }
#if defined(__AVX512F__) || defined(__aarch64__)
#define ALL_DOTS(kind) DOTS(kind, 1) DOTS(kind, 2) DOTS(kind, 3) DOTS(kind, 4) DOTS(kind, 5) DOTS(kind, 6)
#define ENTRIES(kind)                                                                                                  \
    {                                                                                                                  \
        ENTRY(kind, 1), ENTRY(kind, 2), ENTRY(kind, 3), ENTRY(kind, 4), ENTRY(kind, 5), ENTRY(kind, 6)                 \
    }
#else
#define ALL_DOTS(kind) DOTS(kind, 1) DOTS(kind, 2)
#define ENTRIES(kind)                                                                                                  \
    {                                                                                                                  \
        ENTRY(kind, 1), ENTRY(kind, 2)                                                                                 \
    }
#endif
ALL_DOTS(FLOAT32)
ALL_DOTS(BFLOAT16)
ALL_DOTS(INT8)
ALL_DOTS(INT8_OF_BFLOAT16)
static void (*const table[LS_SKINNY_KINDS][GROUP][2])(const Job *) = {ENTRIES(FLOAT32), ENTRIES(BFLOAT16),
                                                                      ENTRIES(INT8), ENTRIES(INT8_OF_BFLOAT16)};

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* STREAMS rows of B, `step` apart, or one, from row j on, with all rows of A: what is read for the first of those is in
 * the cache for the others. */
static void multiply_columns(const LsGemm *g, LsSkinnyKind kind, int64_t j, int64_t step)
{
    int64_t groups = ls_ceil_div(g->m, GROUP);
    for (int64_t n = 0; n < groups; n++) {
        int64_t first = g->m * n / groups, rows = g->m * (n + 1) / groups - first;
        table[kind][rows - 1][step > 0](&(Job){g, first, j, step});
    }
}

/* The columns from `first` to before `end`: STREAMS ranges, side by side. */
static void multiply_range(const LsGemm *g, LsSkinnyKind kind, int64_t first, int64_t end)
{
    int64_t each = (end - first) / STREAMS;
    for (int64_t j = first; j < first + each; j++)
        multiply_columns(g, kind, j, each);
    for (int64_t j = first + STREAMS * each; j < end; j++)
        multiply_columns(g, kind, j, 0);
    if (g->finish)
        g->finish(g->self, 0, first, g->m, end - first);
}

static LsStatus run(const LsGemm *g)
{
    LsSkinnyKind kind = ls_skinny_kind(g);
#pragma omp parallel if (g->m * g->n * g->k > ALONE)
    {
        int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
        int64_t first = g->n * thread / threads, end = g->n * (thread + 1) / threads;
        if (first < end)
            multiply_range(g, kind, first, end);
    }
    return LS_OK;
}

static bool usable(const LsGemm *g) { return g->m <= LS_SKINNY_ROWS && ls_skinny_lies(g); }

/* Nothing else is as quick where this can be used, but the tiles. */
static double picoseconds(const LsGemm *g)
{
    (void)g;
    return 0;
}

#define KERNEL LS_LEVEL_NAME(ls_gemm_kernel_skinny)
extern const LsGemmKernel KERNEL;
const LsGemmKernel KERNEL = {.name = "skinny" LS_LEVEL_TEXT(LS_LEVEL),
                             .isa = LS_LEVEL_ISA,
                             .usable = usable,
                             .picoseconds = picoseconds,
                             .run = run};
