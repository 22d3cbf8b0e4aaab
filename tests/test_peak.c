/* The machine's peaks: measured, kept in a file, found again, and a damaged file replaced. */
#include "harness.h"
#include "io/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    CU_ASSERT(kept.gflops == measured.gflops && kept.bandwidth == measured.bandwidth);
    ASSERT_OK(ls_peak_measure(false, &measured, &again));
    CU_ASSERT(again.gflops >= kept.gflops * 0.99999 && again.gflops >= measured.gflops); /* the file has six digits */
    CU_ASSERT(again.bandwidth >= kept.bandwidth * 0.99999);
    FILE *file = fopen(ls_peak_path(), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    char text[1024] = "";
    CU_ASSERT(fread(text, 1, sizeof text - 1, file) > 20);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, ls_processor()));
    fclose(file);
    double gflops = ls_peak_gflops(); /* from the file: not measured a third time */
    CU_ASSERT(gflops >= 0.99999 * again.gflops && gflops <= 1.00001 * again.gflops);
    CU_ASSERT(ls_peak_bandwidth() >= 0.99999 * again.bandwidth);
}

static void test_damaged_file(void)
{
    LsPeak measured, kept;
    write_text(ls_peak_path(), "{\"not\": json");
    ASSERT_OK(ls_peak_measure(false, &measured, &kept));
    CU_ASSERT(kept.gflops == measured.gflops);
}

static void test_no_home(void)
{
    LsPeak measured, kept;
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    CU_ASSERT_PTR_NULL(ls_peak_path());
    write_text(harness_path("file"), "x");
    setenv("XDG_CACHE_HOME", harness_path("file"), 1); /* no folder can be made below a file */
    ASSERT_OK(ls_peak_measure(true, &measured, &kept));
    CU_ASSERT(kept.gflops == measured.gflops && kept.bandwidth > 0);
}

int main(void)
{
    return harness_run("peak", (HarnessTest[]){{"measured and kept", test_measured_and_kept},
                                               {"damaged file", test_damaged_file},
                                               {"no home", test_no_home},
                                               {0}});
}
