/* The dense product against plain loops, with the error bound of the sum (k eps sum |a| |b|), and its bits over numbers
 * of threads. */
#include "base/bfloat16.h"
#include "base/gemm_fixed.h"
#include "base/gemm_panel.h"
#include "graph/check.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- The products under test: their element types and how exact they are ---- */

typedef enum Type { FLOAT, DOUBLE, BFLOAT16 } Type;

typedef struct Kind {
    const char *name;
    Type operands, result;
    LsStatus (*product)(const LsGemm *g);
    double unit;   /* of the arithmetic: half a unit in the last place */
    double stored; /* of the result's rounding to its type, once more */
    double fixed;  /* of a row's and a column's largest numbers, for each of k */
} Kind;

static LsStatus by_digits(const LsGemm *g) { return g->k > 0 ? ls_fixed_gemm(g) : ls_gemm_float32(g); }

static const Kind floats = {"float", FLOAT, FLOAT, ls_gemm_float32, 0x1p-24, 0, 0};
static const Kind doubles = {"double", DOUBLE, DOUBLE, ls_gemm_float64, 0x1p-53, 0, 0};
static const Kind digits = {"float by digits", FLOAT, FLOAT, by_digits, 0x1p-24, 0, 12.2 * 0x1p-24}; /* also for sizes where vectors are faster */
static const Kind halves = {"bfloat16", BFLOAT16, BFLOAT16, ls_gemm_bfloat16, 0x1p-24, 0x1p-8, 0};
static const Kind to_floats = {"bfloat16 to float", BFLOAT16, FLOAT, ls_gemm_bfloat16, 0x1p-24, 0, 0};

static int64_t bytes_of(Type type) { return type == DOUBLE ? 8 : type == FLOAT ? 4 : 2; }

static void put(void *x, int64_t i, Type type, double value)
{
    if (type == DOUBLE)
        ((double *)x)[i] = value;
    else if (type == FLOAT)
        ((float *)x)[i] = (float)value;
    else
        ((LsBfloat16 *)x)[i] = ls_bfloat16_from_float((float)value);
}

static double read_at(const void *x, int64_t i, Type type)
{
    return type == DOUBLE  ? ((const double *)x)[i]
           : type == FLOAT ? (double)((const float *)x)[i]
                           : (double)ls_bfloat16_to_float(((const LsBfloat16 *)x)[i]);
}

static void *narrow(const double *x, int64_t count, Type type)
{
    void *copy = ls_alloc_array(count, (size_t)bytes_of(type));
    for (int64_t i = 0; copy && i < count; i++)
        put(copy, i, type, x[i]);
    return copy;
}

static double element(const double *x, int64_t stride, bool transposed, int64_t row, int64_t column)
{
    return transposed ? x[column * stride + row] : x[row * stride + column];
}

static double *uniform(int64_t count, uint64_t key, Type type)
{
    double *x = ls_alloc_array(count, sizeof *x);
    for (int64_t i = 0; x && i < count; i++) {
        double rounded = 0;
        put(&rounded, 0, type, 2 * (double)ls_uniform_at(key, 0, (uint64_t)i) - 1);
        x[i] = read_at(&rounded, 0, type);
    }
    return x;
}

typedef struct Case {
    LsGemm g;
    int64_t a_count, b_count, c_count;
    double *a, *b, *c, *bias; /* the values, exact in the types of the kind */
} Case;

