/* The foundation of all layers: memory, logging, counter-based random numbers, threads, instruction sets. */
#ifndef LOCKSTEP_BASE_H
#define LOCKSTEP_BASE_H

#include "lockstep/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LS_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Memory ------------------------------------------------------------------------------------------------- */

/* Every block starts on its own cache line and is a whole number of them, so vector loads never straddle. */
#define LS_ALIGN 64

/* `bytes` of zeroed memory aligned to LS_ALIGN. Returns NULL and leaves a message (LS_RESOURCE) when there is none.
 * The caller frees it with ls_free. Zero bytes give a valid, distinct pointer. */
void *ls_alloc(size_t bytes);

/* `count` zeroed elements of `size` bytes; as ls_alloc, and fails on overflow of the product. */
void *ls_alloc_array(int64_t count, size_t size);

/* Frees what ls_alloc, ls_alloc_array, ls_strdup or ls_format gave. NULL is allowed. */
void ls_free(void *block);

/* A copy of `text`, and a printf into new memory. The caller frees with ls_free. NULL with a message when out of
 * memory. */
char *ls_strdup(const char *text);
char *ls_format(const char *format, ...) LS_PRINTF(1, 2);

/* How many blocks were ever allocated by this process: tests compare the counts before and after a training step. */
int64_t ls_alloc_count(void);

/* Resident set of this process now, and its peak so far, in bytes (0 where the system does not tell). */
int64_t ls_resident_bytes(void);
int64_t ls_peak_resident_bytes(void);

/* ---- Log ---------------------------------------------------------------------------------------------------- */

/* One line to stderr (and to the run's log.txt once ls_log_open was called). Only rank 0 talks: other ranks are
 * muted by ls_log_mute, errors excepted. */
void ls_log(const char *format, ...) LS_PRINTF(1, 2);
void ls_warn(const char *format, ...) LS_PRINTF(1, 2);
void ls_log_error(const char *format, ...) LS_PRINTF(1, 2);
void ls_log_mute(bool muted);
LsStatus ls_log_open(const char *path) LS_MUST_USE;
void ls_log_close(void);

/* Seconds on the monotonic clock, from an arbitrary origin. */
double ls_seconds(void);

/* ---- Random numbers ------------------------------------------------------------------------------------------ */

/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): a block of four
 * 32-bit words is a function of (key, counter), so a value never depends on what was drawn before it. */
void ls_philox(uint64_t key, uint64_t counter_high, uint64_t counter_low, uint32_t out[4]);

/* The key of a named stream: what is drawn for "layer.3.in_w" does not depend on order of construction. */
uint64_t ls_key(uint64_t seed, const char *name);

/* Element `index` of stream `key` at `counter`: uniform in [0,1) with 24 bits, and standard normal. */
float ls_uniform_at(uint64_t key, uint64_t counter, uint64_t index);
float ls_normal_at(uint64_t key, uint64_t counter, uint64_t index);

/* A bijection of 0..count-1 onto itself that is a function of key: where element `index` of a shuffled epoch stands.
 * A Feistel network over Philox with cycle walking; no table. */
int64_t ls_permute(uint64_t key, int64_t count, int64_t index);

/* ---- Threads ------------------------------------------------------------------------------------------------- */

/* Threads that parallel regions of this rank use: OMP_NUM_THREADS, else the cores of the affinity mask. */
int ls_threads(void);
void ls_set_threads(int threads);

/* Cores this process may run on. */
int ls_affinity_cores(void);

/* Reductions are summed over this many chunks, in order, whatever the number of threads: the same bits for any.
 * 64 is a multiple of most core counts of a socket's share and small enough for the partial sums to stay cached. */
#define LS_REDUCE_CHUNKS 64

/* ---- Instruction sets ---------------------------------------------------------------------------------------- */

typedef enum LsIsa {
    LS_ISA_BASELINE, /* x86-64-v2, or the baseline of another architecture */
    LS_ISA_V3,       /* AVX2, FMA */
    LS_ISA_V4,       /* AVX-512 F, BW, CD, DQ, VL */
    LS_ISA_V4_BF16,  /* the same with AVX512_BF16 */
    LS_ISA_V4_AMX,   /* the same with AMX tiles of bfloat16, which the operating system has granted */
    LS_ISA_LEVELS
} LsIsa;

/* The best level that processor and operating system support, or the lower one that LOCKSTEP_ISA names ("baseline",
 * "v3", "v4", "v4_bf16", "v4_amx"). A name that is unknown or above what the machine has is an error of use. */
LsStatus ls_isa_choose(LsIsa *isa) LS_MUST_USE;
/* The last result of ls_isa_choose, which is called where that has not happened yet; the baseline after a wrong name.
 * Cheap enough to be asked at every product. */
LsIsa ls_isa(void);
const char *ls_isa_name(LsIsa isa);

#endif
