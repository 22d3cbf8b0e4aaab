/* Discrete Fourier transforms of complex signals, by FFTW.
 *
 * A plan is made once for each length and kept to the end of the process, without measurements, so that every process
 * on a machine gets the same one: transforms of a signal are the same bits in any thread and after any resumption. */
#ifndef LS_FFT_FFT_H
#define LS_FFT_FFT_H

#include "lockstep/base.h"

typedef enum LsFftType { LS_FFT_FLOAT, LS_FFT_DOUBLE } LsFftType;

typedef struct LsFft LsFft;

/* The least power of two that is at least `least`: the lengths for which FFTW is fastest. */
int64_t ls_fft_points(int64_t least);

/* Numbers of memory for a signal of so many points, each a real and an imaginary part: a whole number of cache lines,
 * one more than it takes, so that rows which follow each other are aligned and do not compete for the same lines of a
 * cache. */
int64_t ls_fft_row(int64_t points);

/* The plan for signals of so many points. Only the first call for a length allocates. NULL with a message (LS_RESOURCE)
 * when out of memory. Thread-safe. */
const LsFft *ls_fft_plan(LsFftType type, int64_t points);

/* In place: x_k becomes sum_t x_t e^(-2 pi i k t / points); the inverse, with e^(+...), gives points times the signal.
 * row: aligned to LS_ALIGN. On the calling thread; several threads may use a plan at once. */
void ls_fft_forward(const LsFft *plan, void *row);
void ls_fft_inverse(const LsFft *plan, void *row);

#endif