/* Rows are `pad` elements longer than they need be: what lies between must stay untouched. */
static Case make_case(const Kind *kind, int64_t m, int64_t n, int64_t k, int variant, int64_t pad)
{
    Case t = {
        .g = {
            .m = m, .n = n, .k = k, .transpose_a = variant & 1, .transpose_b = variant & 2, .accumulate = variant & 4}};
    t.g.lda = (t.g.transpose_a ? m : k) + pad;
    t.g.ldb = (t.g.transpose_b ? k : n) + pad;
    t.g.ldc = n + pad;
    t.a_count = (t.g.transpose_a ? k : m) * t.g.lda;
    t.b_count = (t.g.transpose_b ? n : k) * t.g.ldb;
    t.c_count = m * t.g.ldc;
    t.g.c_float = kind->operands == BFLOAT16 && kind->result == FLOAT;
    t.a = uniform(t.a_count, 1, kind->operands);
    t.b = uniform(t.b_count, 2, kind->operands);
    t.c = uniform(t.c_count, 3, kind->result);
    t.bias = variant & 8 ? uniform(n, 4, kind->operands) : NULL;
    return t;
}

static void free_case(Case *t)
{
    ls_free(t->a), ls_free(t->b), ls_free(t->c), ls_free(t->bias);
}

/* Runs the case and returns its c. */
static void *run_case(const Kind *kind, const Case *t, int threads)
{
    LsGemm g = t->g;
    void *a = narrow(t->a, t->a_count, kind->operands), *b = narrow(t->b, t->b_count, kind->operands);
    void *c = narrow(t->c, t->c_count, kind->result), *bias = t->bias ? narrow(t->bias, g.n, kind->operands) : NULL;
    g.a = a, g.b = b, g.c = c, g.bias = bias;
    int before = ls_threads();
    ls_set_threads(threads);
    ASSERT_OK(kind->product(&g));
    ls_set_threads(before);
    ls_free(a), ls_free(b), ls_free(bias);
    return c;
}

/* The worst error as a share of the bound; rows padding is compared bit by bit. */
static double worst_error(const Kind *kind, const Case *t, const void *c)
{
    const LsGemm *g = &t->g;
    double worst = 0;
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->ldc; j++) {
            double before = t->c[i * g->ldc + j], is = read_at(c, i * g->ldc + j, kind->result);
            if (j >= g->n) {
                worst = is == before ? worst : INFINITY;
                continue;
            }
            double sum = 0, size = 0, row = 0, column = 0;
            for (int64_t p = 0; p < g->k; p++) {
                double x = element(t->a, g->lda, g->transpose_a, i, p), y = element(t->b, g->ldb, g->transpose_b, p, j);
                sum += x * y, size += fabs(x * y), row = fmax(row, fabs(x)), column = fmax(column, fabs(y));
            }
            if (g->accumulate)
                sum += before, size += fabs(before);
            if (t->bias)
                sum += t->bias[j], size += fabs(t->bias[j]);
            double bound = (double)(g->k + 2) * kind->unit * size * (1 + kind->stored) + kind->stored * fabs(sum);
            double share = fabs(is - sum) / (bound + (double)g->k * kind->fixed * row * column + 1e-300);
            worst = share <= worst ? worst : share; /* NaN stays */
        }
    return worst;
}

static const int64_t sizes[][3] = {
    {1, 1, 1},   {1, 65, 128}, {3, 5, 7},   {17, 1, 33},    {48, 48, 48},  {64, 63, 130}, {2, 30, 49},  {13, 21, 70},
    {16, 9, 33}, {7, 50, 20},  {97, 31, 5}, {31, 129, 257}, {130, 200, 1}, {100, 97, 0},  {5, 7, 4500}, {193, 390, 60}};

static void compare(const Kind *kind)
{
    for (size_t s = 0; s < LS_COUNT_OF(sizes); s++)
        for (int variant = 0; variant < 16; variant++)
            for (int64_t pad = s % 2 ? 3 : 0; pad <= 3; pad += s < 4 ? 3 : 4) {
                Case t = make_case(kind, sizes[s][0], sizes[s][1], sizes[s][2], variant, pad);
                void *c = run_case(kind, &t, 2);
                double worst = worst_error(kind, &t, c);
                if (!(worst <= 1))
                    fprintf(stderr, "%s: m, n, k = %lld, %lld, %lld, variant %d, pad %lld\n", kind->name,
                            (long long)t.g.m, (long long)t.g.n, (long long)t.g.k, variant, (long long)pad);
                ASSERT_AT_MOST(worst, 1);
                ls_free(c);
                free_case(&t);
            }
}

