/* The dense product against plain loops, with the error bound of the sum (k eps sum |a| |b|), and its bits over numbers of threads. */
#include "base/gemm.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double *uniform(int64_t count, uint64_t key)
{
    double *x = ls_alloc_array(count, sizeof *x);
    for (int64_t i = 0; x && i < count; i++)
        x[i] = 2 * (double)ls_uniform_at(key, 0, (uint64_t)i) - 1;
    return x;
}

static void *narrow(const double *x, int64_t count, bool wide)
{
    if (wide) {
        double *copy = ls_alloc_array(count, sizeof *copy);
        if (copy)
            memcpy(copy, x, (size_t)count * sizeof *copy);
        return copy;
    }
    float *copy = ls_alloc_array(count, sizeof *copy);
    for (int64_t i = 0; copy && i < count; i++)
        copy[i] = (float)x[i];
    return copy;
}

static double read_at(const void *x, int64_t i, bool wide)
{
    return wide ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static double element(const double *x, int64_t stride, bool transposed, int64_t row, int64_t column)
{
    return transposed ? x[column * stride + row] : x[row * stride + column];
}

typedef struct Case {
    LsGemm g;
    int64_t a_count, b_count, c_count;
    double *a, *b, *c, *bias; /* the values, exact in float */
} Case;

/* Rows are `pad` elements longer than they need be: what lies between must stay untouched. */
static Case make_case(int64_t m, int64_t n, int64_t k, int variant, int64_t pad)
{
    Case t = {.g = {.m = m, .n = n, .k = k, .transpose_a = variant & 1, .transpose_b = variant & 2, .accumulate = variant & 4}};
    t.g.lda = (t.g.transpose_a ? m : k) + pad;
    t.g.ldb = (t.g.transpose_b ? k : n) + pad;
    t.g.ldc = n + pad;
    t.a_count = (t.g.transpose_a ? k : m) * t.g.lda;
    t.b_count = (t.g.transpose_b ? n : k) * t.g.ldb;
    t.c_count = m * t.g.ldc;
    t.a = uniform(t.a_count, 1);
    t.b = uniform(t.b_count, 2);
    t.c = uniform(t.c_count, 3);
    t.bias = variant & 8 ? uniform(n, 4) : NULL;
    return t;
}

static void free_case(Case *t)
{
    ls_free(t->a), ls_free(t->b), ls_free(t->c), ls_free(t->bias);
}

/* Runs the case and returns its c. */
static void *run_case(const Case *t, bool wide, int threads)
{
    LsGemm g = t->g;
    void *a = narrow(t->a, t->a_count, wide), *b = narrow(t->b, t->b_count, wide), *c = narrow(t->c, t->c_count, wide);
    void *bias = t->bias ? narrow(t->bias, g.n, wide) : NULL;
    g.a = a, g.b = b, g.c = c, g.bias = bias;
    int before = ls_threads();
    ls_set_threads(threads);
    ASSERT_OK(wide ? ls_gemm_float64(&g) : ls_gemm_float32(&g));
    ls_set_threads(before);
    ls_free(a), ls_free(b), ls_free(bias);
    return c;
}

/* The worst error as a share of the bound; rows padding is compared bit by bit. */
static double worst_error(const Case *t, const void *c, bool wide)
{
    const LsGemm *g = &t->g;
    double unit = wide ? 0x1p-53 : 0x1p-24, worst = 0;
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->ldc; j++) {
            double before = t->c[i * g->ldc + j], is = read_at(c, i * g->ldc + j, wide);
            if (j >= g->n) {
                worst = is == before ? worst : INFINITY;
                continue;
            }
            double sum = 0, size = 0;
            for (int64_t p = 0; p < g->k; p++) {
                double product = element(t->a, g->lda, g->transpose_a, i, p) * element(t->b, g->ldb, g->transpose_b, p, j);
                sum += product, size += fabs(product);
            }
            if (g->accumulate)
                sum += before, size += fabs(before);
            if (t->bias)
                sum += t->bias[j], size += fabs(t->bias[j]);
            double share = fabs(is - sum) / ((double)(g->k + 2) * unit * size + 1e-300);
            worst = share <= worst ? worst : share; /* NaN stays */
        }
    return worst;
}

static const int64_t sizes[][3] = {{1, 1, 1},   {1, 65, 128}, {3, 5, 7},    {17, 1, 33},   {48, 48, 48}, {64, 63, 130}, {2, 30, 49}, {13, 21, 70}, {16, 9, 33}, {7, 50, 20},
                                   {97, 31, 5}, {31, 129, 257}, {130, 200, 1}, {100, 97, 0}, {5, 7, 4500}, {193, 390, 60}};

