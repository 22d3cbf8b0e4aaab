/* The number of threads of this process, and what works against them. */
#ifndef LS_MACHINE_THREADS_H
#define LS_MACHINE_THREADS_H

#include "machine/cores.h"

/* The number that OMP_NUM_THREADS begins with; 0 where it is unset or no number above 0. */
int ls_threads_asked(void);

/* LS_USAGE where OMP_NUM_THREADS asks for more threads than the OpenMP runtime could start: it would end the
 * process. */
LsStatus ls_threads_check(void) LS_MUST_USE;

/* Sets the threads of this process: as OMP_NUM_THREADS asks, else ls_cores_threads. */
void ls_threads_choose(const LsCores *cores, int sharing, int ranks);

/* Both, of a process that is the only rank: where MPI does not start. */
LsStatus ls_threads_alone(void) LS_MUST_USE;

/* The first OpenMP runtimes that are loaded into this process, as file names; how many there are. Each has threads of
 * its own, which compete for the cores. */
int ls_threads_runtimes(const char *name[], int most);

/* Circumstances that slow this process's threads down, a few lines at most. */
typedef struct LsFinding {
    const char *name;
    char found[192], cure[192];
} LsFinding;
typedef struct LsFindings {
    LsFinding list[4];
    int count;
} LsFindings;

/* Threads on the same core or on slow cores, beyond the quota, over several memory domains, of several runtimes.
 * threads: of this rank; sharing, ranks: as in ls_cores_threads. More threads than processors is the caller's to
 * tell. */
void ls_threads_findings(const LsCores *cores, int threads, int sharing, int ranks, LsFindings *findings);

#endif
