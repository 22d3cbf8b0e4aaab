/* The ops' vector functions against the C library's in double, over all exponents and signs, in every build this
 * machine can run. */
#include "harness.h"
#include "lockstep/base.h"
#include "lockstep/tensor.h"
#include "vec_math_table.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUILD(precision, isa, suffix) extern const VecMathTable vec_math##suffix;
#include "op_builds.def"
#undef BUILD

typedef struct Build {
    LsPrecision precision;
    LsIsa isa;
    const VecMathTable *table;
} Build;

#define BUILD(precision, isa, suffix) {precision, isa, &vec_math##suffix},
static const Build builds[] = {
#include "op_builds.def"
};

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }

/* Errors allowed, in units in the last place, as the headers state them. */
static const struct Judge {
    const char *name;
    double (*exact)(double);
    float low, high; /* the domain; NaN is always in it */
    double ulps;
} judges[] = {
    {"exp", exp, -INFINITY, INFINITY, 1.1},
    {"decay", exp2, -64.5f, 0, 1.9},
    {"log", log, -INFINITY, INFINITY, 1.2},
    {"log1p", log1p, 0, INFINITY, 1.2},
    {"tanh", tanh, -INFINITY, INFINITY, 2.6},
    {"erf", erf, -INFINITY, INFINITY, 2.6},
    {"sigmoid", sigmoid, -INFINITY, INFINITY, 2.2},
    {"softplus", softplus, -INFINITY, INFINITY, 1.8},
    {"log1p to 1", log1p, 0, 1, 1.2},
    {"decay, near", exp2, -64, 0, 1.9},
};

static const float extremes[] = {
    0.0f,          -0.0f,        1,        -1,          FLT_MIN,     -FLT_MIN,     FLT_TRUE_MIN,
    -FLT_TRUE_MIN, FLT_MAX,      -FLT_MAX, 88.7228317f, 88.7228394f, -87.3365402f, -87.3365479f,
    -126,          -126.00001f,  -127,     -150,        20,          -20,          0.5f,
    1.5f,          0.75f,        9.0f,     9.2f,        4,           -4,           3.9f,
    FLT_EPSILON,   -FLT_EPSILON, INFINITY, -INFINITY,   NAN};

/* Error of y in units in the last place of the exact value; results below the least normal float may be flushed. */
static double ulps(float y, double exact)
{
    if (isnan(exact))
        return isnan(y) ? 0 : INFINITY;
    float rounded = (float)exact;
    if (isinf(rounded))
        return y == rounded || (fabs(exact) < 1.0001 * FLT_MAX && fabsf(y) > 0.9999f * FLT_MAX) ? 0 : INFINITY;
    if (fabs(exact) < FLT_MIN)
        return fabs((double)y) <= 1.0001 * FLT_MIN ? 0 : INFINITY;
    int exponent;
    frexp(exact, &exponent);
    return fabs((double)y - exact) / ldexp(1, exponent - FLT_MANT_DIG);
}

enum { STRIDE = 2039, SAMPLES = 2106480 /* 2^32 / STRIDE, rounded up to a multiple of 16 */ };

static double worst(const VecMathRow *row, const struct Judge *judge, const float *x, const double *exact, float *y)
{
    double most = 0, where = 0;
    row->apply(x, y, SAMPLES);
    for (int64_t i = 0; i < SAMPLES; i++) {
        if (!isnan(x[i]) && !(x[i] >= judge->low && x[i] <= judge->high))
            continue;
        double error = ulps(y[i], exact[i]);
        if (!(error <= most))
            most = error, where = x[i];
    }
    if (!(most <= judge->ulps))
        fprintf(stderr, "%s: %.2f ulp at %.9g\n", row->name, most, where);
    return most;
}

