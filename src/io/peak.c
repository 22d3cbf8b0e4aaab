#include "io/peak.h"

#include "gemm/gemm.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PRODUCT_SECONDS 0.3
#define MEMORY_SECONDS 0.6
#define SIDE 1024 /* of the matrices: large enough for the kernels, small enough for many tries */

#define UNDISTURBED 0.95       /* share of its threads' time that a process gets on a quiet machine */
#define SECONDS_BEFORE_RETRY 600.0
#define SECONDS_KEPT (30 * 86400.0)

/* ---- Measuring --------------------------------------------------------------------------------------------------- */

static double processor_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Fills two square matrices and times their product: A B^T, as forward has it. *undisturbed: the share of its threads'
 * time that this process got. */
static LsStatus measure_products(bool bfloat16, double *gflops, double *undisturbed)
{
    LsStatus status = LS_OK;
    *gflops = 0;
    int64_t count = (int64_t)SIDE * SIDE;
    float *a = ls_alloc_array(3 * count, sizeof *a);
    if (!a)
        return LS_RESOURCE;
    float *b = a + count, *c = b + count;
    for (int64_t i = 0; i < 2 * count; i++) {
        if (bfloat16)
            ((uint16_t *)(i < count ? a : b))[i % count] = (uint16_t)(0x3f00 + i % 13); /* between a half and one */
        else
            a[i] = (float)(i % 13) / 13;
    }
    LsGemm gemm = {.type = bfloat16 ? LS_GEMM_BFLOAT16 : LS_GEMM_FLOAT32,
                   .m = SIDE,
                   .n = SIDE,
                   .k = SIDE,
                   .a = a,
                   .lda = SIDE,
                   .b = b,
                   .ldb = SIDE,
                   .transpose_b = true,
                   .c = c,
                   .ldc = SIDE};
    double begin = ls_seconds(), end = begin + PRODUCT_SECONDS, used = processor_seconds();
    for (int tries = 0; status == LS_OK && (tries < 1 || ls_seconds() < end); tries++) {
        double start = ls_seconds();
        status = ls_gemm(&gemm);
        double speed = 2e-9 * SIDE * (double)count / (ls_seconds() - start);
        *gflops = speed > *gflops ? speed : *gflops;
    }
    *undisturbed = (processor_seconds() - used) / ((ls_seconds() - begin) * ls_threads());
    ls_free(a);
    return status;
}

/* Elements of each of the triad's arrays, an even number: all three together are more than four times the largest
 * cache, within reason: virtual machines name the cache of a whole socket that they have a part of. */
static int64_t memory_count(void)
{
    int64_t cache = 0;
    static const int levels[] = {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL4_CACHE_SIZE};
    for (size_t i = 0; i < LS_COUNT_OF(levels); i++) {
        long bytes = sysconf(levels[i]);
        cache = bytes > cache ? bytes : cache;
    }
    int64_t bytes = cache + cache / 2, least = (int64_t)32 << 20, most = (int64_t)128 << 20;
    return (bytes < least ? least : bytes > most ? most : bytes) / 1024 * (1024 / (int64_t)sizeof(double));
}

/* McCalpin's triad: a_i = b_i + s c_i. */
static void triad(double *a, const double *b, const double *c, int64_t count)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i++)
        a[i] = b[i] + 0.5 * c[i];
}

/* The same, written past the caches where the machine can: what is in a is not read before. */
#ifdef __SSE2__
static void triad_past(double *a, const double *b, const double *c, int64_t count)
{
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < count / 2; i++)
            _mm_stream_pd(a + 2 * i,
                          _mm_add_pd(_mm_loadu_pd(b + 2 * i), _mm_mul_pd(_mm_set1_pd(0.5), _mm_loadu_pd(c + 2 * i))));
        _mm_sfence();
    }
}
#else
#define triad_past triad
#endif

/* Each thread adds up its part of x, in STREAMS places at once: one place alone waits for the machine's own prefetching
 * at every page. */
static double sum_of(const double *x, int64_t count)
{
    enum { STREAMS = 4, LINE = 8, AHEAD = 128 };
    double all = 0;
#pragma omp parallel reduction(+ : all)
    {
        int64_t threads = omp_get_num_threads(), each = count / threads / STREAMS / LINE * LINE;
        const double *mine = x + omp_get_thread_num() * each * STREAMS;
        double sum[STREAMS][LINE] = {{0}};
        for (int64_t i = 0; i < each; i += LINE)
            for (int s = 0; s < STREAMS; s++) {
                __builtin_prefetch(mine + s * each + i + AHEAD);
                for (int j = 0; j < LINE; j++)
                    sum[s][j] += mine[s * each + i + j];
            }
        for (int s = 0; s < STREAMS; s++)
            for (int j = 0; j < LINE; j++)
                all += sum[s][j];
    }
    return all;
}

static double faster(double best, double bytes, double seconds) { return fmax(best, 1e-9 * bytes / seconds); }

