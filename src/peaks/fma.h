/* Multiplications and additions from registers alone: what the processor can do where memory is never in the way. */
#ifndef LS_PEAKS_FMA_H
#define LS_PEAKS_FMA_H

#include "lockstep/base.h"

/* 10^9 float multiplications and additions a second of ls_threads() threads together, at the instruction set in use:
 * fused multiply-adds of 256 bits (v3), 512 bits (v4 and above) or those of another architecture; multiplications and
 * additions of 128 bits at x86-64's baseline. The best of many tries of each thread, about a tenth of a second. */
double ls_fma_measure(void);

#endif