static void test_float(void)
{
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    float *x = ls_alloc_array(SAMPLES, sizeof *x), *y = ls_alloc_array(SAMPLES, sizeof *y);
    double *exact = ls_alloc_array(SAMPLES, sizeof *exact);
    CU_ASSERT_FATAL(x && y && exact);
    for (int64_t i = 0; i < SAMPLES; i++) {
        uint32_t bits = (uint32_t)(i * STRIDE);
        memcpy(&x[i], &bits, sizeof bits);
        if (isnan(x[i]))
            x[i] = NAN;
    }
    memcpy(x + 4096, extremes, sizeof extremes);
    for (size_t f = 0; f < LS_COUNT_OF(judges); f++) {
        for (int64_t i = 0; i < SAMPLES; i++)
            exact[i] = judges[f].exact(x[i]);
        for (size_t b = 0; b < LS_COUNT_OF(builds); b++) {
            if (builds[b].precision == LS_FLOAT64 || builds[b].isa > best)
                continue;
            const VecMathRow *row = builds[b].table->rows + f;
            CU_ASSERT_STRING_EQUAL_FATAL(row->name, judges[f].name);
            double error = worst(row, judges + f, x, exact, y);
            ASSERT_AT_MOST(error, judges[f].ulps);
        }
    }
    ls_free(x), ls_free(y), ls_free(exact);
}

/* Below 2^-64.52 a decay is 0, and never something denormal. */
static void test_decayed(void)
{
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    const float x[16] = {-64.52f, -65,   -70,   -100,   -126,     -127,      -149,   -150,
                         -1e3f,   -1e6f, -1e9f, -1e20f, -FLT_MAX, -INFINITY, -64.6f, -80};
    for (size_t b = 0; b < LS_COUNT_OF(builds); b++) {
        float y[16];
        if (builds[b].precision == LS_FLOAT64 || builds[b].isa > best)
            continue;
        const VecMathRow *row = builds[b].table->rows + 1;
        CU_ASSERT_STRING_EQUAL_FATAL(row->name, "decay");
        row->apply(x, y, 16);
        for (int i = 0; i < 16; i++)
            CU_ASSERT_EQUAL(y[i], 0);
    }
}

/* The variant without the case of long decays has the same bits where there are none. */
static void test_decay_near(void)
{
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    for (size_t b = 0; b < LS_COUNT_OF(builds); b++)
        for (int i = 0; builds[b].precision != LS_FLOAT64 && builds[b].isa <= best && i < 4096; i += 16) {
            float x[16], y[16], near[16];
            for (int j = 0; j < 16; j++)
                x[j] = (float)(i + j) * (-64.0f / 4095);
            builds[b].table->rows[1].apply(x, y, 16);
            const VecMathRow *row = builds[b].table->rows + LS_COUNT_OF(judges) - 1;
            CU_ASSERT_STRING_EQUAL_FATAL(row->name, "decay, near");
            row->apply(x, near, 16);
            CU_ASSERT(memcmp(y, near, sizeof y) == 0);
        }
}

/* In double they are the library's own, up to the rounding of what sigmoid and softplus compose from them. */
static void test_double(void)
{
    for (size_t b = 0; b < LS_COUNT_OF(builds); b++)
        for (size_t f = 0; builds[b].precision == LS_FLOAT64 && f < LS_COUNT_OF(judges); f++)
            for (int i = -400; i <= 400; i += 16) {
                double x[16], y[16];
                for (int j = 0; j < 16; j++)
                    x[j] = judges[f].high == 1   ? (i + j + 400) / 816.0
                           : judges[f].low == 0  ? (i + j + 400) / 8.0
                           : judges[f].high == 0 ? (i + j - 416) / 8.0
                                                 : (i + j) / 8.0;
                builds[b].table->rows[f].apply(x, y, 16);
                for (int j = 0; j < 16; j++) {
                    double exact = judges[f].exact(x[j]);
                    if (!(isnan(exact) && isnan(y[j])) && !(isinf(exact) && y[j] == exact))
                        ASSERT_AT_MOST(fabs(y[j] - exact), 8 * DBL_EPSILON * fabs(exact));
                }
            }
}

int main(void)
{
    return harness_run("vec_math", (HarnessTest[]){{"float against the library", test_float},
                                                   {"nothing is left of a long decay", test_decayed},
                                                   {"near decays", test_decay_near},
                                                   {"double is the library's", test_double},
                                                   {0}});
}
