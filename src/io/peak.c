#include "io/peak.h"

#include "base/gemm.h"
#include "io/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PRODUCT_SECONDS 0.6
#define TRIAD_SECONDS 0.4
#define SIDE 1024 /* of the matrices: large enough for the kernels, small enough for many tries */

/* ---- Measuring ---------------------------------------------------------------------------------------------------------- */

static LsStatus measure_products(double *gflops)
{
    LsStatus status = LS_OK;
    *gflops = 0;
    int64_t count = (int64_t)SIDE * SIDE;
    float *a = ls_alloc_array(3 * count, sizeof *a);
    if (!a)
        return LS_RESOURCE;
    float *b = a + count, *c = b + count;
    for (int64_t i = 0; i < 2 * count; i++)
        a[i] = (float)(i % 13) / 13;
    LsGemm gemm = {.m = SIDE, .n = SIDE, .k = SIDE, .a = a, .lda = SIDE, .b = b, .ldb = SIDE, .transpose_b = true, .c = c, .ldc = SIDE};
    double end = ls_seconds() + PRODUCT_SECONDS;
    for (int tries = 0; status == LS_OK && (tries < 1 || ls_seconds() < end); tries++) {
        double start = ls_seconds();
        status = ls_gemm_float32(&gemm);
        double speed = 2e-9 * SIDE * (double)count / (ls_seconds() - start);
        *gflops = speed > *gflops ? speed : *gflops;
    }
    ls_free(a);
    return status;
}

/* Elements of each of the triad's arrays: all three together are more than four times the largest cache, within reason: virtual machines
 * name the cache of a whole socket that they have a part of. */
static int64_t triad_count(void)
{
    int64_t cache = 0;
    static const int levels[] = {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL4_CACHE_SIZE};
    for (size_t i = 0; i < LS_COUNT_OF(levels); i++) {
        long bytes = sysconf(levels[i]);
        cache = bytes > cache ? bytes : cache;
    }
    int64_t bytes = cache + cache / 2, least = (int64_t)32 << 20, most = (int64_t)128 << 20;
    return (bytes < least ? least : bytes > most ? most : bytes) / (int64_t)sizeof(double);
}

/* McCalpin's triad: a_i = b_i + s c_i. */
static LsStatus measure_memory(double *bandwidth)
{
    *bandwidth = 0;
    int64_t count = triad_count();
    size_t bytes = 3 * (size_t)count * sizeof(double);
    /* Mapped, not allocated: each thread touches its own part first, and huge pages make that fast. */
    double *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return ls_fail(LS_RESOURCE, "no %zu MiB free to measure the memory's speed", bytes >> 20);
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    double *a = memory, *b = a + count, *c = b + count;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i++) {
        a[i] = 0;
        b[i] = 1;
        c[i] = 2;
    }
    double end = ls_seconds() + TRIAD_SECONDS;
    for (int tries = 0; tries < 1 || ls_seconds() < end; tries++) {
        double start = ls_seconds();
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < count; i++)
            a[i] = b[i] + 0.5 * c[i];
        double speed = 24e-9 * (double)count / (ls_seconds() - start);
        *bandwidth = speed > *bandwidth ? speed : *bandwidth;
    }
    bool right = a[0] == 2 && a[count - 1] == 2;
    munmap(memory, bytes);
    return right ? LS_OK : ls_fail(LS_ERROR, "the memory test read back wrong values");
}

/* ---- The file ------------------------------------------------------------------------------------------------------------ */

const char *ls_processor(void)
{
    static char name[128];
    if (name[0])
        return name;
    snprintf(name, sizeof name, "unknown processor");
    FILE *file = fopen("/proc/cpuinfo", "r");
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

const char *ls_peak_path(void)
{
    static char path[1024];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/')
        snprintf(path, sizeof path, "%s/lockstep/machine.json", cache);
    else if (home && home[0] == '/')
        snprintf(path, sizeof path, "%s/.cache/lockstep/machine.json", home);
    else
        return NULL;
    return path;
}

static LsStatus key_of(char *key, size_t room)
{
    LsIsa isa = LS_ISA_BASELINE;
    LS_TRY(ls_isa_choose(&isa));
    snprintf(key, room, "%s, %s, %d thread%s", ls_processor(), ls_isa_name(isa), ls_threads(), ls_threads() == 1 ? "" : "s");
    return LS_OK;
}

/* The file's content, an empty object where there is none or it is no JSON. NULL when out of memory. */
static json_t *load(void)
{
    const char *path = ls_peak_path();
    json_t *all = path ? json_load_file(path, 0, NULL) : NULL;
    if (json_is_object(all))
        return all;
    json_decref(all);
    return json_object();
}

static bool find(const json_t *all, const char *key, LsPeak *peak)
{
    const json_t *entry = json_object_get(all, key);
    peak->gflops = json_number_value(json_object_get(entry, "gflops"));
    peak->bandwidth = json_number_value(json_object_get(entry, "bandwidth"));
    return peak->gflops > 0 && peak->bandwidth > 0;
}

/* Best effort: a file that cannot be written is measured again next time. */
static void store(json_t *all, const char *key, const LsPeak *peak)
{
    char folder[1024];
    const char *path = ls_peak_path();
    if (!path || json_object_set_new(all, key, json_pack("{s:f, s:f}", "gflops", peak->gflops, "bandwidth", peak->bandwidth)) != 0)
        return;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    char *text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    if (text && ls_make_folders(folder) == LS_OK && ls_file_replace(path, text, (int64_t)strlen(text)) == LS_OK) {
        free(text);
        return;
    }
    free(text);
    ls_clear_message();
}

LsStatus ls_peak_measure(bool forget, LsPeak *measured, LsPeak *kept)
{
    char key[256];
    LsPeak old = {0};
    LS_TRY(key_of(key, sizeof key));
    LS_TRY(measure_products(&measured->gflops));
    LS_TRY(measure_memory(&measured->bandwidth));
    json_t *all = load();
    if (!all)
        return ls_fail(LS_RESOURCE, "out of memory for the machine's figures");
    LsPeak best = *measured;
    if (!forget && find(all, key, &old)) {
        best.gflops = old.gflops > best.gflops ? old.gflops : best.gflops;
        best.bandwidth = old.bandwidth > best.bandwidth ? old.bandwidth : best.bandwidth;
    }
    store(all, key, &best);
    json_decref(all);
    if (kept)
        *kept = best;
    return LS_OK;
}

/* This process's figures, which do not change while it runs with one number of threads. */
static bool peak(LsPeak *found)
{
    static LsPeak known;
    static int known_threads;
    char key[256];
    if (known_threads != ls_threads()) {
        if (key_of(key, sizeof key) != LS_OK)
            return false;
        json_t *all = load();
        LsPeak measured;
        bool stored = all && find(all, key, &known);
        json_decref(all);
        if (!stored && ls_peak_measure(false, &measured, &known) != LS_OK)
            return false;
        known_threads = ls_threads();
    }
    *found = known;
    return true;
}

double ls_peak_gflops(void)
{
    LsPeak found;
    return peak(&found) ? found.gflops : 0;
}

double ls_peak_bandwidth(void)
{
    LsPeak found;
    return peak(&found) ? found.bandwidth : 0;
}
