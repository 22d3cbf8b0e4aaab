/* The memory that there is to take: of the machine, of the control group that this process runs in, of the SLURM
 * job. */
#ifndef LS_MACHINE_MEMORY_LIMIT_H
#define LS_MACHINE_MEMORY_LIMIT_H

#include "lockstep/base.h"

/* Memory that this machine can still give without swapping, in bytes; -1 where the system does not tell. */
int64_t ls_available_bytes(void);

/* A line of /proc/meminfo in bytes, "MemTotal"; -1 where there is none. */
int64_t ls_meminfo(const char *name);

typedef struct LsMemoryLimit {
    int64_t bytes;      /* 0: nobody tells */
    const char *source; /* "this machine has", "the control group allows", "the SLURM job has": for messages */
} LsMemoryLimit;

/* Memory that the processes of this job may take together on this node: the least of the three limits. held: bytes that
 * they have already, which count in addition to the machine's available memory. */
LsMemoryLimit ls_memory_limit(int64_t held);

/* The least limit of a control group and those above it, in bytes; 0: none. membership: a file like /proc/self/cgroup;
 * mount: /sys/fs/cgroup (version 2, or version 1 with its folder "memory"). For ls_memory_limit, and tests. */
int64_t ls_cgroup_limit(const char *membership, const char *mount);

/* SLURM_MEM_PER_NODE, or SLURM_MEM_PER_CPU times SLURM_CPUS_ON_NODE; 0: not a job with such a limit. */
int64_t ls_slurm_limit(void);

#endif
