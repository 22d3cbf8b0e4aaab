#include "machine/cores.h"

#include "machine/cgroup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of the fastest core's capacity; what is below is a slow core. Capacities of the cores of one kind differ by their
 * clocks. */
#define FAST_CAPACITY 0.6
#define MOST_DOMAINS 1024
#define QUOTA_PART 0.75

/* The processor is the first allowed one of its core. */
static bool leads_core(const char *root, const LsCpus *allowed, int cpu)
{
    LsCpus siblings;
    if (!ls_system_list(&siblings, root, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu) ||
        !ls_cpus_have(&siblings, cpu))
        return true;
    for (int other = ls_cpus_next(&siblings, -1); other < cpu; other = ls_cpus_next(&siblings, other))
        if (ls_cpus_have(allowed, other))
            return false;
    return true;
}

/* How fast each processor's core is against the others: by Intel's lists of fast and slow ones, else by the capacities
 * that Arm's systems tell; 1 for all where nobody tells. */
static double speed_of(const char *root, const LsCpus *slow, int cpu)
{
    if (ls_cpus_count(slow) > 0)
        return ls_cpus_have(slow, cpu) ? 0.5 : 1;
    int64_t capacity = ls_system_number(root, "/sys/devices/system/cpu/cpu%d/cpu_capacity", cpu);
    return capacity > 0 ? (double)capacity : 1;
}

static int count_domains(const char *root, const LsCpus *allowed)
{
    LsCpus nodes, own;
    int domains = 0;
    if (!ls_system_list(&nodes, root, "/sys/devices/system/node/online"))
        return 1;
    for (int node = ls_cpus_next(&nodes, -1); node >= 0 && node < MOST_DOMAINS; node = ls_cpus_next(&nodes, node)) {
        bool used = false;
        if (ls_system_list(&own, root, "/sys/devices/system/node/node%d/cpulist", node))
            for (size_t i = 0; i < LS_COUNT_OF(own.word); i++)
                used |= (own.word[i] & allowed->word[i]) != 0;
        domains += used;
    }
    return domains < 1 ? 1 : domains;
}

void ls_cores_read(const char *root, LsCores *cores)
{
    LsCpus slow;
    double most = 0;
    *cores = (LsCores){0};
    ls_system_allowed(&cores->allowed, root);
    ls_system_list(&slow, root, "/sys/devices/cpu_atom/cpus");
    const LsCpus *allowed = &cores->allowed;
    cores->processors = ls_cpus_count(allowed);
    for (int cpu = ls_cpus_next(allowed, -1); cpu >= 0; cpu = ls_cpus_next(allowed, cpu))
        most = fmax(most, speed_of(root, &slow, cpu));
    for (int cpu = ls_cpus_next(allowed, -1); cpu >= 0; cpu = ls_cpus_next(allowed, cpu)) {
        if (!leads_core(root, allowed, cpu))
            continue;
        cores->cores++;
        cores->fast += speed_of(root, &slow, cpu) >= FAST_CAPACITY * most;
    }
    cores->domains = count_domains(root, allowed);
    cores->quota = ls_cgroup_processors(root);
}

int ls_cores_threads(const LsCores *cores, int sharing, int ranks)
{
    int threads = cores->fast / (sharing < 1 ? 1 : sharing);
    double quota = cores->quota / (ranks < 1 ? 1 : ranks);
    if (quota > 0 && quota < threads)
        threads = (int)floor(quota + 1 - QUOTA_PART);
    return threads < 1 ? 1 : threads;
}

const char *ls_processor(void)
{
    static char name[128];
    if (name[0])
        return name;
    snprintf(name, sizeof name, "unknown processor");
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!value || (strncmp(line, "model name", 10) != 0 && strncmp(line, "Processor", 9) != 0))
            continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        snprintf(name, sizeof name, "%.120s", value);
        break;
    }
    if (file)
        fclose(file);
    return name;
}
