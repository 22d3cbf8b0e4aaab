/* Fourier transforms of complex signals: against sums in double, there and back; the same bits in any thread and after
 * any other plan. */
#include "harness.h"
#include "fft/fft.h"

#include <math.h>
#include <string.h>

/* Numbers of the kind `type` at x. */
static double number_at(LsFftType type, const void *x, int64_t i)
{
    return type == LS_FFT_FLOAT ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void put_number(LsFftType type, void *x, int64_t i, double value)
{
    if (type == LS_FFT_FLOAT)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

/* points complex numbers */
static void fill(LsFftType type, void *x, int64_t points)
{
    for (int64_t i = 0; i < 2 * points; i++)
        put_number(type, x, i, (double)ls_uniform_at(7, (uint64_t)points, (uint64_t)i) - 0.5);
}

static void check_transform(LsFftType type, int64_t points)
{
    double tolerance = (type == LS_FFT_FLOAT ? 0x1p-24 : 0x1p-53) * 8 * sqrt((double)points) * log2((double)points + 2);
    int64_t row = ls_fft_row(points);
    void *x = ls_alloc_array(row, sizeof(double)), *signal = ls_alloc_array(row, sizeof(double));
    const LsFft *plan = ls_fft_plan(type, points);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    fill(type, x, points);
    fill(type, signal, points);
    ls_fft_forward(plan, x);
    for (int64_t k = 0; k<points; k += points> 300 ? 97 : 1) {
        double re = 0, im = 0;
        for (int64_t t = 0; t < points; t++) {
            double angle = 2 * M_PI * (double)(k * t % points) / (double)points, c = cos(angle), s = sin(angle);
            double a = number_at(type, signal, 2 * t), b = number_at(type, signal, 2 * t + 1);
            re += a * c + b * s;
            im += b * c - a * s;
        }
        ASSERT_AT_MOST(fabs(number_at(type, x, 2 * k) - re), tolerance);
        ASSERT_AT_MOST(fabs(number_at(type, x, 2 * k + 1) - im), tolerance);
    }
    ls_fft_inverse(plan, x);
    for (int64_t i = 0; i < 2 * points; i++)
        ASSERT_AT_MOST(fabs(number_at(type, x, i) / (double)points - number_at(type, signal, i)), tolerance);
    ls_free(x);
    ls_free(signal);
}

static void test_transforms(void)
{
    static const int64_t points[] = {1, 2, 4, 8, 16, 64, 256, 2048};
    for (size_t i = 0; i < LS_COUNT_OF(points); i++) {
        check_transform(LS_FFT_FLOAT, points[i]);
        check_transform(LS_FFT_DOUBLE, points[i]);
    }
}

static void test_points(void)
{
    static const int64_t least[][2] = {{1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1567, 2048}, {131072, 131072}};
    for (size_t i = 0; i < LS_COUNT_OF(least); i++)
        CU_ASSERT_EQUAL(ls_fft_points(least[i][0]), least[i][1]);
    for (int64_t points = 1; points < 40; points++)
        CU_ASSERT(ls_fft_row(points) > 2 * points && ls_fft_row(points) % 16 == 0);
}

/* One plan a length, whatever was planned in between, and no memory for it a second time. */
static void test_plans(void)
{
    const LsFft *plan = ls_fft_plan(LS_FFT_FLOAT, 420), *other = ls_fft_plan(LS_FFT_DOUBLE, 420);
    CU_ASSERT_PTR_NOT_EQUAL(plan, other);
    CU_ASSERT_PTR_NOT_NULL(ls_fft_plan(LS_FFT_FLOAT, 840));
    int64_t blocks = ls_alloc_count();
    CU_ASSERT_PTR_EQUAL(ls_fft_plan(LS_FFT_FLOAT, 420), plan);
    CU_ASSERT_EQUAL(ls_alloc_count(), blocks);
}

/* Many signals, shared out among threads: the same bits as one after the other. */
static void test_threads(void)
{
    enum { SIGNALS = 24, POINTS = 2048 };
    int64_t row = ls_fft_row(POINTS);
    size_t bytes = (size_t)(SIGNALS * row) * sizeof(float);
    float *alone = ls_alloc(bytes), *shared = ls_alloc(bytes);
    const LsFft *plan = ls_fft_plan(LS_FFT_FLOAT, POINTS);
    for (int s = 0; s < SIGNALS; s++) {
        fill(LS_FFT_FLOAT, alone + s * row, POINTS);
        for (int i = 0; i < 2 * POINTS; i++)
            alone[s * row + i] *= (float)(s + 1);
    }
    memcpy(shared, alone, bytes);
    for (int s = 0; s < SIGNALS; s++)
        ls_fft_forward(plan, alone + s * row);
#pragma omp parallel for schedule(dynamic, 1) num_threads(4)
    for (int s = 0; s < SIGNALS; s++)
        ls_fft_forward(ls_fft_plan(LS_FFT_FLOAT, POINTS), shared + s * row);
    CU_ASSERT_EQUAL(memcmp(alone, shared, bytes), 0);
    ls_free(alone);
    ls_free(shared);
}

int main(void)
{
    return harness_run("fft", (HarnessTest[]){{"transforms", test_transforms},
                                              {"lengths", test_points},
                                              {"plans", test_plans},
                                              {"threads", test_threads},
                                              {0}});
}
