/* What this machine can do at best, to hold measured speeds against: dense products in float, and memory.
 *
 * Measured once (about two seconds) and kept in $XDG_CACHE_HOME/lockstep/machine.json (else ~/.cache/lockstep/machine.json) under the
 * processor's model, the instruction set in use and the number of threads. A home that cannot be written to only means measuring again.
 */
#ifndef LS_IO_PEAK_H
#define LS_IO_PEAK_H

#include "lockstep/base.h"

typedef struct LsPeak {
    double gflops;    /* 10^9 float additions and multiplications a second, best of a few square products */
    double bandwidth; /* GB/s of the triad a = b + s c: 24 bytes an element, arrays larger than the caches */
} LsPeak;

/* Of this process with ls_threads() threads, from the file or measured now. 0, with a message, where a product fails or memory is out.
 * Not collective; ranks that measure at the same time share the machine as they do when they train. */
double ls_peak_gflops(void);
double ls_peak_bandwidth(void);

/* Measures now. The file keeps the better of this and what it has (another program may have run beside one of them), or this alone
 * with `forget`. *kept (may be NULL) gets what the file now says. */
LsStatus ls_peak_measure(bool forget, LsPeak *measured, LsPeak *kept) LS_MUST_USE;

/* The processor's model as the system names it; the file's path, NULL where there is no home. Both the library's. */
const char *ls_processor(void);
const char *ls_peak_path(void);

#endif