static LsStatus measure_memory(double *bandwidth, double *reading)
{
    *bandwidth = *reading = 0;
    int64_t count = memory_count();
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
    bool right = true;
    double end = ls_seconds() + MEMORY_SECONDS;
    for (int tries = 0; tries < 2 || ls_seconds() < end; tries++) {
        double start = ls_seconds();
        (tries % 2 ? triad_past : triad)(a, b, c, count);
        double between = ls_seconds(), sum = sum_of(a, count) + sum_of(b, count) + sum_of(c, count);
        *bandwidth = faster(*bandwidth, (double)bytes, between - start);
        *reading = faster(*reading, (double)bytes, ls_seconds() - between);
        right &= sum > 4.9 * (double)count && sum <= 5 * (double)count; /* but for ends that do not divide */
    }
    right &= a[0] == 2 && a[count - 1] == 2;
    munmap(memory, bytes);
    return right ? LS_OK : ls_fail(LS_ERROR, "the memory test read back wrong values");
}

/* ---- Kept -------------------------------------------------------------------------------------------------------- */

/* What the file has of a machine. */
typedef struct Entry {
    LsPeak peak;
    double when;        /* seconds since 1970 of the last measuring */
    double undisturbed; /* share of its threads' time that this process got meanwhile */
} Entry;

static const char *const names[] = {"gflops", "gflops_bfloat16", "bandwidth", "reading", "measured", "undisturbed"};

static bool read_entry(const char *key, Entry *entry)
{
    double value[LS_COUNT_OF(names)];
    bool found = ls_machine_read(key, LS_COUNT_OF(names), names, value);
    *entry = (Entry){{value[0], value[1], value[2], value[3]}, value[4], value[5]};
    return found && entry->peak.gflops > 0 && entry->peak.gflops_bfloat16 > 0 && entry->peak.bandwidth > 0 &&
           entry->peak.reading > 0;
}

static void write_entry(const char *key, const Entry *entry)
{
    double value[LS_COUNT_OF(names)] = {entry->peak.gflops,    entry->peak.gflops_bfloat16,
                                        entry->peak.bandwidth, entry->peak.reading,
                                        entry->when,           entry->undisturbed};
    ls_machine_write(key, LS_COUNT_OF(names), names, value);
}

static void better(LsPeak *peak, const LsPeak *other)
{
    peak->gflops = fmax(peak->gflops, other->gflops);
    peak->gflops_bfloat16 = fmax(peak->gflops_bfloat16, other->gflops_bfloat16);
    peak->bandwidth = fmax(peak->bandwidth, other->bandwidth);
    peak->reading = fmax(peak->reading, other->reading);
}

LsStatus ls_peak_measure(bool forget, LsPeak *measured, LsPeak *kept)
{
    char key[256];
    Entry old, entry = {.when = (double)time(NULL)};
    LS_TRY(ls_machine_key(key, sizeof key));
    double share[2];
    LS_TRY(measure_products(false, &measured->gflops, &share[0]));
    LS_TRY(measure_products(true, &measured->gflops_bfloat16, &share[1]));
    LS_TRY(measure_memory(&measured->bandwidth, &measured->reading));
    entry.undisturbed = fmin(share[0], share[1]);
    entry.peak = *measured;
    if (!forget && read_entry(key, &old)) {
        better(&entry.peak, &old.peak);
        entry.undisturbed = fmax(entry.undisturbed, old.undisturbed);
    }
    write_entry(key, &entry);
    if (kept)
        *kept = entry.peak;
    return LS_OK;
}

/* This process's figures, which do not change while it runs with one number of threads, but for what ls_peak_raise
 * sees. */
static LsPeak known;
static int known_threads;

LsStatus ls_peak(LsPeak *peak)
{
    char key[256];
    Entry entry;
    LsPeak measured;
    if (known_threads != ls_threads()) {
        LS_TRY(ls_machine_key(key, sizeof key));
        bool found = read_entry(key, &entry);
        double age = (double)time(NULL) - entry.when;
        bool old = age > SECONDS_KEPT || age < 0, doubtful = entry.undisturbed < UNDISTURBED && age > SECONDS_BEFORE_RETRY;
        known = entry.peak;
        if (!found || old || doubtful)
            LS_TRY(ls_peak_measure(old, &measured, &known));
        known_threads = ls_threads();
    }
    *peak = known;
    return LS_OK;
}

void ls_peak_raise(const LsPeak *seen)
{
    char key[256];
    Entry entry;
    if (ls_machine_key(key, sizeof key) != LS_OK || !read_entry(key, &entry)) {
        ls_clear_message();
        return;
    }
    LsPeak before = entry.peak;
    better(&entry.peak, seen);
    if (known_threads == ls_threads())
        better(&known, seen);
    if (memcmp(&before, &entry.peak, sizeof before) != 0)
        write_entry(key, &entry);
}
