#include "peaks/peak.h"

#include "gemm/gemm.h"
#include "machine/caches.h"
#include "peaks/fma.h"

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

#define PRODUCT_SECONDS 0.2
#define MEMORY_SECONDS 0.6

/* Of the matrices: large enough for the kernels, small enough for many tries. */
#define MOST_SIDE 1024
#define LEAST_SIDE 128
#define TRIES 4   /* at least; a busy machine disturbs some */
#define SQUARES 6 /* matrices' worth of memory that a product takes: three, and as many packed */

#define UNDISTURBED 0.95 /* share of its threads' time that a process gets on a quiet machine */
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

/* The side of the matrices for this much memory. */
static int64_t side_for(int64_t room)
{
    int64_t side = MOST_SIDE;
    while (side > LEAST_SIDE && SQUARES * side * side * (int64_t)sizeof(float) > room)
        side /= 2;
    return side;
}

static LsStatus time_product(LsGemm *gemm, int64_t side, double *seconds)
{
    gemm->m = gemm->n = gemm->k = gemm->lda = gemm->ldb = gemm->ldc = side;
    double start = ls_seconds();
    LsStatus status = ls_gemm(gemm);
    *seconds = ls_seconds() - start;
    return status;
}

/* Fills two square matrices and times their product: A B^T, as forward has it. Small ones first: where a large product
 * would take too long, they must do. *undisturbed: the share of its threads' time that this process got. */
static LsStatus measure_products(bool bfloat16, int64_t room, double *gflops, double *undisturbed)
{
    LsStatus status = LS_OK;
    int64_t most = side_for(room), count = most * most, side = LEAST_SIDE;
    float *a = ls_alloc_array(3 * count, sizeof *a);
    *gflops = 0;
    if (!a)
        return LS_RESOURCE;
    float *b = a + count, *c = b + count;
    for (int64_t i = 0; i < 2 * count; i++) {
        if (bfloat16)
            ((uint16_t *)(i < count ? a : b))[i % count] = (uint16_t)(0x3f00 + i % 13); /* between a half and one */
        else
            a[i] = (float)(i % 13) / 13;
    }
    LsGemm gemm = {.type = bfloat16 ? LS_GEMM_BFLOAT16 : LS_GEMM_FLOAT32, .a = a, .b = b, .transpose_b = true, .c = c};
    double begin = ls_seconds(), end = begin + PRODUCT_SECONDS, used = processor_seconds();
    double best = INFINITY; /* at this side */
    for (int tries = 0; status == LS_OK && (tries < TRIES || ls_seconds() < end); tries++) {
        double seconds;
        status = time_product(&gemm, side, &seconds);
        best = fmin(best, seconds);
        *gflops = fmax(*gflops, 2e-9 * pow((double)side, 3) / best);
        if (tries + 1 >= TRIES && side < most && ls_seconds() + 8 * best < end) { /* eight times the work */
            side *= 2;
            best = INFINITY;
        }
    }
    *undisturbed = (processor_seconds() - used) / ((ls_seconds() - begin) * ls_threads());
    ls_free(a);
    return status;
}

/* Elements of each of the triad's arrays, an even number: all three together are more than four times the largest
 * cache, within reason: virtual machines name the cache of a whole socket that they have a part of. 0 where the memory
 * does not allow arrays that leave the caches. */