static void test_float(void) { compare(&floats); }
static void test_double(void) { compare(&doubles); }

static void test_bfloat16(void)
{
    compare(&halves);
    compare(&to_floats);
}

static void same_bits(const Kind *kind, int64_t m, int64_t n, int64_t k, int variant)
{
    Case t = make_case(kind, m, n, k, variant, 0);
    void *one = run_case(kind, &t, 1);
    size_t bytes = (size_t)(t.c_count * bytes_of(kind->result));
    for (int threads = 2; threads <= 5; threads += 3) {
        void *other = run_case(kind, &t, threads);
        bool same = memcmp(one, other, bytes) == 0;
        if (!same)
            fprintf(stderr, "m, n, k = %lld, %lld, %lld, variant %d: other bits on %d threads\n", (long long)m,
                    (long long)n, (long long)k, variant, threads);
        CU_ASSERT(same);
        ls_free(other);
    }
    ls_free(one);
    free_case(&t);
}

/* Float results so large that they are written past the caches, whole lines and parts of them, with and without what
 * was there; operands whose rows of k are packed in several pieces. */
static void test_large(void)
{
    static const struct {
        int64_t m, n, k, pad;
        int variant;
    } list[] = {{800, 704, 20, 0, 1}, {790, 700, 33, 4, 0}, {750, 720, 17, 16, 4},
                {701, 810, 9, 5, 8},  {70, 601, 290, 0, 1}, {601, 70, 290, 0, 3}};
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        Case t = make_case(&to_floats, list[i].m, list[i].n, list[i].k, list[i].variant, list[i].pad);
        void *c = run_case(&to_floats, &t, 3);
        ASSERT_AT_MOST(worst_error(&to_floats, &t, c), 1);
        ls_free(c);
        free_case(&t);
    }
    same_bits(&to_floats, 790, 700, 40, 1);
}

/* Large bfloat16 results are written past the caches too: the same bits as in two halves that are not large. */
static void test_large_halves(void)
{
    static const struct {
        int64_t m, n, k, pad;
        int variant;
    } list[] = {{1040, 1056, 40, 0, 2}, {1040, 1050, 33, 6, 8}, {1042, 1056, 1700, 0, 8}, {1040, 1060, 20, 0, 4}};
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        Case t = make_case(&halves, list[i].m, list[i].n, list[i].k, list[i].variant, list[i].pad);
        LsBfloat16 *whole = run_case(&halves, &t, 3);
        int64_t upper = t.g.m / 2, first = upper * t.g.ldc;
        Case half = t;
        for (int part = 0; part < 2; part++) {
            half.g.m = part ? t.g.m - upper : upper;
            half.a = t.a + part * upper * t.g.lda, half.a_count = half.g.m * t.g.lda;
            half.c = t.c + part * first, half.c_count = half.g.m * t.g.ldc;
            LsBfloat16 *c = run_case(&halves, &half, 2);
            CU_ASSERT_EQUAL(memcmp(c, whole + part * first, (size_t)half.c_count * sizeof *c), 0);
            ls_free(c);
        }
        ls_free(whole);
        free_case(&t);
    }
}

static void test_digits(void) { compare(&digits); }

