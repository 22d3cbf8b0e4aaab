/* Products for tests: the kinds of them that this machine computes, operands of exact size with what stands around them, and
 * errors against sums in double. */
#ifndef GEMM_CASES_H
#define GEMM_CASES_H

#include "base/bfloat16.h"
#include "gemm/kernel.h"
#include "graph/check.h"
#include "harness.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- The products under test: their element types and how exact they are ---- */

typedef enum Type { FLOAT, DOUBLE, BFLOAT16 } Type;

/* A way to make products: a kernel, or the one that is chosen. */
typedef struct Kind {
    const LsGemmKernel *kernel; /* NULL: the chosen one, as for sizes that the kernel does not take */
    LsGemmType type;
    Type operands, result;
    double unit;   /* of the arithmetic: half a unit in the last place */
    double stored; /* of the result's rounding to its type, once more */
    double fixed;  /* of a row's and a column's largest numbers, for each of k */
} Kind;

static const Kind floats = {NULL, LS_GEMM_FLOAT32, FLOAT, FLOAT, 0x1p-24, 0, 0};
static const Kind doubles = {NULL, LS_GEMM_FLOAT64, DOUBLE, DOUBLE, 0x1p-53, 0, 0};
static const Kind halves = {NULL, LS_GEMM_BFLOAT16, BFLOAT16, BFLOAT16, 0x1p-24, 0x1p-8, 0};
static const Kind to_floats = {NULL, LS_GEMM_BFLOAT16, BFLOAT16, FLOAT, 0x1p-24, 0, 0};

#define DIGITS_ERROR (12.2 * 0x1p-24) /* see gemm/int8x3.h */

static bool is_digits(const LsGemmKernel *kernel) { return kernel && strcmp(kernel->name, "int8x3_amx") == 0; }

/* The kinds to try: each kernel that this instruction set brings, alone. Those of weights in 8 bits are tried by
 * test_gemm_skinny. Returns their number. */
static int all_kinds(Kind *kind)
{
    int count = 0;
    for (const LsGemmKernel *const *k = ls_gemm_kernels(); *k; k++) {
        const Kind types[] = {floats, doubles, halves, to_floats};
        for (size_t i = 0; i < LS_COUNT_OF(types); i++) {
            LsGemm easy = {
                .type = types[i].type, .m = 8, .n = 16, .k = 64, .lda = 64, .ldb = 64, .ldc = 16, .transpose_b = true};
            if ((*k)->isa != ls_isa() || !(*k)->usable(&easy))
                continue;
            kind[count] = types[i];
            kind[count].kernel = *k;
            kind[count].fixed = is_digits(*k) ? DIGITS_ERROR : 0;
            count++;
        }
    }
    return count;
}

enum { MOST_KINDS = 64 };

static const char *name_of(const Kind *kind) { return kind->kernel ? kind->kernel->name : "chosen"; }

static LsStatus multiply(const Kind *kind, const LsGemm *g)
{
    if (kind->kernel && g->m > 0 && g->n > 0 && g->k > 0 && kind->kernel->usable(g))
        return kind->kernel->run(g);
    return ls_gemm(g);
}

static bool has_digits(void) { return ls_isa() >= LS_ISA_V4_AMX; }

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

/* Of [-1, 1) and exact in the type. Each number is drawn once: most of the cases begin with the same ones. */
static double *uniform(int64_t count, uint64_t key, Type type)
{
    static struct {
        double *value;
        int64_t count;
    } drawn[5][3]; /* by key and type */
    CU_ASSERT_FATAL(key < LS_COUNT_OF(drawn));
    double *x = ls_alloc_array(count, sizeof *x);
    if (drawn[key][type].count < count) {
        double *more = ls_alloc_array(count, sizeof *more);
        CU_ASSERT_PTR_NOT_NULL_FATAL(more);
        for (int64_t i = 0; i < count; i++) {
            double rounded = 0;
            put(&rounded, 0, type, 2 * (double)ls_uniform_at(key, 0, (uint64_t)i) - 1);
            more[i] = read_at(&rounded, 0, type);
        }
        ls_free(drawn[key][type].value);
        drawn[key][type].value = more;
        drawn[key][type].count = count;
    }
    if (x && count > 0)
        memcpy(x, drawn[key][type].value, (size_t)count * sizeof *x);
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
    Case t = {.g = {.type = kind->type,
                    .m = m,
                    .n = n,
                    .k = k,
                    .transpose_a = variant & 1,
                    .transpose_b = variant & 2,
                    .accumulate = variant & 4}};
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

static void free_case(Case *t) { ls_free(t->a), ls_free(t->b), ls_free(t->c), ls_free(t->bias); }

/* Runs the case and returns its c. */
static void *run_case(const Kind *kind, const Case *t, int threads)
{
    LsGemm g = t->g;
    void *a = narrow(t->a, t->a_count, kind->operands), *b = narrow(t->b, t->b_count, kind->operands);
    void *c = narrow(t->c, t->c_count, kind->result), *bias = t->bias ? narrow(t->bias, g.n, kind->operands) : NULL;
    g.a = a, g.b = b, g.c = c, g.bias = bias;
    int before = ls_threads();
    ls_set_threads(threads);
    ASSERT_OK(multiply(kind, &g));
    ls_set_threads(before);
    ls_free(a), ls_free(b), ls_free(bias);
    return c;
}

/* x as rows along k, one after the other, whichever way it is stored: (rows, k) */
static double *along_k(const double *x, int64_t stride, bool transposed, int64_t rows, int64_t k)
{
    double *copy = ls_alloc_array(rows * k + 1, sizeof *copy);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t p = 0; p < k; p++)
            copy[i * k + p] = element(x, stride, transposed, i, p);
    return copy;
}

static double largest_of(const double *x, int64_t k)
{
    double largest = 0;
    for (int64_t p = 0; p < k; p++)
        largest = fmax(largest, fabs(x[p]));
    return largest;
}

/* The worst error as a share of the bound; rows padding is compared bit by bit. */
static double worst_error(const Kind *kind, const Case *t, const void *c)
{
    const LsGemm *g = &t->g;
    double worst = 0, *a = along_k(t->a, g->lda, g->transpose_a, g->m, g->k),
           *b = along_k(t->b, g->ldb, !g->transpose_b, g->n, g->k);
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->ldc; j++) {
            double before = t->c[i * g->ldc + j], is = read_at(c, i * g->ldc + j, kind->result);
            if (j >= g->n) {
                worst = is == before ? worst : INFINITY;
                continue;
            }
            const double *x = a + i * g->k, *y = b + j * g->k;
            double sum = 0, size = 0, largest = 0;
#pragma omp simd reduction(+ : sum, size)
            for (int64_t p = 0; p < g->k; p++)
                sum += x[p] * y[p], size += fabs(x[p] * y[p]);
            if (kind->fixed > 0)
                largest = largest_of(x, g->k) * largest_of(y, g->k);
            if (g->accumulate)
                sum += before, size += fabs(before);
            if (t->bias)
                sum += t->bias[j], size += fabs(t->bias[j]);
            double bound = (double)(g->k + 2) * kind->unit * size * (1 + kind->stored) + kind->stored * fabs(sum);
            double share = fabs(is - sum) / (bound + (double)g->k * kind->fixed * largest + 1e-300);
            worst = share <= worst ? worst : share; /* NaN stays */
        }
    ls_free(a), ls_free(b);
    return worst;
}

#endif
