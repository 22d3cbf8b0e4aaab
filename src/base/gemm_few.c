/* Few rows of A: every element of B is used so rarely that the time is that of reading B, so B is read as it stands,
 * once.
 *
 * A core that reads one place after the other waits for its memory: what one stream of addresses has under way at a
 * time is limited by the machine's own prefetching, which ends at every page. So each thread reads STREAMS rows that
 * lie far apart, and asks for what comes AHEAD bytes later in each. A thread's columns are one range, which no other
 * thread reads.
 *
 * Each element of C is one sum: lane l adds k = l, l + 16, ...; then the lanes are added. It depends on nothing but its
 * row, its column and k. */
#include "base/gemm_few.h"

#include "base/bfloat16.h"
#include "base/gemm_kernel.h"

#include <omp.h>

bool ls_gemm_few_usable(const LsGemm *g)
{
    return g->m <= LS_FEW_ROWS && !g->transpose_a && g->transpose_b && g->m > 0 && g->n > 0 && g->k > 0 &&
           ls_gemm_kernel_usable();
}

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include <immintrin.h>

enum {
    LANES = 16,
    STREAMS = 4,
    GROUP = 6, /* rows of A together: 6 x 4 sums and what they are made of are in registers */
    AHEAD = 1024,
    LINE = 64,
    ALONE = 32768 /* multiply-adds below which waking the other threads costs more than it brings */
};

/* The first of some rows of A, and of some rows of B that lie `step` apart. */
typedef struct Job {
    const LsGemm *g;
    const float *scale;
    int64_t row, column, step;
} Job;

#define INLINE static inline __attribute__((always_inline))

INLINE __mmask16 first_lanes(int64_t count)
{
    return count >= LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1);
}

INLINE bool float_a(LsFewKind kind)
{
    return kind == LS_FEW_FLOAT32 || kind == LS_FEW_INT8;
}

INLINE int64_t bytes_of_b(LsFewKind kind)
{
    return kind == LS_FEW_FLOAT32 ? 4 : kind == LS_FEW_BFLOAT16 ? 2 : 1;
}

INLINE __m512 widen(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

INLINE __m512 load_a(LsFewKind kind, const char *x, __mmask16 mask)
{
    return float_a(kind) ? _mm512_maskz_loadu_ps(mask, x) : widen(_mm256_maskz_loadu_epi16(mask, x));
}

INLINE __m512 load_b(LsFewKind kind, const char *x, __mmask16 mask)
{
    if (kind == LS_FEW_FLOAT32)
        return _mm512_maskz_loadu_ps(mask, x);
    if (kind == LS_FEW_BFLOAT16)
        return widen(_mm256_maskz_loadu_epi16(mask, x));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, x)));
}

INLINE float read1(bool is_float, const void *x, int64_t i)
{
    return is_float ? ((const float *)x)[i] : ls_bfloat16_to_float(((const LsBfloat16 *)x)[i]);
}

INLINE void write1(const LsGemm *g, LsFewKind kind, int64_t i, int64_t j, float sum)
{
    bool c_float = float_a(kind) || g->c_float;
    int64_t at = i * g->ldc + j;
    if (g->accumulate)
        sum += read1(c_float, g->c, at);
    if (g->bias)
        sum += read1(float_a(kind), g->bias, j);
    if (c_float)
        ((float *)g->c)[at] = sum;
    else
        ((LsBfloat16 *)g->c)[at] = ls_bfloat16_from_float(sum);
}

/* LANES of k. */
INLINE void step(const LsFewKind kind, const char *a, int64_t a_row, const char *b, int64_t b_row, __mmask16 mask,
                 const int rows, const int columns, __m512 sum[GROUP][STREAMS])
{
    __m512 from_b[STREAMS];
#pragma GCC unroll 8
    for (int x = 0; x < columns; x++)
        from_b[x] = load_b(kind, b + x * b_row, mask);
#pragma GCC unroll 8
    for (int y = 0; y < rows; y++) {
        __m512 from_a = load_a(kind, a + y * a_row, mask);
#pragma GCC unroll 8
        for (int x = 0; x < columns; x++)
            sum[y][x] = _mm512_fmadd_ps(from_a, from_b[x], sum[y][x]);
    }
}

/* total[i] = the lanes of sum i added up, for 16 sums from `first` on: two at a time become one, in the order of
 * _mm512_reduce_add_ps (lanes 8 apart, 4, 2, 1), so that the bits are the same. */