/* Rows of all magnitudes, and what is not finite: where the digits do not carry them, vectors must. */
static void test_extremes(void)
{
    static const float a[][32] = {
        {0x1p127f, -0x1p100f, 0x1.fffffep127f}, {0x1p-100f, 0x1.fffffep-90f, -0x1.8p-60f}, {INFINITY}, {NAN}, {-0.0f}};
    enum { ROWS = 64, COLUMNS = 48, DEPTH = 32 };
    static float x[ROWS * DEPTH], y[DEPTH * COLUMNS], z[ROWS * COLUMNS];
    for (int i = 0; i < ROWS; i++)
        memcpy(x + i * DEPTH, a[i % (int)LS_COUNT_OF(a)], sizeof a[0]);
    for (int i = 0; i < DEPTH * COLUMNS; i++)
        y[i] = i / COLUMNS < 2 ? 0x1.234568p-3f : 0x1p-20f;
    LsGemm g = {.m = ROWS, .n = COLUMNS, .k = DEPTH, .a = x, .lda = DEPTH, .b = y, .ldb = COLUMNS, .c = z, .ldc = COLUMNS};
    ASSERT_OK(ls_fixed_usable() ? by_digits(&g) : ls_gemm_float32(&g));
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) {
            double sum = 0, size = 0, is = (double)z[i * COLUMNS + j];
            for (int p = 0; p < DEPTH; p++) {
                double product = (double)x[i * DEPTH + p] * (double)y[p * COLUMNS + j];
                sum += product, size += fabs(product);
            }
            if (isfinite(sum))
                CU_ASSERT(fabs(is - sum) <= (DEPTH + 2) * 0x1p-24 * size)
            else
                CU_ASSERT(!isfinite(is))
        }
}

/* Rows of some large numbers among many small ones that count as much, since large ones of the other operand meet them:
 * the bound of a float sum must hold, which digits alone would miss by far. */
static void test_wide_rows(void)
{
    for (int variant = 0; variant < 4; variant++) {
        Case t = make_case(&digits, 70, 50, 300, variant, 0);
        for (int64_t p = 0; p < t.g.k; p += 60) {
            for (int64_t i = 20; i < 52; i++)
                t.a[t.g.transpose_a ? p * t.g.lda + i : i * t.g.lda + p] *= 0x1p30;
            for (int64_t j = 0; j < t.g.n; j++)
                t.b[t.g.transpose_b ? j * t.g.ldb + p : p * t.g.ldb + j] *= 0x1p-30;
        }
        void *c = run_case(&digits, &t, 2);
        CU_ASSERT(worst_error(&floats, &t, c) <= 1);
        ls_free(c);
        free_case(&t);
    }
}

static void test_bits_over_threads(void)
{
    static const int64_t shapes[][3] = {{128, 128, 768},  {64, 64, 40960},  {65, 128, 1024}, {31, 384, 1024},
                                        {384, 256, 1024}, {1, 200, 12288},  {1, 1, 40960},   {100, 1, 1500},
                                        {127, 385, 500},  {12, 50, 3000},   {257, 129, 384}, {1, 300, 129},
                                        {11, 70, 200},    {384, 1000, 2060}};
    const Kind *kinds[] = {&floats, &halves, ls_fixed_usable() ? &digits : &to_floats};
    for (size_t s = 0; s < LS_COUNT_OF(shapes); s++)
        for (int variant = 0; variant < 4; variant++)
            for (size_t i = 0; i < LS_COUNT_OF(kinds); i += s % 3 ? 3 : 1) /* all kinds at every third shape */
                same_bits(kinds[i], shapes[s][0], shapes[s][1], shapes[s][2], variant + (s % 2 ? 12 : 0));
    same_bits(&floats, 768, 2304, 256, 2);
    same_bits(&doubles, 130, 70, 900, 1);
}

