/* The diagonal state space as a convolution: y = K * u + D u with the kernel K_t = Re(sum w a^t), by Fourier transforms
 * (fft/fft.h). A column of LS_LANES channels is transposed, so that every channel's signal lies in a row of its own. */
#ifndef LS_OPS_SSM_CONVOLUTION_H
#define LS_OPS_SSM_CONVOLUTION_H

#include "ops/ssm_plan.h"
#include "ops/tile.h"

#include <omp.h>

/* Row of channel `lane` of a column. */
LS_INLINE acc *row_of(const SsmPlan *p, acc *column, int64_t lane) { return column + lane * p->row; }

/* The kernel's spectra of the column from `channel` on: (LS_LANES, row). */
static acc *kernel_of(const SsmPlan *p, const SsmScratch *s, int64_t channel) { return s->kernel + p->row * channel; }

/* LS_LANES steps of a column, one vector a step, to and from its rows at step t. */
LS_INLINE void store_steps(const SsmPlan *p, vacc steps[LS_LANE_COUNT], acc *column, int64_t t)
{
    ls_transpose(steps);
    for (int64_t lane = 0; lane < LS_LANES; lane++)
        ls_store_acc(row_of(p, column, lane) + t, steps[lane]);
}

LS_INLINE void load_steps(const SsmPlan *p, acc *column, int64_t t, vacc steps[LS_LANE_COUNT])
{
    for (int64_t lane = 0; lane < LS_LANES; lane++)
        steps[lane] = ls_load_acc(row_of(p, column, lane) + t);
    ls_transpose(steps);
}

/* Zeros from the last step on to the end of the transform. */
static void pad_rows(const SsmPlan *p, acc *column)
{
    for (int64_t lane = 0; lane < LS_LANES; lane++)
        memset(row_of(p, column, lane) + p->steps, 0, (size_t)(p->row - p->steps) * sizeof(acc));
}

/* The kernel is the recurrence's answer to a one at the first step. column: of a thread. */
static void make_kernel(const SsmPlan *p, const SsmScratch *s, int64_t channel, acc *column)
{
    SsmColumn k = column_of(p, s, channel);
    acc *x = s->x + channel;
    vacc u[SSM_CHUNK] = {ls_splat(1)}, y[SSM_CHUNK];
    for (int64_t n = 0; n < 2 * p->modes; n++)
        ls_store_acc(x + n * p->padded, (vacc){0});
    for (int64_t first = 0; first < p->steps; first += SSM_CHUNK, u[0] = (vacc){0}) {
        memset(y, 0, sizeof y);
        ssm_run(&k, SSM_CHUNK, u, y, x);
        for (int64_t t = 0; t < SSM_CHUNK && first + t < p->steps; t += LS_LANES)
            store_steps(p, y + t, column, first + t);
    }
    pad_rows(p, column);
    for (int64_t lane = 0; lane < LS_LANES && channel + lane < p->channels; lane++)
        ls_fft_forward(p->fft, row_of(p, column, lane), row_of(p, kernel_of(p, s, channel), lane));
}

/* The thread's columns of signals, and behind them its rows of spectra. */
static acc *signals_of(const SsmPlan *p, const SsmScratch *s, bool backward)
{
    return s->signals + omp_get_thread_num() * signal_numbers(p, backward);
}

static void make_kernels(const LsNode *node, const SsmPlan *p, const SsmScratch *s, bool backward)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(signal_threads(node, p, s, backward))
    for (int64_t channel = 0; channel < p->channels; channel += LS_LANES)
        make_kernel(p, s, channel, signals_of(p, s, backward));
}

/* A column of stream b of x: (B, T, E). */
static void load_column_rows(const SsmPlan *p, const real *x, int64_t b, int64_t channel, acc *column)
{
    int64_t lanes = p->channels - channel;
    const real *from = x + b * p->steps * p->channels + channel;
    for (int64_t t = 0; t < p->steps; t += LS_LANES) {
        vacc steps[LS_LANE_COUNT];
        for (int64_t i = 0; i < LS_LANES; i++)
            steps[i] = t + i < p->steps ? ls_load_upto(from + (t + i) * p->channels, lanes) : (vacc){0};
        store_steps(p, steps, column, t);
    }
    pad_rows(p, column);
}

/* A column over points, plus D times a row of `skipped`, into stream b. */
static void store_column_rows(const LsNode *node, const SsmPlan *p, acc *column, const real *skipped, real *to,
                              int64_t b, int64_t channel, bool add)
{
    int64_t lanes = p->channels - channel, at = b * p->steps * p->channels + channel;
    vacc skip = skip_of(node, channel, lanes);
    acc share = (acc)1 / (acc)p->points;
    for (int64_t t = 0; t < p->steps; t += LS_LANES) {
        vacc steps[LS_LANE_COUNT];
        load_steps(p, column, t, steps);
        for (int64_t i = 0; i < LS_LANES && t + i < p->steps; i++, at += p->channels) {
            vacc y = steps[i] * share + skip * ls_load_upto(skipped + at, lanes);
            ls_store_upto(to + at, add ? ls_load_upto(to + at, lanes) + y : y, lanes);
        }
    }
}

