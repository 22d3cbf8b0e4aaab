/* The diagonal state space as a convolution: y = K * u + D u with the kernel K_t = Re(sum w a^t), by Fourier transforms
 * (fft/fft.h). Two streams are the real and the imaginary part of one signal, since the kernel is real and the same for
 * both: the real part of the result is one's, the imaginary part the other's. A column of LS_LANES channels is
 * transposed, so that every channel's signal lies in a row of its own. */
#ifndef LS_OPS_SSM_CONVOLUTION_H
#define LS_OPS_SSM_CONVOLUTION_H

#include "ops/complex_vec.h"
#include "ops/ssm_plan.h"

#include <omp.h>

/* Row of channel `lane` of a column. */
LS_INLINE acc *row_of(const SsmPlan *p, acc *column, int64_t lane) { return column + lane * p->row; }

/* The kernel's spectra of the column from `channel` on: (LS_LANES, row). */
static acc *kernel_of(const SsmPlan *p, const SsmScratch *s, int64_t channel) { return s->kernel + p->row * channel; }

/* LS_LANES steps of a column, one vector a step and part, to and from its rows at step t. */
LS_INLINE void store_steps(const SsmPlan *p, vacc real_part[LS_LANE_COUNT], vacc imaginary[LS_LANE_COUNT], acc *column,
                           int64_t t)
{
    ls_transpose(real_part);
    ls_transpose(imaginary);
    for (int64_t lane = 0; lane < LS_LANES; lane++) {
        acc *to = row_of(p, column, lane) + 2 * t;
        ls_store_acc(to, LS_ZIP_LOW(real_part[lane], imaginary[lane]));
        ls_store_acc(to + LS_LANES, LS_ZIP_HIGH(real_part[lane], imaginary[lane]));
    }
}

LS_INLINE void load_steps(const SsmPlan *p, acc *column, int64_t t, vacc real_part[LS_LANE_COUNT],
                          vacc imaginary[LS_LANE_COUNT])
{
    for (int64_t lane = 0; lane < LS_LANES; lane++) {
        const acc *from = row_of(p, column, lane) + 2 * t;
        vacc low = ls_load_acc(from), high = ls_load_acc(from + LS_LANES);
        real_part[lane] = LS_ALL_REAL(low, high);
        imaginary[lane] = LS_ALL_IMAGINARY(low, high);
    }
    ls_transpose(real_part);
    ls_transpose(imaginary);
}

/* Zeros from the last step on to the rows' end. */
static void pad_rows(const SsmPlan *p, acc *column)
{
    for (int64_t lane = 0; lane < LS_LANES; lane++)
        memset(row_of(p, column, lane) + 2 * p->steps, 0, (size_t)(p->row - 2 * p->steps) * sizeof(acc));
}

/* The kernel is the recurrence's answer to a one at the first step. */
static void make_kernel(const SsmPlan *p, const SsmScratch *s, int64_t channel)
{
    SsmColumn k = column_of(p, s, channel);
    acc *column = kernel_of(p, s, channel), *x = s->x + channel;
    vacc u[SSM_CHUNK] = {ls_splat(1)}, y[SSM_CHUNK];
    for (int64_t n = 0; n < 2 * p->modes; n++)
        ls_store_acc(x + n * p->padded, (vacc){0});
    for (int64_t first = 0; first < p->steps; first += SSM_CHUNK, u[0] = (vacc){0}) {
        memset(y, 0, sizeof y);
        ssm_run(&k, SSM_CHUNK, u, y, x);
        for (int64_t t = 0; t < SSM_CHUNK && first + t < p->steps; t += LS_LANES)
            store_steps(p, y + t, (vacc[LS_LANE_COUNT]){{0}}, column, first + t);
    }
    pad_rows(p, column);
    for (int64_t lane = 0; lane < LS_LANES && channel + lane < p->channels; lane++)
        ls_fft_forward(p->fft, row_of(p, column, lane));
}

static void make_kernels(const SsmPlan *p, const SsmScratch *s)
{
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t channel = 0; channel < p->channels; channel += LS_LANES)
        make_kernel(p, s, channel);
}

/* A column of streams b and b + 1, where there is one, of x: (B, T, E). */
static void load_streams(const SsmPlan *p, const real *x, int64_t b, int64_t channel, acc *column)
{
    int64_t lanes = p->channels - channel, stream = p->steps * p->channels;
    const real *from = x + b * stream + channel;
    bool two = b + 1 < p->streams;
    for (int64_t t = 0; t < p->steps; t += LS_LANES) {
        vacc one[LS_LANE_COUNT], other[LS_LANE_COUNT];
        for (int64_t i = 0; i < LS_LANES; i++) {
            const real *row = from + (t + i) * p->channels;
            one[i] = t + i < p->steps ? ls_load_upto(row, lanes) : (vacc){0};
            other[i] = two && t + i < p->steps ? ls_load_upto(row + stream, lanes) : (vacc){0};
        }
        store_steps(p, one, other, column, t);
    }
    pad_rows(p, column);
}

/* One vector of a result over points, plus D times one of `skipped`. */
LS_INLINE void store_one(const SsmPlan *p, vacc y, vacc skip, const real *skipped, real *to, int64_t lanes, bool add)
{
    y = y * ((acc)1 / (acc)p->points) + skip * ls_load_upto(skipped, lanes);
    ls_store_upto(to, add ? ls_load_upto(to, lanes) + y : y, lanes);
}

