#include "machine/caches.h"

#include "machine/system.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_L1D ((int64_t)32 << 10)
#define DEFAULT_L2 ((int64_t)512 << 10)
#define MOST_INDEXES 16

/* Cores among the processors that share a cache: those that are the first of their siblings. */
static int cores_of(const char *root, const LsCpus *cpus)
{
    int cores = 0;
    for (int cpu = ls_cpus_next(cpus, -1); cpu >= 0; cpu = ls_cpus_next(cpus, cpu)) {
        LsCpus siblings;
        bool known =
            ls_system_list(&siblings, root, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        cores += !known || ls_cpus_next(&siblings, -1) == cpu;
    }
    return cores < 1 ? 1 : cores;
}

static void read_sysfs(const char *root, int cpu, LsCaches *caches)
{
    for (int i = 0; i < MOST_INDEXES; i++) {
        char type[32];
        LsCpus sharing;
        int64_t level = ls_system_number(root, "/sys/devices/system/cpu/cpu%d/cache/index%d/level", cpu, i);
        int64_t bytes = ls_system_number(root, "/sys/devices/system/cpu/cpu%d/cache/index%d/size", cpu, i);
        if (level < 0)
            return;
        ls_system_line(type, sizeof type, root, "/sys/devices/system/cpu/cpu%d/cache/index%d/type", cpu, i);
        if (bytes <= 0 || strcmp(type, "Instruction") == 0)
            continue;
        ls_system_list(&sharing, root, "/sys/devices/system/cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, i);
        int cores = cores_of(root, &sharing);
        if (level == 1)
            caches->l1d = bytes / cores;
        else if (level == 2)
            caches->l2 = bytes / cores;
        else if (level == 3) {
            caches->l3 = bytes;
            caches->l3_cores = cores;
        }
    }
}

static int64_t configured(int name)
{
    long bytes = sysconf(name);
    return bytes > 0 ? (int64_t)bytes : 0;
}

void ls_caches_read(const char *root, int cpu, LsCaches *caches)
{
    *caches = (LsCaches){.l3_cores = 1};
    read_sysfs(root, cpu, caches);
    bool told = caches->l1d > 0 || caches->l2 > 0 || root[0];
    if (!told) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        *caches = (LsCaches){configured(_SC_LEVEL1_DCACHE_SIZE), configured(_SC_LEVEL2_CACHE_SIZE),
                             configured(_SC_LEVEL3_CACHE_SIZE), 1};
        if (caches->l3 > 0 && cores > 1)
            caches->l3_cores = (int)cores;
    }
    if (caches->l1d <= 0)
        caches->l1d = DEFAULT_L1D;
    if (caches->l2 <= 0)
        caches->l2 = caches->l1d > DEFAULT_L2 ? caches->l1d : DEFAULT_L2;
}

static LsCaches found;

static void find(void)
{
    LsCpus allowed;
    const char *root = ls_system_root();
    ls_system_allowed(&allowed, root);
    ls_caches_read(root, ls_cpus_next(&allowed, -1), &found);
}

const LsCaches *ls_caches(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find);
    return &found;
}
