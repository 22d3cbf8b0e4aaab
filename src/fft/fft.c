#include "fft/fft.h"

#include "base/pieces.h"

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
    return points;
}

int64_t ls_fft_row(int64_t points)
{
    int64_t line = LS_ALIGN / (int64_t)sizeof(float);
    return ls_round_up(2 * points, line) + line;
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

/* FFTW_ESTIMATE: without measurements, which would choose differently from run to run. The row is looked at for its
 * alignment alone. */
static LsFft *make_plan(LsFftType type, int64_t points)
{
    LsFft *plan = ls_alloc(sizeof *plan);
    void *row = ls_alloc_array(ls_fft_row(points), type == LS_FFT_FLOAT ? sizeof(float) : sizeof(double));
    bool made = false;
    if (plan && row) {
        int n = (int)points;
        *plan = (LsFft){.type = type, .points = points};
        if (type == LS_FFT_FLOAT) {
            plan->forward32 = fftwf_plan_dft_1d(n, row, row, FFTW_FORWARD, FFTW_ESTIMATE);
            plan->inverse32 = fftwf_plan_dft_1d(n, row, row, FFTW_BACKWARD, FFTW_ESTIMATE);
            made = plan->forward32 && plan->inverse32;
        } else {
            plan->forward64 = fftw_plan_dft_1d(n, row, row, FFTW_FORWARD, FFTW_ESTIMATE);
            plan->inverse64 = fftw_plan_dft_1d(n, row, row, FFTW_BACKWARD, FFTW_ESTIMATE);
            made = plan->forward64 && plan->inverse64;
        }
        if (!made)
            ls_fail(LS_RESOURCE, "FFTW makes no plan for a transform of %lld points", (long long)points);
    }
    ls_free(row);
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

void ls_fft_forward(const LsFft *plan, void *row)
{
    if (plan->type == LS_FFT_FLOAT)
        fftwf_execute_dft(plan->forward32, row, row);
    else
        fftw_execute_dft(plan->forward64, row, row);
}

void ls_fft_inverse(const LsFft *plan, void *row)
{
    if (plan->type == LS_FFT_FLOAT)
        fftwf_execute_dft(plan->inverse32, row, row);
    else
        fftw_execute_dft(plan->inverse64, row, row);
}
