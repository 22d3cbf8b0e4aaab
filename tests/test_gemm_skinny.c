/* Products of few rows with weights in float, bfloat16 and 8 bits, against plain loops in double; m on both sides of
 * the border where another way of computing begins. Bounds: a sum of k products, whatever its order, is off by (k + 2)
 * 2^-24 of the sum of magnitudes; a bfloat16 result by 2^-8 of itself more; 8-bit weights times their scale by 2^-24
 * (2^-8 for bfloat16) of the sum of magnitudes more, where they are widened. */
#include "base/bfloat16.h"
#include "gemm/skinny.h"
#include "graph/check.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GUARD 8
#define GUARD_VALUE 96.0

typedef struct Case {
    LsSkinnyKind kind;
    LsGemm g;
    double *a, *b, *before, *bias; /* exact in the stored types; b with its scale */
    float *scale;
    void *stored_a, *stored_b, *stored_bias;
    bool bfloat16;
} Case;

static double draw(uint64_t key, int64_t i, bool bfloat16)
{
    float x = 2 * ls_uniform_at(key, 0, (uint64_t)i) - 1;
    return bfloat16 ? (double)ls_bfloat16_to_float(ls_bfloat16_from_float(x)) : (double)x;
}

static void put(void *array, int64_t i, double value, bool bfloat16)
{
    if (bfloat16)
        ((LsBfloat16 *)array)[i] = ls_bfloat16_from_float((float)value);
    else
        ((float *)array)[i] = (float)value;
}

static double get(const void *array, int64_t i, bool bfloat16)
{
    return bfloat16 ? (double)ls_bfloat16_to_float(((const LsBfloat16 *)array)[i]) : (double)((const float *)array)[i];
}

static void *fill(double **values, int64_t count, uint64_t key, bool bfloat16)
{
    void *stored = ls_alloc_array(count, sizeof(float));
    *values = ls_alloc_array(count, sizeof(double));
    CU_ASSERT_FATAL(stored && *values);
    for (int64_t i = 0; i < count; i++) {
        (*values)[i] = draw(key, i, bfloat16);
        put(stored, i, (*values)[i], bfloat16);
    }
    return stored;
}

/* variant: 1 accumulate, 2 bias, 4 float result (of bfloat16) */
static Case make_case(LsSkinnyKind kind, int64_t m, int64_t n, int64_t k, int variant)
{
    Case t = {.kind = kind, .bfloat16 = kind == LS_SKINNY_BFLOAT16 || kind == LS_SKINNY_INT8_OF_BFLOAT16};
    t.g = (LsGemm){.type = t.bfloat16 ? LS_GEMM_BFLOAT16 : LS_GEMM_FLOAT32,
                   .m = m,
                   .n = n,
                   .k = k,
                   .lda = k + 1,
                   .ldb = k + 3,
                   .ldc = n + 2,
                   .transpose_b = true,
                   .accumulate = variant & 1,
                   .c_float = t.bfloat16 && (variant & 4)};
    bool c_narrow = t.bfloat16 && !t.g.c_float;
    t.stored_a = fill(&t.a, m * t.g.lda, 1, t.bfloat16);
    t.stored_b = fill(&t.b, n * t.g.ldb, 2, kind == LS_SKINNY_BFLOAT16);
    t.scale = ls_alloc_array(n, sizeof(float));
    CU_ASSERT_FATAL(t.scale != NULL);
    for (int64_t j = 0; kind >= LS_SKINNY_INT8 && j < n; j++) {
        t.scale[j] = 0.001f + 0.01f * ls_uniform_at(5, 0, (uint64_t)j);
        for (int64_t p = 0; p < t.g.ldb; p++) {
            int8_t q = (int8_t)(255 * ls_uniform_at(2, 1, (uint64_t)(j * t.g.ldb + p)) - 127);
            ((int8_t *)t.stored_b)[j * t.g.ldb + p] = q;
            t.b[j * t.g.ldb + p] = (double)t.scale[j] * q;
        }
    }
    ls_free(fill(&t.before, m * t.g.ldc, 3, c_narrow));
    t.stored_bias = fill(&t.bias, n, 4, t.bfloat16);
    t.g.a = t.stored_a, t.g.b = t.stored_b;
    t.g.b_scale = kind >= LS_SKINNY_INT8 ? t.scale : NULL;
    t.g.bias = variant & 2 ? t.stored_bias : NULL;
    return t;
}