INLINE void add_lanes(__m512 sum[GROUP][STREAMS], const int columns, const int first, const int count, float *total)
{
    __m512 v[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) { /* where its sum comes out in lane i */
        int lane = i / 4 % 2 * 8 + i / 8 * 4 + i % 2 * 2 + i / 2 % 2, at = first + i;
        v[lane] = at < count ? sum[at / columns][at % columns] : _mm512_setzero_ps();
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        v[i] = _mm512_add_ps(_mm512_shuffle_f32x4(v[i], v[i + 8], 0x44), _mm512_shuffle_f32x4(v[i], v[i + 8], 0xee));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        v[i] = _mm512_add_ps(_mm512_shuffle_f32x4(v[i], v[i + 4], 0x88), _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd));
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        __m512d x = _mm512_castps_pd(v[i]), y = _mm512_castps_pd(v[i + 2]);
        v[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    v[0] = _mm512_add_ps(_mm512_shuffle_ps(v[0], v[1], 0x88), _mm512_shuffle_ps(v[0], v[1], 0xdd));
    _mm512_mask_storeu_ps(total + first, first_lanes(count - first), v[0]);
}

/* `rows` rows of A times `columns` rows of B, both constant: one sum of lanes for each, whatever the others. */
INLINE void dots(const Job *job, const LsFewKind kind, const int rows, const int columns)
{
    const LsGemm *g = job->g;
    const int64_t a_row = g->lda * (float_a(kind) ? 4 : 2), b_row = job->step * g->ldb * bytes_of_b(kind),
                  fetch = LINE / bytes_of_b(kind);
    const char *a = (const char *)g->a + job->row * a_row, *b = (const char *)g->b + job->column * g->ldb * bytes_of_b(kind);
    __m512 sum[GROUP][STREAMS];
#pragma GCC unroll 8
    for (int y = 0; y < rows; y++)
#pragma GCC unroll 8
        for (int x = 0; x < columns; x++)
            sum[y][x] = _mm512_setzero_ps();
    int64_t p = 0;
    for (; p + fetch <= g->k; p += fetch) {
#pragma GCC unroll 8
        for (int x = 0; x < columns; x++) /* may lie beyond the matrix: nothing happens then */
            _mm_prefetch(b + x * b_row + p * bytes_of_b(kind) + AHEAD, _MM_HINT_T0);
#pragma GCC unroll 4
        for (int64_t q = 0; q < fetch; q += LANES)
            step(kind, a + (p + q) * (float_a(kind) ? 4 : 2), a_row, b + (p + q) * bytes_of_b(kind), b_row, 0xffff,
                 rows, columns, sum);
    }
    for (; p < g->k; p += LANES)
        step(kind, a + p * (float_a(kind) ? 4 : 2), a_row, b + p * bytes_of_b(kind), b_row, first_lanes(g->k - p), rows,
             columns, sum);
    float total[GROUP * STREAMS];
    if (rows * columns < 4)
#pragma GCC unroll 4
        for (int i = 0; i < rows * columns; i++)
            total[i] = _mm512_reduce_add_ps(sum[i / columns][i % columns]);
    else
#pragma GCC unroll 2
        for (int i = 0; i < rows * columns; i += LANES)
            add_lanes(sum, columns, i, rows * columns, total);
#pragma GCC unroll 8
    for (int y = 0; y < rows; y++)
#pragma GCC unroll 8
        for (int x = 0; x < columns; x++) {
            int64_t j = job->column + x * job->step;
            float s = total[y * columns + x];
            write1(g, kind, job->row + y, j, job->scale ? job->scale[j] * s : s);
        }
}

#define DOTS(kind, rows, columns)                                                                                        \
    static void dots_##kind##_##rows##_##columns(const Job *job) { dots(job, LS_FEW_##kind, rows, columns); }
#define ALL_DOTS(kind)                                                                                                   \
    DOTS(kind, 1, 4) DOTS(kind, 2, 4) DOTS(kind, 3, 4) DOTS(kind, 4, 4) DOTS(kind, 5, 4) DOTS(kind, 6, 4)                 \
    DOTS(kind, 1, 1) DOTS(kind, 2, 1) DOTS(kind, 3, 1) DOTS(kind, 4, 1) DOTS(kind, 5, 1) DOTS(kind, 6, 1)
ALL_DOTS(FLOAT32)
ALL_DOTS(BFLOAT16)
ALL_DOTS(INT8)
ALL_DOTS(INT8_OF_BFLOAT16)
#define ENTRY(kind, rows) {dots_##kind##_##rows##_1, dots_##kind##_##rows##_4}
#define ENTRIES(kind) {ENTRY(kind, 1), ENTRY(kind, 2), ENTRY(kind, 3), ENTRY(kind, 4), ENTRY(kind, 5), ENTRY(kind, 6)}
static void (*const table[LS_FEW_KINDS][GROUP][2])(const Job *) = {ENTRIES(FLOAT32), ENTRIES(BFLOAT16), ENTRIES(INT8),
                                                                   ENTRIES(INT8_OF_BFLOAT16)};

/* STREAMS rows of B, `step` apart, or one, from row j on, with all rows of A: what is read for the first of those is in
 * the cache for the others. */
static void columns_of(const LsGemm *g, LsFewKind kind, const float *scale, int64_t j, int64_t step)
{
    int64_t groups = (g->m + GROUP - 1) / GROUP;
    for (int64_t n = 0; n < groups; n++) {
        int64_t first = g->m * n / groups, rows = g->m * (n + 1) / groups - first;
        table[kind][rows - 1][step > 0](&(Job){g, scale, first, j, step});
    }
}

/* The columns from `first` to before `end`: STREAMS ranges, side by side. */
static void range_of(const LsGemm *g, LsFewKind kind, const float *scale, int64_t first, int64_t end)
{
    int64_t each = (end - first) / STREAMS;
    for (int64_t j = first; j < first + each; j++)
        columns_of(g, kind, scale, j, each);
    for (int64_t j = first + STREAMS * each; j < end; j++)
        columns_of(g, kind, scale, j, 0);
    if (g->finish)
        g->finish(g->self, 0, first, g->m, end - first);
}

void ls_gemm_few(const LsGemm *g, LsFewKind kind, const float *scale)
{
#pragma omp parallel if (g->m * g->n * g->k > ALONE)
    {
        int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
        int64_t first = g->n * thread / threads, end = g->n * (thread + 1) / threads;
        if (first < end)
            range_of(g, kind, scale, first, end);
    }
}

#else

void ls_gemm_few(const LsGemm *g, LsFewKind kind, const float *scale)
{
    (void)g, (void)kind, (void)scale;
}

#endif