static int64_t memory_count(int64_t room)
{
    int64_t cache = ls_caches()->l3 + ls_caches()->l2, bytes = cache + cache / 2;
    int64_t least = (int64_t)32 << 20, most = (int64_t)128 << 20;
    bytes = bytes < least ? least : bytes > most ? most : bytes;
    return 3 * bytes > room ? 0 : bytes / 1024 * (1024 / (int64_t)sizeof(double));
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

static LsStatus measure_memory(int64_t room, double *bandwidth, double *reading)
{
    *bandwidth = *reading = 0;
    int64_t count = memory_count(room);
    if (count == 0)
        return LS_OK;
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

/* A machine's entry in the file. */
typedef struct Entry {
    LsPeak peak;
    double when;        /* seconds since 1970 of the last measuring */
    double undisturbed; /* share of its threads' time that this process got meanwhile */
} Entry;

static const char *const names[] = {"gflops",  "gflops_bfloat16", "gflops_fma", "bandwidth",
                                    "reading", "measured",        "undisturbed"};

/* Whether the file has an entry with the parts wanted. */
static bool read_entry(const char *key, LsPeakParts parts, Entry *entry)
{
    double value[LS_COUNT_OF(names)];
    bool found = ls_machine_read(key, LS_COUNT_OF(names), names, value);
    *entry = (Entry){{value[0], value[1], value[2], value[3], value[4]}, value[5], value[6]};
    const LsPeak *peak = &entry->peak;
    return found && peak->gflops > 0 && peak->gflops_bfloat16 > 0 && peak->gflops_fma > 0 &&
           (parts == LS_PEAK_PRODUCTS || (peak->bandwidth > 0 && peak->reading > 0));
}

static void write_entry(const char *key, const Entry *entry)
{
    const LsPeak *peak = &entry->peak;
    double value[LS_COUNT_OF(names)] = {peak->gflops,  peak->gflops_bfloat16, peak->gflops_fma,  peak->bandwidth,
                                        peak->reading, entry->when,           entry->undisturbed};
    ls_machine_write(key, LS_COUNT_OF(names), names, value);
}

static void better(LsPeak *peak, const LsPeak *other)
{
    peak->gflops = fmax(peak->gflops, other->gflops);
    peak->gflops_bfloat16 = fmax(peak->gflops_bfloat16, other->gflops_bfloat16);
    peak->gflops_fma = fmax(peak->gflops_fma, other->gflops_fma);
    peak->bandwidth = fmax(peak->bandwidth, other->bandwidth);
    peak->reading = fmax(peak->reading, other->reading);
}

LsStatus ls_peak_measure(LsPeakParts parts, int64_t room, bool forget, LsPeak *measured, LsPeak *kept)
{
    char key[256];
    Entry old, entry = {.when = (double)time(NULL)};
    LS_TRY(ls_machine_key(key, sizeof key));
    double share[2];
    *measured = (LsPeak){.gflops_fma = ls_fma_measure()};
    LS_TRY(measure_products(false, room, &measured->gflops, &share[0]));
    LS_TRY(measure_products(true, room, &measured->gflops_bfloat16, &share[1]));
    if (parts == LS_PEAK_ALL)
        LS_TRY(measure_memory(room, &measured->bandwidth, &measured->reading));
    entry.undisturbed = fmin(share[0], share[1]);
    entry.peak = *measured;
    if (!forget && read_entry(key, LS_PEAK_PRODUCTS, &old)) {
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
static LsPeakParts known_parts;

LsStatus ls_peak(LsPeakParts parts, int64_t room, LsPeak *peak)
{
    char key[256];
    Entry entry;
    LsPeak measured;
    if (known_threads != ls_threads() || known_parts < parts) {
        LS_TRY(ls_machine_key(key, sizeof key));
        bool found = read_entry(key, parts, &entry);
        double age = (double)time(NULL) - entry.when;
        bool old = age > SECONDS_KEPT || age < 0,
             doubtful = entry.undisturbed < UNDISTURBED && age > SECONDS_BEFORE_RETRY;
        known = entry.peak;
        if (!found || old || doubtful)
            LS_TRY(ls_peak_measure(parts, room, old, &measured, &known));
        known_threads = ls_threads();
        known_parts = parts;
    }
    *peak = known;
    return LS_OK;
}

void ls_peak_raise(const LsPeak *seen)
{
    char key[256];
    Entry entry;
    if (ls_machine_key(key, sizeof key) != LS_OK || !read_entry(key, LS_PEAK_PRODUCTS, &entry)) {
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
