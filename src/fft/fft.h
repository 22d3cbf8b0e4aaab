/* Discrete Fourier transforms of real signals, by FFTW.
 *
 * A plan is made once for each length and kept to the end of the process, without measurements, so that every process
 * on a machine gets the same one: transforms of a signal are the same bits in any thread and after any resumption. */
#ifndef LS_FFT_FFT_H
#define LS_FFT_FFT_H

#include "lockstep/base.h"

typedef enum LsFftType { LS_FFT_FLOAT, LS_FFT_DOUBLE } LsFftType;

typedef struct LsFft LsFft;

/* The least length of at least `least` points for which transforms are fast: a power of two, or three times one. */
int64_t ls_fft_points(int64_t least);

/* Numbers of memory for a signal of so many points, or its spectrum of points / 2 + 1 complex numbers: a whole number
 * of cache lines, so that arrays which follow each other are all aligned. */
int64_t ls_fft_row(int64_t points);

/* The plan for signals of so many points. Only the first call for a length allocates. NULL with a message (LS_RESOURCE)
 * when out of memory. Thread-safe. */
const LsFft *ls_fft_plan(LsFftType type, int64_t points);

/* The spectrum of a signal: points numbers to points / 2 + 1 pairs of real and imaginary part; and the signal of a
 * spectrum, times points, which overwrites the spectrum. Both arrays have ls_fft_row(points) numbers, are aligned to
 * LS_ALIGN and do not overlap. On the calling thread; several threads may use a plan at once. */
void ls_fft_forward(const LsFft *plan, const void *signal, void *spectrum);
void ls_fft_inverse(const LsFft *plan, void *spectrum, void *signal);

#endif
