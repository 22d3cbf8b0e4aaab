/* Preloaded: the n-th request for memory that the program itself makes, not a library, gets none, n from the environment
 * (FAIL_CALL=n). How many there were is written to the file FAIL_COUNT. Libraries end the process where they get none;
 * the program says so and ends with status 7 (cli_memory_each.sh). */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *malloc(size_t bytes);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t bytes);
int posix_memalign(void **block, size_t alignment, size_t bytes);

static void *(*next_malloc)(size_t), *(*next_calloc)(size_t, size_t), *(*next_realloc)(void *, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);
static uintptr_t program_begin, program_end;
static long fails;
static atomic_long calls;
static char early[4096]; /* dlsym asks for memory before the next calloc is known */

/* Where the program's own code lies. */
static void find_program(void)
{
    char line[1024], path[512] = "", mapped[512];
    unsigned long begin, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0 || !maps)
        return;
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %511s", &begin, &end, mapped) == 3 && strcmp(mapped, path) == 0) {
            program_begin = program_begin ? program_begin : begin;
            program_end = end;
        }
    fclose(maps);
}

static void begin(void)
{
    static bool begun;
    if (begun)
        return;
    begun = true;
    *(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    find_program();
    const char *call = getenv("FAIL_CALL");
    fails = call ? atol(call) : 0;
}

static bool is_refused(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    return at >= program_begin && at < program_end && atomic_fetch_add(&calls, 1) + 1 == fails;
}

void *malloc(size_t bytes)
{
    begin();
    if (!is_refused(__builtin_return_address(0)))
        return next_malloc(bytes);
    errno = ENOMEM;
    return NULL;
}

void *calloc(size_t count, size_t size)
{
    begin();
    if (!next_calloc)
        return count * size <= sizeof early ? early : NULL;
    if (!is_refused(__builtin_return_address(0)))
        return next_calloc(count, size);
    errno = ENOMEM;
    return NULL;
}

void *realloc(void *block, size_t bytes)
{
    begin();
    if (!is_refused(__builtin_return_address(0)))
        return next_realloc(block, bytes);
    errno = ENOMEM;
    return NULL;
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    begin();
    return is_refused(__builtin_return_address(0)) ? ENOMEM : next_posix_memalign(block, alignment, bytes);
}

static __attribute__((destructor)) void write_count(void)
{
    const char *path = getenv("FAIL_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    fprintf(file, "%ld\n", atomic_load(&calls));
    fclose(file);
}
