/* The machine's peaks: measured, kept in a file, found again, and a damaged file replaced. */
#include "harness.h"
#include "io/peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
    ASSERT_OK(ls_peak_measure(false, &measured, &kept));
    CU_ASSERT(measured.gflops > 0.1 && measured.gflops < 1e6 && measured.bandwidth > 0.1 && measured.bandwidth < 1e5);
    CU_ASSERT(measured.reading > 0.1 && measured.reading < 1e5 && kept.reading == measured.reading);
    CU_ASSERT(kept.gflops == measured.gflops && kept.bandwidth == measured.bandwidth);
    ASSERT_OK(ls_peak_measure(false, &measured, &again));
    CU_ASSERT(again.gflops >= kept.gflops * 0.99999 && again.gflops >= measured.gflops); /* the file has six digits */
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
    static const char *const names[] = {"gflops", "gflops_bfloat16", "bandwidth", "reading", "measured", "undisturbed"};
    const double value[] = {gflops, 1e5, 1e4, 1e4, (double)time(NULL) - age, undisturbed};
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
        if (ls_peak(&peak) != LS_OK || write(ends[1], &peak.gflops, sizeof peak.gflops) != (ssize_t)sizeof peak.gflops)
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
    ASSERT_OK(ls_peak_measure(true, &now, NULL));
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
    ASSERT_OK(ls_peak_measure(true, &measured, &kept));
    ASSERT_OK(ls_peak(&found));
    ls_peak_raise(&(LsPeak){.gflops = 0.5 * found.gflops, .bandwidth = 3 * found.bandwidth});
    ASSERT_OK(ls_machine_key(key, sizeof key));
    CU_ASSERT(ls_machine_read(key, 3, names, value));
    ASSERT_AT_MOST(fabs(value[0] / kept.gflops - 1), 1e-8); /* the file has ten digits */
    CU_ASSERT(value[1] >= 2.99 * found.bandwidth && value[2] > 0 && value[2] < 1.1);
    ASSERT_OK(ls_peak(&measured)); /* this process sees it too */
    CU_ASSERT(measured.gflops == found.gflops && measured.bandwidth >= 2.99 * found.bandwidth);
}

static void test_damaged_file(void)
{
    LsPeak measured, kept;
    write_text(ls_machine_path(), "{\"not\": json");
    ASSERT_OK(ls_peak_measure(false, &measured, &kept));
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
    ASSERT_OK(ls_peak_measure(true, &measured, &kept));
    CU_ASSERT(kept.gflops == measured.gflops && kept.bandwidth > 0);
}

int main(void)
{
    return harness_run("peak", (HarnessTest[]){{"measured and kept", test_measured_and_kept},
                                               {"age", test_age},
                                               {"raised", test_raise},
                                               {"damaged file", test_damaged_file},
                                               {"no home", test_no_home},
                                               {0}});
}
