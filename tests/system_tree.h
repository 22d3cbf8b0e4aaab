/* Made-up machines: files as /sys and /proc have them, below the test's own folder. */
#ifndef SYSTEM_TREE_H
#define SYSTEM_TREE_H

#include "harness.h"
#include "io/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CPU "/sys/devices/system/cpu"

/* A file of this text and a newline; the path is a printf. */
static inline void tree_file(const char *root, const char *text, const char *path, ...)
{
    char full[1024], folder[1024];
    va_list arguments;
    int used = snprintf(full, sizeof full, "%s", root);
    va_start(arguments, path);
    vsnprintf(full + used, sizeof full - (size_t)used, path, arguments);
    va_end(arguments);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(full, '/') - full), full);
    ASSERT_OK(ls_make_folders(folder));
    FILE *file = fopen(full, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(file, "%s\n", text);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

static inline void tree_cache(const char *root, int cpu, int index, const char *level, const char *type,
                              const char *size, const char *sharing)
{
    tree_file(root, level, CPU "/cpu%d/cache/index%d/level", cpu, index);
    tree_file(root, type, CPU "/cpu%d/cache/index%d/type", cpu, index);
    tree_file(root, size, CPU "/cpu%d/cache/index%d/size", cpu, index);
    tree_file(root, sharing, CPU "/cpu%d/cache/index%d/shared_cpu_list", cpu, index);
}

/* Zen 3: 8 cores of 2 threads (core i: processors i and i + 8), 32 KiB, 512 KiB, and 32 MiB that all share. */
static inline const char *tree_zen3(void)
{
    const char *root = harness_path("zen3");
    tree_file(root, "0-15", CPU "/online");
    for (int cpu = 0; cpu < 16; cpu++) {
        char pair[16];
        snprintf(pair, sizeof pair, "%d,%d", cpu % 8, cpu % 8 + 8);
        tree_file(root, pair, CPU "/cpu%d/topology/thread_siblings_list", cpu);
        tree_cache(root, cpu, 0, "1", "Data", "32K", pair);
        tree_cache(root, cpu, 1, "1", "Instruction", "32K", pair);
        tree_cache(root, cpu, 2, "2", "Unified", "512K", pair);
        tree_cache(root, cpu, 3, "3", "Unified", "32768K", "0-15");
    }
    return root;
}

/* A hybrid processor: 2 fast cores of 2 threads (0-1, 2-3) and 4 slow ones (4-7) with one second level together. */
static inline const char *tree_hybrid(void)
{
    const char *root = harness_path("hybrid");
    tree_file(root, "0-7", CPU "/online");
    tree_file(root, "0-3", "/sys/devices/cpu_core/cpus");
    tree_file(root, "4-7", "/sys/devices/cpu_atom/cpus");
    for (int cpu = 0; cpu < 8; cpu++) {
        char own[16];
        snprintf(own, sizeof own, cpu < 4 ? "%d-%d" : "%d", cpu < 4 ? cpu / 2 * 2 : cpu, cpu / 2 * 2 + 1);
        tree_file(root, own, CPU "/cpu%d/topology/thread_siblings_list", cpu);
        tree_cache(root, cpu, 0, "1", "Data", cpu < 4 ? "48K" : "32K", own);
        tree_cache(root, cpu, 1, "2", "Unified", cpu < 4 ? "1280K" : "2M", cpu < 4 ? own : "4-7");
        tree_cache(root, cpu, 2, "3", "Unified", "12M", "0-7");
    }
    return root;
}

#endif
