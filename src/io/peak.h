/* What this machine can do at best, to hold measured speeds against: dense products in float and bfloat16, and memory.
 *
 * Measured once (about two seconds) and kept in the machine's file (io/machine.h) under the processor's model, the
 * instruction set in use and the number of threads. Figures measured while something else took the processor are
 * measured again after ten minutes, the better of both is kept; figures older than a month give way to new ones. A
 * faster product than the kept figure, wherever it is seen, raises it.
 */
#ifndef LS_IO_PEAK_H
#define LS_IO_PEAK_H

#include "io/machine.h"

typedef struct LsPeak {
    double gflops;          /* 10^9 additions and multiplications a second of float products, best of some square ones */
    double gflops_bfloat16; /* the same of bfloat16 products with float sums */
    double bandwidth;       /* GB/s of the triad a = b + s c: 24 bytes an element, arrays larger than the caches, a written past them or not */
    double reading;         /* GB/s of the sum of such an array: no writes, which go on beside the reads */
} LsPeak;

/* Of this process with ls_threads() threads, from the file or measured now. LS_ERROR or LS_RESOURCE where a product
 * fails or memory is out. Not collective; ranks that measure at the same time share the machine as they do when they
 * train. */
LsStatus ls_peak(LsPeak *peak) LS_MUST_USE;

/* Measures now. The file keeps the better of this and what it has (another program may have run beside one of them), or
 * this alone with `forget`. *kept (may be NULL) gets what the file now says. */
LsStatus ls_peak_measure(bool forget, LsPeak *measured, LsPeak *kept) LS_MUST_USE;

/* Speeds that were reached by this process: kept figures below them are raised. Zeros say nothing. */
void ls_peak_raise(const LsPeak *seen);

#endif
