#include "fft/fft.h"

#include <fftw3.h>
#include <pthread.h>

struct LsFft {
    LsFftType type;
    int64_t points;
    fftwf_plan forward32, inverse32;
    fftw_plan forward64, inverse64;
    LsFft *next;
};

/* FFTW's planner may be used by one thread at a time. */
static pthread_mutex_t plans_lock = PTHREAD_MUTEX_INITIALIZER;
static LsFft *plans;

int64_t ls_fft_points(int64_t least)
{
    int64_t points = 1;
    while (points < least)
        points *= 2;
    return points >= 4 && points / 4 * 3 >= least ? points / 4 * 3 : points;
}

int64_t ls_fft_row(int64_t points)
{
    int64_t line = LS_ALIGN / (int64_t)sizeof(float);
    return (points / 2 * 2 + 2 + line - 1) / line * line;
}

static void free_plan(LsFft *plan)
{
    if (!plan)
        return;
    if (plan->forward32)
        fftwf_destroy_plan(plan->forward32);
    if (plan->inverse32)
        fftwf_destroy_plan(plan->inverse32);
    if (plan->forward64)
        fftw_destroy_plan(plan->forward64);
    if (plan->inverse64)
        fftw_destroy_plan(plan->inverse64);
    ls_free(plan);
}

/* FFTW_ESTIMATE: without measurements, which would choose differently from run to run. The arrays are looked at for
 * their alignment alone. */
static LsFft *make_plan(LsFftType type, int64_t points)
{
    size_t bytes = type == LS_FFT_FLOAT ? sizeof(float) : sizeof(double);
    LsFft *plan = ls_alloc(sizeof *plan);
    void *signal = ls_alloc_array(ls_fft_row(points), bytes), *spectrum = ls_alloc_array(ls_fft_row(points), bytes);
    bool made = false;
    if (plan && signal && spectrum) {
        int n = (int)points;
        *plan = (LsFft){.type = type, .points = points};
        if (type == LS_FFT_FLOAT) {
            plan->forward32 = fftwf_plan_dft_r2c_1d(n, signal, spectrum, FFTW_ESTIMATE);
            plan->inverse32 = fftwf_plan_dft_c2r_1d(n, spectrum, signal, FFTW_ESTIMATE);
            made = plan->forward32 && plan->inverse32;
        } else {
            plan->forward64 = fftw_plan_dft_r2c_1d(n, signal, spectrum, FFTW_ESTIMATE);
            plan->inverse64 = fftw_plan_dft_c2r_1d(n, spectrum, signal, FFTW_ESTIMATE);
            made = plan->forward64 && plan->inverse64;
        }
        if (!made)
            ls_fail(LS_RESOURCE, "FFTW makes no plan for a transform of %lld points", (long long)points);
    }
    ls_free(signal);
    ls_free(spectrum);
    if (made)
        return plan;
    free_plan(plan);
    return NULL;
}

const LsFft *ls_fft_plan(LsFftType type, int64_t points)
{
    pthread_mutex_lock(&plans_lock);
    LsFft *plan = plans;
    while (plan && (plan->type != type || plan->points != points))
        plan = plan->next;
    if (!plan && (plan = make_plan(type, points))) {
        plan->next = plans;
        plans = plan;
    }
    pthread_mutex_unlock(&plans_lock);
    return plan;
}

/* FFTW's r2c transforms leave their input as it is. */
void ls_fft_forward(const LsFft *plan, const void *signal, void *spectrum)
{
    if (plan->type == LS_FFT_FLOAT)
        fftwf_execute_dft_r2c(plan->forward32, (float *)(uintptr_t)signal, spectrum);
    else
        fftw_execute_dft_r2c(plan->forward64, (double *)(uintptr_t)signal, spectrum);
}

void ls_fft_inverse(const LsFft *plan, void *spectrum, void *signal)
{
    if (plan->type == LS_FFT_FLOAT)
        fftwf_execute_dft_c2r(plan->inverse32, spectrum, signal);
    else
        fftw_execute_dft_c2r(plan->inverse64, spectrum, signal);
}