/* x_i = x_i w_i, or x_i conj(w_i): spectra of points / 2 + 1 numbers. */
static void multiply_spectrum(const SsmPlan *p, acc *restrict x, const acc *restrict w, bool conjugate)
{
    acc sign = conjugate ? -1 : 1;
    for (int64_t i = 0; i < p->row; i += 2) {
        acc re = x[i] * w[i] - sign * x[i + 1] * w[i + 1];
        x[i + 1] = x[i + 1] * w[i] + sign * x[i] * w[i + 1];
        x[i] = re;
    }
}

/* sum_i += conj(x_i) y_i */
static void add_correlation(const SsmPlan *p, acc *restrict sum, const acc *restrict x, const acc *restrict y)
{
    for (int64_t i = 0; i < p->row; i += 2) {
        sum[i] += x[i] * y[i] + x[i + 1] * y[i + 1];
        sum[i + 1] += x[i] * y[i + 1] - x[i + 1] * y[i];
    }
}

static void convolve(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
    const real *u = node->in[U]->data;
    int64_t columns = ls_ceil_div(p->channels, LS_LANES);
    make_kernels(node, p, s, false);
#pragma omp parallel for schedule(dynamic, 1) num_threads(signal_threads(node, p, s, false))
    for (int64_t i = 0; i < columns * p->streams; i++) {
        int64_t channel = i % columns * LS_LANES, b = i / columns;
        acc *x = signals_of(p, s, false), *spectrum = x + LS_LANES * p->row;
        load_column_rows(p, u, b, channel, x);
        for (int64_t lane = 0; lane < LS_LANES && channel + lane < p->channels; lane++) {
            ls_fft_forward(p->fft, row_of(p, x, lane), spectrum);
            multiply_spectrum(p, spectrum, row_of(p, kernel_of(p, s, channel), lane), false);
            ls_fft_inverse(p->fft, spectrum, row_of(p, x, lane));
        }
        store_column_rows(node, p, x, u, node->out[0]->data, b, channel, false);
    }
}

/* dL/dD of a column: the sum of u dL/dy over streams and steps. */
static vacc skip_gradient(const LsNode *node, const SsmPlan *p, int64_t channel)
{
    const real *u = (const real *)node->in[U]->data + channel, *dy = (const real *)node->out[0]->grad + channel;
    vacc sum = {0};
    for (int64_t i = 0; i < p->streams * p->steps; i++)
        sum += ls_load_upto(u + i * p->channels, p->channels - channel) *
               ls_load_upto(dy + i * p->channels, p->channels - channel);
    return sum;
}

/* dL/du of a column, and its share of the parameters' sums. */
static void convolve_back_column(const LsNode *node, const SsmPlan *p, const SsmScratch *s, int64_t channel)
{
    acc *x = signals_of(p, s, true), *back = x + LS_LANES * p->row, *sum = back + LS_LANES * p->row,
        *of_u = sum + LS_LANES * p->row, *of_dy = of_u + p->row, *kernel = kernel_of(p, s, channel);
    const real *dy = node->out[0]->grad;
    memset(sum, 0, (size_t)(p->row * LS_LANES) * sizeof(acc));
    for (int64_t b = 0; b < p->streams; b++) {
        load_column_rows(p, node->in[U]->data, b, channel, x);
        load_column_rows(p, dy, b, channel, back);
        for (int64_t lane = 0; lane < LS_LANES && channel + lane < p->channels; lane++) {
            ls_fft_forward(p->fft, row_of(p, x, lane), of_u);
            ls_fft_forward(p->fft, row_of(p, back, lane), of_dy);
            add_correlation(p, row_of(p, sum, lane), of_u, of_dy);
            if (!ls_wants(node, U))
                continue;
            multiply_spectrum(p, of_dy, row_of(p, kernel, lane), true);
            ls_fft_inverse(p->fft, of_dy, row_of(p, back, lane));
        }
        if (ls_wants(node, U))
            store_column_rows(node, p, back, dy, node->in[U]->grad, b, channel, ls_adds(node, U));
    }
    for (int64_t lane = 0; lane < LS_LANES; lane++)
        ls_fft_inverse(p->fft, row_of(p, sum, lane), row_of(p, back, lane));
    for (int64_t t = 0; t < p->steps; t += LS_LANES) { /* the kernel's gradient, a vector a step: into x */
        vacc steps[LS_LANE_COUNT];
        load_steps(p, back, t, steps);
        for (int64_t i = 0; i < LS_LANES; i++)
            ls_store_acc(x + (t + i) * LS_LANES, steps[i] * ((acc)1 / (acc)p->points));
    }
    SsmColumn k = column_of(p, s, channel);
    ssm_kernel_back(&k, p->steps, x, LS_LANES, s->sums + channel);
    ls_store_acc(s->sums + 4 * p->modes * p->padded + channel, skip_gradient(node, p, channel));
}

static void convolve_back(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
    make_kernels(node, p, s, true);
    memset(s->sums, 0, (size_t)((4 * p->modes + 1) * p->padded) * sizeof(acc));
#pragma omp parallel for schedule(dynamic, 1) num_threads(signal_threads(node, p, s, true))
    for (int64_t channel = 0; channel < p->channels; channel += LS_LANES)
        convolve_back_column(node, p, s, channel);
}

#endif