/* The column's results, plus D times `skipped`: (B, T, E), into streams b and b + 1. */
static void store_streams(const LsNode *node, const SsmPlan *p, acc *column, const real *skipped, real *to, int64_t b,
                          int64_t channel, bool add)
{
    int64_t lanes = p->channels - channel, stream = p->steps * p->channels, at = b * stream + channel;
    vacc skip = skip_of(node, channel, lanes);
    bool two = b + 1 < p->streams;
    for (int64_t t = 0; t < p->steps; t += LS_LANES) {
        vacc one[LS_LANE_COUNT], other[LS_LANE_COUNT];
        load_steps(p, column, t, one, other);
        for (int64_t i = 0; i < LS_LANES && t + i < p->steps; i++, at += p->channels) {
            store_one(p, one[i], skip, skipped + at, to + at, lanes, add);
            if (two)
                store_one(p, other[i], skip, skipped + at + stream, to + at + stream, lanes, add);
        }
    }
}

/* x_i = x_i w_i, or x_i conj(w_i): spectra in rows of whole vectors. */
LS_INLINE void multiply_spectrum(const SsmPlan *p, acc *x, const acc *w, bool conjugate)
{
    for (int64_t i = 0; i < p->row; i += LS_LANES)
        ls_store_acc(x + i, ls_complex_product(ls_load_acc(x + i), ls_load_acc(w + i), conjugate));
}

/* sum_i += conj(x_i) y_i */
LS_INLINE void add_correlation(const SsmPlan *p, acc *sum, const acc *x, const acc *y)
{
    for (int64_t i = 0; i < p->row; i += LS_LANES)
        ls_store_acc(sum + i, ls_load_acc(sum + i) + ls_complex_product(ls_load_acc(y + i), ls_load_acc(x + i), true));
}

static void convolve(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
    const real *u = node->in[U]->data;
    int64_t columns = ls_ceil_div(p->channels, LS_LANES), pairs = ls_ceil_div(p->streams, 2);
    make_kernels(p, s);
#pragma omp parallel for schedule(dynamic, 1) num_threads(signal_threads(node, p, s, false))
    for (int64_t i = 0; i < columns * pairs; i++) {
        int64_t channel = i % columns * LS_LANES, b = i / columns * 2;
        acc *x = s->signals + omp_get_thread_num() * signal_numbers(p, false);
        load_streams(p, u, b, channel, x);
        for (int64_t lane = 0; lane < LS_LANES && channel + lane < p->channels; lane++) {
            ls_fft_forward(p->fft, row_of(p, x, lane));
            multiply_spectrum(p, row_of(p, x, lane), row_of(p, kernel_of(p, s, channel), lane), false);
            ls_fft_inverse(p->fft, row_of(p, x, lane));
        }
        store_streams(node, p, x, u, node->out[0]->data, b, channel, false);
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

/* dL/dK of a column from the sum of all correlations' spectra: a vector a step. The real part holds both streams'. */
static void kernel_gradient(const SsmPlan *p, acc *sum, acc *to)
{
    for (int64_t lane = 0; lane < LS_LANES; lane++)
        ls_fft_inverse(p->fft, row_of(p, sum, lane));
    for (int64_t t = 0; t < p->steps; t += LS_LANES) {
        vacc one[LS_LANE_COUNT], other[LS_LANE_COUNT];
        load_steps(p, sum, t, one, other);
        for (int64_t i = 0; i < LS_LANES; i++)
            ls_store_acc(to + (t + i) * LS_LANES, one[i] * ((acc)1 / (acc)p->points));
    }
}

/* dL/du of a column, and its share of the parameters' sums. */
static void convolve_back_column(const LsNode *node, const SsmPlan *p, const SsmScratch *s, int64_t channel)
{
    acc *x = s->signals + omp_get_thread_num() * signal_numbers(p, true), *back = x + LS_LANES * p->row,
        *sum = back + LS_LANES * p->row, *kernel = kernel_of(p, s, channel);
    const real *dy = node->out[0]->grad;
    memset(sum, 0, (size_t)(LS_LANES * p->row) * sizeof(acc));
    for (int64_t b = 0; b < p->streams; b += 2) {
        load_streams(p, node->in[U]->data, b, channel, x);
        load_streams(p, dy, b, channel, back);
        for (int64_t lane = 0; lane < LS_LANES && channel + lane < p->channels; lane++) {
            acc *of_u = row_of(p, x, lane), *of_dy = row_of(p, back, lane);
            ls_fft_forward(p->fft, of_u);
            ls_fft_forward(p->fft, of_dy);
            add_correlation(p, row_of(p, sum, lane), of_u, of_dy);
            if (!ls_wants(node, U))
                continue;
            multiply_spectrum(p, of_dy, row_of(p, kernel, lane), true);
            ls_fft_inverse(p->fft, of_dy);
        }
        if (ls_wants(node, U))
            store_streams(node, p, back, dy, node->in[U]->grad, b, channel, ls_adds(node, U));
    }
    kernel_gradient(p, sum, x);
    SsmColumn k = column_of(p, s, channel);
    ssm_kernel_back(&k, p->steps, x, LS_LANES, s->sums + channel);
    ls_store_acc(s->sums + 4 * p->modes * p->padded + channel, skip_gradient(node, p, channel));
}

static void convolve_back(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
    make_kernels(p, s);
    memset(s->sums, 0, (size_t)((4 * p->modes + 1) * p->padded) * sizeof(acc));
#pragma omp parallel for schedule(dynamic, 1) num_threads(signal_threads(node, p, s, true))
    for (int64_t channel = 0; channel < p->channels; channel += LS_LANES)
        convolve_back_column(node, p, s, channel);
}

#endif
