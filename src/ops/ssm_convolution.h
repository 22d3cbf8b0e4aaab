/* The diagonal state space as a convolution: y = K * u + D u with the kernel K_t = Re(sum w a^t), by transforms. Two
 * streams are the real and the imaginary part of one signal, since the kernel is real and the same for both: what comes
 * back is one's result beside the other's. */
#ifndef LS_OPS_SSM_CONVOLUTION_H
#define LS_OPS_SSM_CONVOLUTION_H

#include "ops/ssm_plan.h"

#include <omp.h>

/* Transform of the kernel of the column from `channel`: (points) pairs of vectors. */
static acc *kernel_of(const SsmPlan *p, const SsmScratch *s, int64_t channel)
{
    return s->kernel + 2 * p->points * channel;
}

/* The kernel is what the recurrence makes of a one at the first step. */
static void make_kernel(const SsmPlan *p, const SsmScratch *s, int64_t channel)
{
    SsmColumn k = column_of(p, s, channel);
    acc *to = kernel_of(p, s, channel), *x = s->x + channel;
    vacc u[SSM_CHUNK] = {ls_splat(1)}, y[SSM_CHUNK];
    for (int64_t n = 0; n < 2 * p->modes; n++)
        ls_store_acc(x + n * p->padded, (vacc){0});
    memset(to, 0, (size_t)(p->points * FFT_ELEMENT) * sizeof(acc));
    for (int64_t first = 0; first < p->steps; first += SSM_CHUNK, u[0] = (vacc){0}) {
        int64_t steps = p->steps - first < SSM_CHUNK ? p->steps - first : SSM_CHUNK;
        memset(y, 0, sizeof y);
        ssm_run(&k, steps, u, y, x);
        for (int64_t t = 0; t < steps; t++)
            ls_store_acc(to + (first + t) * FFT_ELEMENT, y[t]);
    }
    fft_forward(to, p->points, s->roots, 1);
}

static void make_kernels(const SsmPlan *p, const SsmScratch *s)
{
    fft_roots(s->roots, p->points);
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t column = 0; column < p->padded / LS_LANES; column++)
        make_kernel(p, s, column * LS_LANES);
}

/* A column of streams b and b + 1, where there is one, as a signal's parts; zeros behind them. */
static void load_signal(const SsmPlan *p, const real *x, int64_t b, int64_t channel, acc *to)
{
    int64_t lanes = p->channels - channel, stream = p->steps * p->channels;
    const real *row = x + b * stream + channel;
    bool two = b + 1 < p->streams;
    for (int64_t t = 0; t < p->steps; t++) {
        ls_store_acc(to + t * FFT_ELEMENT, ls_load_upto(row + t * p->channels, lanes));
        ls_store_acc(to + t * FFT_ELEMENT + LS_LANES,
                     two ? ls_load_upto(row + stream + t * p->channels, lanes) : (vacc){0});
    }
    memset(to + p->steps * FFT_ELEMENT, 0, (size_t)((p->points - p->steps) * FFT_ELEMENT) * sizeof(acc));
}

/* Part `part` of a signal over points, plus D times a row of `skipped`, into stream b. */
static void store_signal(const LsNode *node, const SsmPlan *p, const acc *from, int part, const real *skipped, real *to,
                         int64_t b, int64_t channel, bool add)
{
    int64_t lanes = p->channels - channel, at = b * p->steps * p->channels + channel;
    vacc skip = skip_of(node, channel, lanes);
    acc share = (acc)1 / (acc)p->points;
    for (int64_t t = 0; t < p->steps; t++, at += p->channels) {
        vacc y =
            ls_load_acc(from + t * FFT_ELEMENT + part * LS_LANES) * share + skip * ls_load_upto(skipped + at, lanes);
        ls_store_upto(to + at, add ? ls_load_upto(to + at, lanes) + y : y, lanes);
    }
}

static void convolve(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
    const real *u = node->in[U]->data;
    int64_t columns = divide_up(p->channels, LS_LANES), pairs = divide_up(p->streams, 2);
    make_kernels(p, s);
#pragma omp parallel for schedule(dynamic, 1) num_threads(signal_threads(node, p, s, false))
    for (int64_t i = 0; i < columns * pairs; i++) {
        int64_t channel = i % columns * LS_LANES, b = i / columns * 2;
        acc *x = s->signals + omp_get_thread_num() * signal_numbers(p, false);
        load_signal(p, u, b, channel, x);
        fft_forward(x, p->points, s->roots, 1);
        fft_multiply(x, x, kernel_of(p, s, channel), p->points, false);
        fft_inverse(x, p->points, s->roots, 1);
        for (int part = 0; part < 2 && b + part < p->streams; part++)
            store_signal(node, p, x, part, u, node->out[0]->data, b + part, channel, false);
    }
}

/* dL/du of a column, and its share of the parameters' sums. */
static void convolve_back_column(const LsNode *node, const SsmPlan *p, const SsmScratch *s, int64_t channel)
{
    const real *u = node->in[U]->data, *dy = node->out[0]->grad;
    acc *x = s->signals + omp_get_thread_num() * signal_numbers(p, true), *back = x + p->points * FFT_ELEMENT,
        *sum = back + p->points * FFT_ELEMENT, *skip = s->sums + 4 * p->modes * p->padded + channel;
    int64_t lanes = p->channels - channel;
    memset(sum, 0, (size_t)(p->points * FFT_ELEMENT) * sizeof(acc));
    vacc dskip = {0};
    for (int64_t b = 0; b < p->streams; b += 2) {
        load_signal(p, u, b, channel, x);
        load_signal(p, dy, b, channel, back);
        for (int64_t i = 0; i < p->steps * FFT_ELEMENT; i += LS_LANES)
            dskip += ls_load_acc(x + i) * ls_load_acc(back + i);
        fft_forward(x, p->points, s->roots, 1);
        fft_forward(back, p->points, s->roots, 1);
        fft_correlate(sum, x, back, p->points);
        if (!ls_wants(node, U))
            continue;
        fft_multiply(back, back, kernel_of(p, s, channel), p->points, true);
        fft_inverse(back, p->points, s->roots, 1);
        for (int part = 0; part < 2 && b + part < p->streams; part++)
            store_signal(node, p, back, part, dy, node->in[U]->grad, b + part, channel, ls_adds(node, U));
    }
    fft_inverse(sum, p->points, s->roots, 1);
    for (int64_t t = 0; t < p->steps; t++)
        ls_store_acc(sum + t * FFT_ELEMENT, ls_load_acc(sum + t * FFT_ELEMENT) * ((acc)1 / (acc)p->points));
    SsmColumn k = column_of(p, s, channel);
    ssm_kernel_back(&k, p->steps, sum, FFT_ELEMENT, s->sums + channel);
    ls_store_acc(skip, lanes > 0 ? dskip : (vacc){0});
}

static void convolve_back(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
    make_kernels(p, s);
    memset(s->sums, 0, (size_t)((4 * p->modes + 1) * p->padded) * sizeof(acc));
#pragma omp parallel for schedule(dynamic, 1) num_threads(signal_threads(node, p, s, true))
    for (int64_t column = 0; column < divide_up(p->channels, LS_LANES); column++)
        convolve_back_column(node, p, s, column * LS_LANES);
}

#endif