static void free_case(Case *t)
{
    ls_free(t->a), ls_free(t->b), ls_free(t->before), ls_free(t->bias), ls_free(t->scale);
    ls_free(t->stored_a), ls_free(t->stored_b), ls_free(t->stored_bias);
}

/* Counts how often each element was finished. */
typedef struct Finished {
    int64_t n;
    unsigned char *times;
} Finished;

static void finish(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const Finished *f = self;
    for (int64_t i = row; i < row + rows; i++)
        for (int64_t j = column; j < column + columns; j++)
            f->times[i * f->n + j]++;
}

/* The case's C, guard elements behind it. */
static void *run_case(const Case *t, int threads)
{
    bool c_narrow = t->bfloat16 && !t->g.c_float;
    int64_t count = t->g.m * t->g.ldc;
    LsGemm g = t->g;
    void *c = ls_alloc_array(count + GUARD, sizeof(float));
    Finished finished = {g.n, ls_alloc_array(g.m * g.n, 1)};
    CU_ASSERT_FATAL(c && finished.times);
    for (int64_t i = 0; i < count + GUARD; i++)
        put(c, i, i < count ? t->before[i] : GUARD_VALUE, c_narrow);
    g.c = c, g.finish = finish, g.self = &finished;
    int before = ls_threads();
    ls_set_threads(threads);
    ASSERT_OK(ls_gemm(&g));
    ls_set_threads(before);
    int64_t wrong = 0;
    for (int64_t i = 0; i < g.m * g.n; i++)
        wrong += finished.times[i] != 1;
    CU_ASSERT_EQUAL(wrong, 0);
    ls_free(finished.times);
    return c;
}

/* The worst error as a share of its bound; infinite where something was written that must not be. */
static double worst_error(const Case *t, const void *c)
{
    const LsGemm *g = &t->g;
    bool c_narrow = t->bfloat16 && !g->c_float;
    double worst = 0, widened = t->kind < LS_SKINNY_INT8 ? 0 : t->bfloat16 ? 0x1p-8 : 0x1p-24;
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->ldc; j++) {
            double is = get(c, i * g->ldc + j, c_narrow), sum = 0, size = 0;
            if (j >= g->n) {
                worst = is == t->before[i * g->ldc + j] ? worst : INFINITY;
                continue;
            }
            for (int64_t p = 0; p < g->k; p++) {
                double product = t->a[i * g->lda + p] * t->b[j * g->ldb + p];
                sum += product, size += fabs(product);
            }
            double bound = (double)(g->k + 3) * 0x1p-24 + widened;
            if (g->accumulate)
                sum += t->before[i * g->ldc + j], size += fabs(t->before[i * g->ldc + j]);
            if (g->bias)
                sum += t->bias[j], size += fabs(t->bias[j]);
            bound = bound * size + (c_narrow ? 0x1p-8 * (fabs(sum) + bound * size) : 0);
            double share = fabs(is - sum) / (bound + 1e-300);
            worst = share <= worst ? worst : share; /* NaN stays */
        }
    for (int64_t i = 0; i < GUARD; i++)
        worst = get(c, g->m * g->ldc + i, c_narrow) == GUARD_VALUE ? worst : INFINITY;
    return worst;
}