static void compare(bool wide)
{
    for (size_t s = 0; s < LS_COUNT_OF(sizes); s++)
        for (int variant = 0; variant < 16; variant++)
            for (int64_t pad = 0; pad <= 3; pad += 3) {
                Case t = make_case(sizes[s][0], sizes[s][1], sizes[s][2], variant, pad);
                void *c = run_case(&t, wide, 2);
                double worst = worst_error(&t, c, wide);
                if (!(worst <= 1))
                    fprintf(stderr, "m, n, k = %lld, %lld, %lld, variant %d, pad %lld\n", (long long)t.g.m, (long long)t.g.n,
                            (long long)t.g.k, variant, (long long)pad);
                ASSERT_AT_MOST(worst, 1);
                ls_free(c);
                free_case(&t);
            }
}

static void test_float(void)
{
    compare(false);
}

static void test_double(void)
{
    compare(true);
}

static void same_bits(int64_t m, int64_t n, int64_t k, int variant, bool wide)
{
    Case t = make_case(m, n, k, variant, 0);
    void *one = run_case(&t, wide, 1);
    size_t bytes = (size_t)t.c_count * (wide ? sizeof(double) : sizeof(float));
    for (int threads = 2; threads <= 5; threads += threads == 3 ? 2 : 1) {
        void *other = run_case(&t, wide, threads);
        bool same = memcmp(one, other, bytes) == 0;
        if (!same)
            fprintf(stderr, "m, n, k = %lld, %lld, %lld, variant %d: other bits on %d threads\n", (long long)m, (long long)n, (long long)k,
                    variant, threads);
        CU_ASSERT(same);
        ls_free(other);
    }
    ls_free(one);
    free_case(&t);
}

static void test_bits_over_threads(void)
{
    static const int64_t shapes[][3] = {{128, 128, 768}, {64, 64, 40960}, {65, 128, 1024}, {31, 384, 1024},  {384, 256, 1024},
                                        {1, 200, 12288}, {1, 1, 40960},   {100, 1, 1500},  {127, 385, 500}, {12, 50, 3000}, {257, 129, 384}, {1, 300, 129}, {11, 70, 200}};
    for (size_t s = 0; s < LS_COUNT_OF(shapes); s++)
        for (int variant = 0; variant < 4; variant++)
            same_bits(shapes[s][0], shapes[s][1], shapes[s][2], variant + (s % 2 ? 12 : 0), false);
    same_bits(768, 2304, 256, 2, false);
    same_bits(130, 70, 900, 1, true);
}

/* Inside a parallel region the product runs on the calling thread: all threads must get the same. */
static void test_inside_parallel(void)
{
    Case t = make_case(70, 90, 300, 2, 0);
    float *alone = run_case(&t, false, 1);
    float *a = narrow(t.a, t.a_count, false), *b = narrow(t.b, t.b_count, false);
    bool same[4] = {false, false, false, false};
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < 4; i++) {
        float *c = ls_alloc_array(t.c_count, sizeof *c);
        LsGemm g = t.g;
        g.a = a, g.b = b, g.c = c;
        same[i] = c && ls_gemm_float32(&g) == LS_OK && memcmp(c, alone, (size_t)t.c_count * sizeof *c) == 0;
        ls_free(c);
    }
    for (int i = 0; i < 4; i++)
        CU_ASSERT(same[i]);
    ls_free(a), ls_free(b), ls_free(alone);
    free_case(&t);
}

static void test_no_allocation_after_first(void)
{
    Case t = make_case(64, 64, 9000, 1, 0);
    float *a = narrow(t.a, t.a_count, false), *b = narrow(t.b, t.b_count, false), *c = narrow(t.c, t.c_count, false);
    LsGemm g = t.g;
    g.a = a, g.b = b, g.c = c;
    ASSERT_OK(ls_gemm_float32(&g));
    int64_t before = ls_alloc_count();
    for (int i = 0; i < 3; i++)
        ASSERT_OK(ls_gemm_float32(&g));
    CU_ASSERT_EQUAL(ls_alloc_count(), before);
    ls_free(a), ls_free(b), ls_free(c);
    free_case(&t);
}

static void test_bad_strides(void)
{
    float x[4] = {0};
    LsGemm g = {.m = 2, .n = 2, .k = 2, .a = x, .lda = 1, .b = x, .ldb = 2, .c = x, .ldc = 2};
    ASSERT_FAILS(ls_gemm_float32(&g), LS_ERROR, "stride");
    ASSERT_FAILS(ls_gemm_float64(&g), LS_ERROR, "stride");
}

/* All of it twice: with the best instruction set, and with one for which the products have no kernel of their own. */
int main(int argc, char **argv)
{
    int failed = harness_run("gemm", (HarnessTest[]){{"float against plain loops", test_float},
                                                     {"double against plain loops", test_double},
                                                     {"same bits for any number of threads", test_bits_over_threads},
                                                     {"inside a parallel region", test_inside_parallel},
                                                     {"no allocation after the first call", test_no_allocation_after_first},
                                                     {"bad strides", test_bad_strides},
                                                     {0}});
    if (failed || argc > 1 || getenv("LOCKSTEP_ISA"))
        return failed;
    setenv("LOCKSTEP_ISA", "baseline", 1);
    fflush(NULL);
    execv("/proc/self/exe", (char *[]){argv[0], "baseline", NULL});
    perror(argv[0]);
    return 1;
}
