#include "io/memory_limit.h"

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

/* The number in a file; 0 where there is none ("max"), no file, or no limit. */
static int64_t number_in(const char *path)
{
    long long value = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%lld", &value) != 1)
        value = 0;
    fclose(file);
    return value > 0 && value < NO_LIMIT ? (int64_t)value : 0;
}

static int64_t lesser(int64_t a, int64_t b)
{
    return b > 0 && (a == 0 || b < a) ? b : a;
}

/* group: "/a/b", whose parents are "/a" and "/". A container may see its own group as "/" alone. */
static int64_t least_upwards(const char *mount, const char *group, const char *file)
{
    char path[4096], at[2048];
    int64_t least = 0;
    snprintf(at, sizeof at, "%s", strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        snprintf(path, sizeof path, "%s%s/%s", mount, at, file);
        least = lesser(least, number_in(path));
        char *last = strrchr(at, '/');
        if (!last)
            return least;
        *last = '\0';
    }
}

int64_t ls_cgroup_limit(const char *membership, const char *mount)
{
    char line[2048], memory[2048];
    int64_t least = 0;
    FILE *file = fopen(membership, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        snprintf(memory, sizeof memory, "%.1500s/memory", mount);
        if (strcmp(controllers + 1, "memory") == 0)
            least = lesser(least, least_upwards(memory, group, "memory.limit_in_bytes"));
        else if (controllers[1] == '\0')
            least = lesser(least, least_upwards(mount, group, "memory.max"));
    }
    if (file)
        fclose(file);
    return least;
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
