/* The machine's peaks: measured, kept in a file, found again, and a damaged file replaced. */
#include "graph/check.h"
#include "harness.h"
#include "machine/cores.h"
#include "peaks/peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOM ((int64_t)1 << 30)

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

static void test_measured_and_kept(void)
{
    LsPeak measured, kept, again;
    setenv("XDG_CACHE_HOME", harness_path("cache"), 1);
    ASSERT_OK(ls_peak_measure(LS_PEAK_ALL, ROOM, false, &measured, &kept));
    CU_ASSERT(measured.gflops > 0 && measured.gflops < 1e6 && measured.bandwidth > 0 && measured.bandwidth < 1e5);
    CU_ASSERT(measured.reading > 0 && measured.reading < 1e5 && kept.reading == measured.reading);
    CU_ASSERT(kept.gflops == measured.gflops && kept.bandwidth == measured.bandwidth);
    ASSERT_OK(ls_peak_measure(LS_PEAK_ALL, ROOM, false, &measured, &again));
    /* the file has six digits */
    CU_ASSERT(again.gflops >= kept.gflops * 0.99999 && again.gflops >= measured.gflops);
    CU_ASSERT(again.bandwidth >= kept.bandwidth * 0.99999);
    FILE *file = fopen(ls_machine_path(), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    char text[1024] = "";
    CU_ASSERT(fread(text, 1, sizeof text - 1, file) > 20);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, ls_processor()));
    fclose(file);
}

/* Puts figures into the file as if they had been measured `age` seconds ago, and asks for them in a process of its own:
 * one process asks once. Returns what it was told of float products. */
static double ask_kept(double gflops, double age, double undisturbed)
{
    static const char *const names[] = {"gflops",  "gflops_bfloat16", "gflops_fma", "bandwidth",
                                        "reading", "measured",        "undisturbed"};
    const double value[] = {gflops, 1e5, 1e5, 1e4, 1e4, (double)time(NULL) - age, undisturbed};
    char key[256];
    int ends[2];
    double told = 0;
    ASSERT_OK(ls_machine_key(key, sizeof key));
    ls_machine_write(key, LS_COUNT_OF(names), names, value);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    ls_set_threads(1); /* threads do not live on in a child */
    pid_t child = fork();
    if (child == 0) {
        LsPeak peak = {0};
        if (ls_peak(LS_PEAK_ALL, ROOM, &peak) != LS_OK ||
            write(ends[1], &peak.gflops, sizeof peak.gflops) != (ssize_t)sizeof peak.gflops)
            _exit(1);
        _exit(0);
    }
    int status = 1;
    CU_ASSERT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CU_ASSERT_EQUAL(read(ends[0], &told, sizeof told), (ssize_t)sizeof told);
    close(ends[0]);
    close(ends[1]);
    return told;
}

/* Good figures are believed for a month; those of a busy machine for ten minutes, and only raised; old ones give
 * way. */
static void test_age(void)
{
    LsPeak now; /* this process must not ask before the children do: they would know */
    ls_set_threads(1);
    ASSERT_OK(ls_peak_measure(LS_PEAK_ALL, ROOM, true, &now, NULL));
    CU_ASSERT_EQUAL(ask_kept(1e5, 86400, 0.99), 1e5);
    CU_ASSERT_EQUAL(ask_kept(1e-3, 60, 0.5), 1e-3);
    ASSERT_AT_MOST(0.1 * now.gflops, ask_kept(1e-3, 3600, 0.5));
    CU_ASSERT_EQUAL(ask_kept(1e5, 3600, 0.5), 1e5);
    ASSERT_AT_MOST(ask_kept(1e5, 60 * 86400.0, 0.99), 10 * now.gflops);
}