/* Inside a parallel region the product runs on the calling thread: all threads must get the same. */
static void test_inside_parallel(void)
{
    Case t = make_case(&floats, 270, 290, 300, 2, 0);
    float *alone = run_case(&floats, &t, 1);
    float *a = narrow(t.a, t.a_count, FLOAT), *b = narrow(t.b, t.b_count, FLOAT);
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
    Case t = make_case(&floats, 64, 64, 9000, 1, 0);
    float *a = narrow(t.a, t.a_count, FLOAT), *b = narrow(t.b, t.b_count, FLOAT), *c = narrow(t.c, t.c_count, FLOAT);
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

/* The sums of A's rows on the way: against double, the same bits for any number of threads; one range of k and several
 * (deep products), many blocks of k, columns in several tasks and blocks; rows that vectors multiply. Refused where no
 * tiles pack A's columns. */
static void test_row_sums(void)
{
    static const struct {
        int64_t m, n, k, pad;
    } list[] = {{128, 130, 384, 0}, {150, 128, 900, 3}, {70, 1300, 2500, 5}, {600, 700, 1100, 0}, {300, 4200, 1024, 0}};
    for (size_t n = 0; n < LS_COUNT_OF(list); n++)
        for (int add = 0; add < 2; add++) {
            Case t = make_case(&floats, list[n].m, list[n].n, list[n].k, 1, list[n].pad);
            for (int64_t p = 0; p < t.g.k; p += 60)
                t.a[p * t.g.lda + 20] *= 0x1p30;
            float *a = narrow(t.a, t.a_count, FLOAT), *b = narrow(t.b, t.b_count, FLOAT), sums[4][600];
            float *c = ls_alloc_array(t.c_count, sizeof *c), *plain = ls_alloc_array(t.c_count, sizeof *c);
            CU_ASSERT_FATAL(a && b && c && plain);
            LsGemm g = t.g;
            int before = ls_threads();
            g.a = a, g.b = b, g.c = plain;
            CU_ASSERT_EQUAL_FATAL(ls_gemm_float32_sums(&g), ls_fixed_usable());
            ASSERT_OK(ls_gemm_float32(&g));
            g.c = c, g.row_sums = sums[0], g.add_row_sums = add;
            for (int threads = 1; ls_fixed_usable() && threads < 4; threads++) {
                g.row_sums = sums[threads];
                for (int64_t i = 0; i < g.m; i++)
                    sums[threads][i] = 0.5f;
                ls_set_threads(threads);
                ASSERT_OK(ls_gemm_float32(&g));
                CU_ASSERT(memcmp(sums[threads], sums[1], (size_t)g.m * sizeof(float)) == 0);
                for (int64_t i = 0; i < g.m; i++)
                    CU_ASSERT(memcmp(c + i * g.ldc, plain + i * g.ldc, (size_t)g.n * sizeof *c) == 0);
            }
            for (int64_t i = 0; ls_fixed_usable() && i < g.m; i++) {
                double sum = add ? 0.5 : 0, size = sum;
                for (int64_t p = 0; p < g.k; p++)
                    sum += t.a[p * g.lda + i], size += fabs(t.a[p * g.lda + i]);
                CU_ASSERT(fabs((double)sums[1][i] - sum) <= (double)(g.k + 2) * 0x1p-24 * size);
            }
            ls_set_threads(before);
            if (!ls_fixed_usable())
                ASSERT_FAILS(ls_gemm_float32(&g), LS_ERROR, "sums of A's rows");
            g.transpose_a = false, g.lda = g.k;
            ASSERT_FAILS(ls_gemm_float32(&g), LS_ERROR, "sums of A's rows");
            ls_free(a), ls_free(b), ls_free(c), ls_free(plain);
            free_case(&t);
        }
}

/* Both gradients of a dense layer in one go: the bits of one after the other, for any number of threads. */
static void test_both(void)
{
    static const struct {
        int64_t tokens, in, out;
    } list[] = {{900, 128, 150}, {768, 512, 128}, {1500, 70, 300}, {40, 128, 128}, {800, 1, 5}};
    for (size_t n = 0; n < LS_COUNT_OF(list); n++) {
        int64_t tokens = list[n].tokens, in = list[n].in, out = list[n].out;
        Case dw = make_case(&floats, out, in, tokens, n % 2 ? 5 : 1, 0), dx = make_case(&floats, tokens, in, out, n % 2 ? 0 : 4, 0);
        bool with_sums = ls_gemm_float32_sums(&dw.g);
        float *g = narrow(dw.a, dw.a_count, FLOAT), *x = narrow(dw.b, dw.b_count, FLOAT), *w = narrow(dx.b, dx.b_count, FLOAT);
        float *first[2] = {0}, first_sums[512];
        int before = ls_threads();
        for (int threads = 0; threads < 4; threads++) {
            float *c[2] = {narrow(dw.c, dw.c_count, FLOAT), narrow(dx.c, dx.c_count, FLOAT)}, sums[512];
            dw.g.row_sums = with_sums ? sums : NULL;
            dw.g.a = dx.g.a = g, dx.g.lda = out, dw.g.b = x, dx.g.b = w, dw.g.c = c[0], dx.g.c = c[1];
            ls_set_threads(threads > 0 ? threads : before);
            if (threads == 0) {
                ASSERT_OK(ls_gemm_float32(&dw.g));
                ASSERT_OK(ls_gemm_float32(&dx.g));
                first[0] = c[0], first[1] = c[1];
                memcpy(first_sums, sums, sizeof sums);
                continue;
            }
            ASSERT_OK(ls_gemm_float32_both(&dw.g, &dx.g));
            CU_ASSERT(memcmp(c[0], first[0], (size_t)dw.c_count * sizeof(float)) == 0);
            CU_ASSERT(memcmp(c[1], first[1], (size_t)dx.c_count * sizeof(float)) == 0);
            CU_ASSERT(!with_sums || memcmp(sums, first_sums, (size_t)out * sizeof(float)) == 0);
            ls_free(c[0]), ls_free(c[1]);
        }
        ls_set_threads(before);
        ls_free(first[0]), ls_free(first[1]);
        ls_free(g), ls_free(x), ls_free(w);
        free_case(&dw), free_case(&dx);
    }
}

static void test_bad_strides(void)
{
    float x[4] = {0};
    LsGemm g = {.m = 2, .n = 2, .k = 2, .a = x, .lda = 1, .b = x, .ldb = 2, .c = x, .ldc = 2};
    ASSERT_FAILS(ls_gemm_float32(&g), LS_ERROR, "stride");
    ASSERT_FAILS(ls_gemm_float64(&g), LS_ERROR, "stride");
}

/* All of it at every instruction set that the machine has: each has a kernel of its own, or none. */
int main(void)
{
    LsIsa best;
    if (ls_isa_choose(&best) != LS_OK)
        return 1;
    int failed = 0;
    for (int isa = (int)best; isa >= 0; isa = isa == LS_ISA_V4 ? LS_ISA_BASELINE : isa - 1) { /* v3's products are the baseline's */
        char *forced = ls_check_force_isa((LsIsa)isa);
        fprintf(stderr, "%s\n", ls_isa_name((LsIsa)isa));
        failed |= harness_run(
            "gemm",
            (HarnessTest[]){{"float against plain loops", test_float},
                            {"double against plain loops", test_double},
                            {"bfloat16 against plain loops", test_bfloat16},
                            {"extremes", test_extremes},
                            {"same bits for any number of threads", test_bits_over_threads},
                            {"inside a parallel region", test_inside_parallel},
                            {"no allocation after the first call", test_no_allocation_after_first},
                            {"bad strides", test_bad_strides},
                            {"sums of rows", test_row_sums},
                            {"two at once", test_both},
                            {ls_panel_kernel() ? "large results, long rows of k" : NULL, test_large},
                            {ls_panel_kernel() ? "large bfloat16 results" : NULL, test_large_halves},
                            {ls_fixed_usable() ? "float by digits against plain loops" : NULL, test_digits},
                            {ls_fixed_usable() ? "rows of numbers too unlike for digits" : NULL, test_wide_rows},
                            {0}});
        ls_check_restore_isa(forced);
    }
    return failed;
}
