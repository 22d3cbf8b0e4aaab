/* The cores that this process may use: threads of one core, fast and slow cores, memory domains, the time that control
 * groups allow. */
#ifndef LS_MACHINE_CORES_H
#define LS_MACHINE_CORES_H

#include "machine/system.h"

typedef struct LsCores {
    LsCpus allowed; /* processors in the affinity mask */
    int processors; /* how many */
    int cores;      /* cores that they belong to: the threads of a core (SMT) count once */
    int fast;       /* of these the fast ones of a hybrid processor; all where they are alike */
    int domains;    /* memory domains (NUMA) that the cores lie in */
    double quota;   /* processors' worth of time that control groups allow; 0: no limit */
} LsCores;

/* root: as in machine/system.h. */
void ls_cores_read(const char *root, LsCores *cores);

/* Threads of a rank by default: one a fast core, shared out among `sharing` ranks on the same cores, and no more than
 * the quota lets run, of which each of the node's `ranks` has its part. A part of a processor counts as one from three
 * quarters on: below that the threads lose more, standing still together at the end of each period, than one more
 * thread does. */
int ls_cores_threads(const LsCores *cores, int sharing, int ranks);

/* The processor's model as the system names it. The library's. */
const char *ls_processor(void);

#endif