static void compare(LsSkinnyKind kind)
{
    static const int64_t sizes[][2] = {{1, 1}, {5, 7}, {8, 16}, {33, 130}, {301, 65}, {64, 771}};
    static const int64_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 16, 17, 40, 64, 65};
    for (size_t s = 0; s < LS_COUNT_OF(sizes); s++)
        for (size_t m = 0; m < LS_COUNT_OF(rows); m++)
            for (int variant = 0; variant < 8; variant += s % 2 ? 1 : 3) {
                Case t = make_case(kind, rows[m], sizes[s][0], sizes[s][1], variant);
                void *c = run_case(&t, 2);
                double worst = worst_error(&t, c);
                if (!(worst <= 1))
                    fprintf(stderr, "kind %d, m, n, k = %lld, %lld, %lld, variant %d\n", (int)kind, (long long)rows[m],
                            (long long)sizes[s][0], (long long)sizes[s][1], variant);
                ASSERT_AT_MOST(worst, 1);
                ls_free(c);
                free_case(&t);
            }
}

static void test_float(void) { compare(LS_SKINNY_FLOAT32); }
static void test_bfloat16(void) { compare(LS_SKINNY_BFLOAT16); }
static void test_int8(void) { compare(LS_SKINNY_INT8); }
static void test_int8_of_bfloat16(void) { compare(LS_SKINNY_INT8_OF_BFLOAT16); }

/* The same bits for any number of threads; and for a row among few others (alone, where it is computed in the same way)
 * and among many. */
static void test_bits(void)
{
    for (int kind = 0; kind < LS_SKINNY_KINDS; kind++) {
        Case t = make_case((LsSkinnyKind)kind, 11, 203, 300, 2);
        bool c_narrow = t.bfloat16 && !t.g.c_float;
        size_t each = c_narrow ? 2 : 4, bytes = (size_t)(t.g.m * t.g.ldc) * each;
        char *one = run_case(&t, 1);
        for (int threads = 2; threads <= 5; threads++) {
            char *other = run_case(&t, threads);
            CU_ASSERT(memcmp(one, other, bytes) == 0);
            ls_free(other);
        }
        Case alone = t;
        alone.g.m = strcmp(ls_gemm_kernel_name(&t.g), "skinny_amx") == 0 ? LS_SKINNY_AMX_FROM : 1;
        CU_ASSERT(strncmp(ls_gemm_kernel_name(&t.g), "skinny", 6) == 0);
        for (int64_t i = 0; i + alone.g.m <= t.g.m; i++) {
            alone.g.a = (const char *)t.stored_a + i * t.g.lda * (t.bfloat16 ? 2 : 4);
            char *row = run_case(&alone, 2);
            CU_ASSERT(memcmp(row, one + (size_t)(i * t.g.ldc) * each, (size_t)t.g.n * each) == 0);
            ls_free(row);
        }
        ls_free(one);
        free_case(&t);
    }
}

static void test_not_transposed(void)
{
    float x[4] = {0}, scale[2] = {1, 1};
    ASSERT_FAILS(ls_gemm(&(LsGemm){
                     .m = 2, .n = 2, .k = 2, .a = x, .lda = 2, .b = x, .ldb = 2, .b_scale = scale, .c = x, .ldc = 2}),
                 LS_ERROR, "(n, k)");
}

/* All of it at every instruction set that the machine has. */
int main(void)
{
    LsIsa best;
    if (ls_isa_choose(&best) != LS_OK)
        return 1;
    int failed = 0;
    for (int isa = (int)best; isa >= 0; isa--) {
        char *forced = ls_check_force_isa((LsIsa)isa);
        fprintf(stderr, "%s\n", ls_isa_name((LsIsa)isa));
        failed |= harness_run("gemm_skinny", (HarnessTest[]){{"float", test_float},
                                                             {"bfloat16", test_bfloat16},
                                                             {"8 bits", test_int8},
                                                             {"8 bits times bfloat16", test_int8_of_bfloat16},
                                                             {"bits", test_bits},
                                                             {"weights the wrong way round", test_not_transposed},
                                                             {0}});
        ls_check_restore_isa(forced);
    }
    return failed;
}
