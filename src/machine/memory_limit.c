#include "machine/memory_limit.h"

#include "machine/cgroup.h"
#include "machine/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_LIMIT ((int64_t)1 << 60) /* version 1 writes a number near 2^63 */

int64_t ls_meminfo(const char *name)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[256], format[64];
    long long kibibytes = -1;
    snprintf(format, sizeof format, "%s: %%lld kB", name);
    while (file && fgets(line, sizeof line, file) && sscanf(line, format, &kibibytes) != 1)
        ;
    if (file)
        fclose(file);
    return kibibytes < 0 ? -1 : (int64_t)kibibytes * 1024;
}

int64_t ls_available_bytes(void) { return ls_meminfo("MemAvailable"); }

static double memory_of(const char *folder, int version)
{
    int64_t bytes = ls_system_number(folder, version == 2 ? "/memory.max" : "/memory.limit_in_bytes");
    return bytes > 0 && bytes < NO_LIMIT ? (double)bytes : 0; /* "max" is no number */
}

int64_t ls_cgroup_limit(const char *membership, const char *mount)
{
    return (int64_t)ls_cgroup_least(membership, mount, "memory", memory_of);
}

static int64_t mebibytes_of(const char *variable)
{
    const char *text = getenv(variable);
    long long value = text ? strtoll(text, NULL, 10) : 0;
    return value > 0 ? (int64_t)value << 20 : 0;
}

int64_t ls_slurm_limit(void)
{
    const char *cpus = getenv("SLURM_CPUS_ON_NODE");
    int64_t node = mebibytes_of("SLURM_MEM_PER_NODE"), each = mebibytes_of("SLURM_MEM_PER_CPU");
    return node > 0 ? node : each * (cpus ? strtoll(cpus, NULL, 10) : 0);
}

static int64_t lesser(int64_t a, int64_t b) { return b > 0 && (a == 0 || b < a) ? b : a; }

LsMemoryLimit ls_memory_limit(int64_t held)
{
    int64_t machine = ls_available_bytes(), group = ls_cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup"),
            job = ls_slurm_limit();
    LsMemoryLimit limit = {machine < 0 ? 0 : machine + held, "this machine has"};
    if (group > 0 && lesser(limit.bytes, group) == group)
        limit = (LsMemoryLimit){group, "the control group allows"};
    if (job > 0 && lesser(limit.bytes, job) == job)
        limit = (LsMemoryLimit){job, "the SLURM job has"};
    return limit;
}
