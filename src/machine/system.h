/* Small files in which the system describes itself: below /sys and /proc, or below a folder that stands in for "/". */
#ifndef LS_MACHINE_SYSTEM_H
#define LS_MACHINE_SYSTEM_H

#include "lockstep/base.h"

/* Processors by their numbers. */
#define LS_MAX_CPUS 4096
typedef struct LsCpus {
    uint64_t word[LS_MAX_CPUS / 64];
} LsCpus;

static inline bool ls_cpus_have(const LsCpus *cpus, int cpu)
{
    return cpu >= 0 && cpu < LS_MAX_CPUS && (cpus->word[cpu / 64] >> cpu % 64 & 1);
}
void ls_cpus_add(LsCpus *cpus, int cpu); /* nothing where the number is out of range */
int ls_cpus_count(const LsCpus *cpus);
int ls_cpus_next(const LsCpus *cpus, int after); /* the least that is above `after`, -1: none */

/* The root of the file system that describes the machine: "" or, for tests only, the folder that LOCKSTEP_SYSTEM
 * names. */
const char *ls_system_root(void);

/* The first line of root/path without its end; false and "" where there is none. The path is a printf. */
bool ls_system_line(char *line, int room, const char *root, const char *path, ...) LS_PRINTF(4, 5);

/* The number with which a file begins, -1 where there is none; "32K" and "2M" are bytes. */
int64_t ls_system_number(const char *root, const char *path, ...) LS_PRINTF(2, 3);

/* A list such as "0-3,8,10-11": false, and nothing in *cpus, where the file is missing or says something else. */
bool ls_system_list(LsCpus *cpus, const char *root, const char *path, ...) LS_PRINTF(3, 4);

/* Processors that this process may run on: its affinity mask; all that are online where `root` stands in for "/". */
void ls_system_allowed(LsCpus *cpus, const char *root);

#endif