static void test_raise(void)
{
    static const char *const names[] = {"gflops", "bandwidth", "undisturbed"};
    LsPeak measured, kept, found;
    double value[3];
    char key[256];
    ASSERT_OK(ls_peak_measure(LS_PEAK_ALL, ROOM, true, &measured, &kept));
    ASSERT_OK(ls_peak(LS_PEAK_ALL, ROOM, &found));
    ls_peak_raise(&(LsPeak){.gflops = 0.5 * found.gflops, .bandwidth = 3 * found.bandwidth});
    ASSERT_OK(ls_machine_key(key, sizeof key));
    CU_ASSERT(ls_machine_read(key, 3, names, value));
    ASSERT_AT_MOST(fabs(value[0] / kept.gflops - 1), 1e-8); /* the file has ten digits */
    CU_ASSERT(value[1] >= 2.99 * found.bandwidth && value[2] > 0 && value[2] < 1.1);
    ASSERT_OK(ls_peak(LS_PEAK_ALL, ROOM, &measured)); /* this process sees it too */
    CU_ASSERT(measured.gflops == found.gflops && measured.bandwidth >= 2.99 * found.bandwidth);
}

static void test_damaged_file(void)
{
    LsPeak measured, kept;
    write_text(ls_machine_path(), "{\"not\": json");
    ASSERT_OK(ls_peak_measure(LS_PEAK_ALL, ROOM, false, &measured, &kept));
    CU_ASSERT(kept.gflops == measured.gflops);
}

static void test_no_home(void)
{
    LsPeak measured, kept;
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    CU_ASSERT_PTR_NULL(ls_machine_path());
    write_text(harness_path("file"), "x");
    setenv("XDG_CACHE_HOME", harness_path("file"), 1); /* no folder can be made below a file */
    ASSERT_OK(ls_peak_measure(LS_PEAK_ALL, ROOM, true, &measured, &kept));
    CU_ASSERT(kept.gflops == measured.gflops && kept.bandwidth > 0);
}

/* What else a process takes meanwhile; under a sanitizer its shadow memory, and blocks that were freed. */
#ifdef __SANITIZE_ADDRESS__
#define BESIDE ((int64_t)256 << 20)
#else
#define BESIDE ((int64_t)4 << 20)
#endif

/* The memory that measuring touches at most, by the rise of this process's resident memory, in a process of its own. */
static void test_room(void)
{
    static const int64_t rooms[] = {0, (int64_t)6 << 20, (int64_t)64 << 20};
    setenv("XDG_CACHE_HOME", harness_path("room"), 1);
    ls_set_threads(1);
    for (size_t i = 0; i < LS_COUNT_OF(rooms); i++) {
        pid_t child = fork();
        if (child == 0) {
            LsPeak peak;
            int64_t before = ls_peak_resident_bytes();
            LsStatus status = ls_peak_measure(LS_PEAK_PRODUCTS, rooms[i], true, &peak, NULL);
            int64_t taken = ls_peak_resident_bytes() - before;
            bool good = status == LS_OK && peak.gflops > 0 && peak.gflops_bfloat16 > 0 && peak.bandwidth == 0;
            LsPeak all; /* no room for memory's figures is no failure */
            good &= ls_peak_measure(LS_PEAK_ALL, rooms[i], true, &all, NULL) == LS_OK && all.bandwidth == 0;
            _exit(!good ? 1 : taken > rooms[i] + BESIDE ? 2 : 0);
        }
        int status = 1;
        CU_ASSERT(child > 0 && waitpid(child, &status, 0) == child);
        CU_ASSERT_EQUAL(status, 0);
    }
}

/* Multiply-adds in registers are at least as fast as products made of the same instructions, at every level. */
static void test_fma(void)
{
    LsIsa most = ls_isa();
    ls_set_threads(1);
    for (int level = 0; level <= (int)most; level++) {
        LsPeak peak;
        char *before = ls_check_force_isa((LsIsa)level);
        ASSERT_OK(ls_peak_measure(LS_PEAK_PRODUCTS, ROOM, true, &peak, NULL));
        CU_ASSERT(peak.gflops_fma > 0);
        if (level <= (int)LS_ISA_V4_BF16) /* tiles are another instruction, and several times as fast */
            ASSERT_AT_MOST(0.7 * peak.gflops, peak.gflops_fma);
        ls_check_restore_isa(before);
    }
}

int main(void)
{
    return harness_run("peaks", (HarnessTest[]){{"measured and kept", test_measured_and_kept},
                                                {"age", test_age},
                                                {"raised", test_raise},
                                                {"room", test_room},
                                                {"multiply-adds", test_fma},
                                                {"damaged file", test_damaged_file},
                                                {"no home", test_no_home},
                                                {0}});
}
