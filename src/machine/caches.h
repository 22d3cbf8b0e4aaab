/* The data caches of a core, by which products choose their blocks. */
#ifndef LS_MACHINE_CACHES_H
#define LS_MACHINE_CACHES_H

#include "lockstep/base.h"

typedef struct LsCaches {
    int64_t l1d; /* bytes of a core */
    int64_t l2;  /* bytes of a core: its share where several cores have one together */
    /* bytes of the last level; 0: this processor has none. A virtual machine may name those of the whole socket */
    int64_t l3;
    int l3_cores; /* cores that share these; 1 where there is none */
} LsCaches;

/* Of the first core that this process may use: from sysfs, else sysconf, else 32 KiB, 512 KiB and none. Read once; any
 * thread may ask. */
const LsCaches *ls_caches(void);

/* Of processor `cpu` as a tree like /sys below `root` has it ("" for the machine's own): for ls_caches, and tests. */
void ls_caches_read(const char *root, int cpu, LsCaches *caches);

#endif
