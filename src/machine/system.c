#include "machine/system.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ls_cpus_add(LsCpus *cpus, int cpu)
{
    if (cpu >= 0 && cpu < LS_MAX_CPUS)
        cpus->word[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

int ls_cpus_count(const LsCpus *cpus)
{
    int count = 0;
    for (size_t i = 0; i < LS_COUNT_OF(cpus->word); i++)
        count += __builtin_popcountll(cpus->word[i]);
    return count;
}

int ls_cpus_next(const LsCpus *cpus, int after)
{
    for (int cpu = after + 1; cpu < LS_MAX_CPUS; cpu++)
        if (ls_cpus_have(cpus, cpu))
            return cpu;
    return -1;
}

const char *ls_system_root(void)
{
    const char *root = getenv("LOCKSTEP_SYSTEM");
    return root ? root : "";
}

static bool read_line(char *line, int room, const char *root, const char *path, va_list arguments)
{
    char full[4096];
    int used = snprintf(full, sizeof full, "%s", root);
    line[0] = '\0';
    if (used < 0 || (size_t)used >= sizeof full)
        return false;
    int length = vsnprintf(full + used, sizeof full - (size_t)used, path, arguments);
    if (length < 0 || (size_t)(used + length) >= sizeof full)
        return false;
    FILE *file = fopen(full, "re");
    bool found = file && fgets(line, room, file);
    if (file)
        fclose(file);
    if (!found)
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return found;
}

bool ls_system_line(char *line, int room, const char *root, const char *path, ...)
{
    va_list arguments;
    va_start(arguments, path);
    bool found = read_line(line, room, root, path, arguments);
    va_end(arguments);
    return found;
}

int64_t ls_system_number(const char *root, const char *path, ...)
{
    char line[128], *end;
    va_list arguments;
    va_start(arguments, path);
    bool found = read_line(line, sizeof line, root, path, arguments);
    va_end(arguments);
    long long value = strtoll(line, &end, 10);
    if (!found || end == line || value < 0)
        return -1;
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    return value > INT64_MAX >> shift ? INT64_MAX : (int64_t)value << shift;
}

static bool parse_list(LsCpus *cpus, const char *text)
{
    memset(cpus, 0, sizeof *cpus);
    for (;;) {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (end == text || first < 0)
            return false;
        if (*end == '-') {
            text = end + 1;
            last = strtol(text, &end, 10);
            if (end == text || last < first)
                return false;
        }
        for (long cpu = first; cpu <= last && cpu < LS_MAX_CPUS; cpu++)
            ls_cpus_add(cpus, (int)cpu);
        if (*end != ',')
            return *end == '\0';
        text = end + 1;
    }
}

bool ls_system_list(LsCpus *cpus, const char *root, const char *path, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, path);
    bool found = read_line(line, sizeof line, root, path, arguments);
    va_end(arguments);
    if (found && parse_list(cpus, line))
        return true;
    memset(cpus, 0, sizeof *cpus);
    return false;
}

void ls_system_allowed(LsCpus *cpus, const char *root)
{
    if (root[0] && ls_system_list(cpus, root, "/sys/devices/system/cpu/online"))
        return;
    memset(cpus, 0, sizeof *cpus);
    size_t bytes = CPU_ALLOC_SIZE(LS_MAX_CPUS);
    cpu_set_t *mask = CPU_ALLOC(LS_MAX_CPUS);
    if (mask && sched_getaffinity(0, bytes, mask) == 0)
        for (int cpu = 0; cpu < LS_MAX_CPUS; cpu++)
            if (CPU_ISSET_S((size_t)cpu, bytes, mask))
                ls_cpus_add(cpus, cpu);
    CPU_FREE(mask);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (ls_cpus_count(cpus) == 0)
        for (int cpu = 0; cpu < (online < 1 ? 1 : online); cpu++)
            ls_cpus_add(cpus, cpu);
}
