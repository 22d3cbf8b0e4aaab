/* The discrete Fourier transform over time of a vector of channels: every lane is a signal of its own, so that butterflies
 * need no shuffles, and one source serves all instruction sets and both precisions. A signal is (n) pairs of vectors,
 * real and imaginary part, n a power of two.
 *
 * The forward transform leaves its numbers in bit-reversed order, the inverse takes them so: products of transforms,
 * which convolutions are made of, need no other. Nothing is allocated and nothing measured beforehand: the same bits on
 * every call. */
#ifndef LS_OPS_LANE_FFT_H
#define LS_OPS_LANE_FFT_H

#include "simd/vec.h"

/* Numbers of a signal's element in memory. */
#define FFT_ELEMENT (2 * LS_LANES)

/* roots: (n, 2), cos and sin of 2 pi j / n of the first n / 2, by the library in double. */
static inline void fft_roots(acc *roots, int64_t n)
{
#pragma omp parallel for schedule(static) if (n > 4096)
    for (int64_t j = 0; j < n / 2; j++) {
        double angle = 2 * M_PI * (double)j / (double)n;
        roots[2 * j] = (acc)cos(angle);
        roots[2 * j + 1] = (acc)sin(angle);
    }
}

/* (a, b) -> (a + b, (a - b) w), w = e^-i angle. */
LS_INLINE void fft_split(acc *a, acc *b, acc c, acc s)
{
    vacc ar = ls_load_acc(a), ai = ls_load_acc(a + LS_LANES), br = ls_load_acc(b), bi = ls_load_acc(b + LS_LANES);
    vacc dr = ar - br, di = ai - bi;
    ls_store_acc(a, ar + br);
    ls_store_acc(a + LS_LANES, ai + bi);
    ls_store_acc(b, dr * c + di * s);
    ls_store_acc(b + LS_LANES, di * c - dr * s);
}

/* (a, b) -> (a + b w', a - b w'), w' = e^i angle. */
LS_INLINE void fft_join(acc *a, acc *b, acc c, acc s)
{
    vacc ar = ls_load_acc(a), ai = ls_load_acc(a + LS_LANES), br = ls_load_acc(b), bi = ls_load_acc(b + LS_LANES);
    vacc tr = br * c - bi * s, ti = bi * c + br * s;
    ls_store_acc(a, ar + tr);
    ls_store_acc(a + LS_LANES, ai + ti);
    ls_store_acc(b, ar - tr);
    ls_store_acc(b + LS_LANES, ai - ti);
}

/* Signals longer than a cache holds are cut in halves until they fit: the halves of a split are transforms of their
 * own. */
#define FFT_NEAR ((int64_t)256)

static inline void fft_forward(acc *x, int64_t n, const acc *roots, int64_t step)
{
    for (int64_t half = n / 2; half >= 1; half /= 2, step *= 2) {
        for (int64_t base = 0; base < n; base += 2 * half)
            for (int64_t j = 0; j < half; j++)
                fft_split(x + (base + j) * FFT_ELEMENT, x + (base + j + half) * FFT_ELEMENT, roots[2 * j * step],
                          roots[2 * j * step + 1]);
        if (n > FFT_NEAR) { /* deeper, not wider */
            fft_forward(x, half, roots, 2 * step);
            fft_forward(x + half * FFT_ELEMENT, half, roots, 2 * step);
            return;
        }
    }
}

/* The inverse times n. */
static inline void fft_inverse(acc *x, int64_t n, const acc *roots, int64_t step)
{
    int64_t first = 1;
    if (n > FFT_NEAR) {
        fft_inverse(x, n / 2, roots, 2 * step);
        fft_inverse(x + n / 2 * FFT_ELEMENT, n / 2, roots, 2 * step);
        first = n / 2;
    }
    for (int64_t half = first; half < n; half *= 2) {
        int64_t stride = step * (n / 2 / half);
        for (int64_t base = 0; base < n; base += 2 * half)
            for (int64_t j = 0; j < half; j++)
                fft_join(x + (base + j) * FFT_ELEMENT, x + (base + j + half) * FFT_ELEMENT, roots[2 * j * stride],
                         roots[2 * j * stride + 1]);
    }
}

/* y_i = x_i w_i, or x_i conj(w_i). y may be x. */
LS_INLINE void fft_multiply(acc *y, const acc *x, const acc *w, int64_t n, bool conjugate)
{
    for (int64_t i = 0; i < n * FFT_ELEMENT; i += FFT_ELEMENT) {
        vacc xr = ls_load_acc(x + i), xi = ls_load_acc(x + i + LS_LANES);
        vacc wr = ls_load_acc(w + i), wi = ls_load_acc(w + i + LS_LANES);
        wi = conjugate ? -wi : wi;
        ls_store_acc(y + i, xr * wr - xi * wi);
        ls_store_acc(y + i + LS_LANES, xr * wi + xi * wr);
    }
}

/* sum_i += conj(x_i) y_i */
LS_INLINE void fft_correlate(acc *sum, const acc *x, const acc *y, int64_t n)
{
    for (int64_t i = 0; i < n * FFT_ELEMENT; i += FFT_ELEMENT) {
        vacc xr = ls_load_acc(x + i), xi = ls_load_acc(x + i + LS_LANES);
        vacc yr = ls_load_acc(y + i), yi = ls_load_acc(y + i + LS_LANES);
        ls_store_acc(sum + i, ls_load_acc(sum + i) + (xr * yr + xi * yi));
        ls_store_acc(sum + i + LS_LANES, ls_load_acc(sum + i + LS_LANES) + (xr * yi - xi * yr));
    }
}

#endif
