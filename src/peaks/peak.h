/* This machine's peak speeds, with which measured speeds are compared: dense products in float and bfloat16,
 * multiply-adds without memory, and memory.
 *
 * Measured once (products in half a second, all in a little more than one) and kept in the machine's file
 * (peaks/kept.h) under the processor's model, the instruction set in use and the number of threads. Figures measured
 * while something else took the processor are measured again after ten minutes, the better of both is kept; figures
 * older than a month give way to new ones. A faster product than the kept figure, wherever it is seen, raises it.
 */
#ifndef LS_PEAKS_PEAK_H
#define LS_PEAKS_PEAK_H

#include "peaks/kept.h"

typedef struct LsPeak {
    /* 10^9 additions and multiplications a second of float products, best of some square ones */
    double gflops;
    double gflops_bfloat16; /* the same of bfloat16 products with float sums */
    double gflops_fma;      /* the same of multiply-adds in registers alone, in float (peaks/fma.h) */
    /* GB/s of the triad a = b + s c: 24 bytes an element, arrays larger than the caches, a written past them or not */
    double bandwidth;
    double reading; /* GB/s of the sum of such an array: no writes, which go on beside the reads */
} LsPeak;

typedef enum LsPeakParts {
    LS_PEAK_PRODUCTS, /* all but memory's: bandwidth and reading may be 0 */
    LS_PEAK_ALL
} LsPeakParts;

/* Of this process with ls_threads() threads, from the file or measured now, in `room` bytes: matrices are smaller where
 * there is little, and memory's figures stay 0 where there is no room for arrays larger than the caches. LS_ERROR or
 * LS_RESOURCE where a product fails or memory is out. Not collective; ranks that measure at the same time share the
 * machine as they do when they train. */
LsStatus ls_peak(LsPeakParts parts, int64_t room, LsPeak *peak) LS_MUST_USE;

/* Measures now. The file keeps the better of this and what it has (another program may have run beside one of them), or
 * this alone with `forget`. *kept (may be NULL) gets what the file now says. */
LsStatus ls_peak_measure(LsPeakParts parts, int64_t room, bool forget, LsPeak *measured, LsPeak *kept) LS_MUST_USE;

/* Speeds that were reached by this process: kept figures below them are raised. Zeros say nothing. */
void ls_peak_raise(const LsPeak *seen);

#endif
