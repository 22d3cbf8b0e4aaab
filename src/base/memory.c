#include "lockstep/base.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static atomic_int_fast64_t allocations;

/* From this size on a block starts on a huge page's border and asks for huge pages: weights and the arena are swept
 * from end to end, where address translation of small pages costs several per cent. */
#define HUGE_PAGE ((size_t)2 << 20)

/* From this size on all threads clear a block, each its part as passes over it go: a page lies in the memory domain of
 * the thread that touches it first. */
#define CLEAR_TOGETHER ((size_t)16 << 20)

static void clear(char *block, size_t bytes)
{
    /* Without OpenMP, which takes memory for itself the first time and ends the process where it gets none. */
    if (bytes < CLEAR_TOGETHER) {
        memset(block, 0, bytes);
        return;
    }
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < bytes; at += HUGE_PAGE)
        memset(block + at, 0, bytes - at < HUGE_PAGE ? bytes - at : HUGE_PAGE);
}

void *ls_alloc(size_t bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    if (bytes > PTRDIFF_MAX - HUGE_PAGE) {
        ls_fail(LS_RESOURCE, "out of memory: %zu bytes asked for", bytes);
        return NULL;
    }
    bool huge = bytes >= HUGE_PAGE;
    size_t alignment = huge ? HUGE_PAGE : LS_ALIGN;
    size_t rounded = bytes == 0 ? LS_ALIGN : (bytes + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN;
    void *block = NULL;
    if (posix_memalign(&block, alignment, rounded) != 0) {
        ls_fail(
            LS_RESOURCE,
            "out of memory: %.1f MiB asked for, %.1f MiB in use; a smaller train.batch or train.micro_batch needs less",
            (double)bytes / 1048576, (double)ls_resident_bytes() / 1048576);
        return NULL;
    }
    if (huge)
        (void)madvise(block, rounded, MADV_HUGEPAGE); /* a hint: without it the block works as well, slower */
    clear(block, rounded);
    return block;
}

void *ls_alloc_array(int64_t count, size_t size)
{
    size_t bytes;
    if (count < 0 || __builtin_mul_overflow((size_t)count, size, &bytes)) {
        ls_fail(LS_RESOURCE, "out of memory: %lld elements of %zu bytes asked for", (long long)count, size);
        return NULL;
    }
    return ls_alloc(bytes);
}

void ls_free(void *block) { free(block); }

char *ls_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = ls_alloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

char *ls_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : ls_alloc((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

int64_t ls_alloc_count(void) { return atomic_load_explicit(&allocations, memory_order_relaxed); }

int64_t ls_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    long long total = 0, resident = 0;
    int fields = fscanf(file, "%lld %lld", &total, &resident);
    fclose(file);
    return fields == 2 ? (int64_t)resident * sysconf(_SC_PAGESIZE) : 0;
}

int64_t ls_peak_resident_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}
