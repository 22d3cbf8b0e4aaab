#include "harness.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static pid_t folder_owner;

static void remove_folder(void)
{
    if (getpid() == folder_owner) /* forked children of a test leave it */
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *harness_folder(void)
{
    if (folder[0])
        return folder;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/lockstep-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    folder_owner = getpid();
    atexit(remove_folder);
    return folder;
}

const char *harness_path(const char *name)
{
    static char buffer[8][512];
    static int next;
    char *path = buffer[next++ % 8];
    snprintf(path, sizeof buffer[0], "%s/%s", harness_folder(), name);
    return path;
}

int harness_run(const char *suite, const HarnessTest *tests)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    CU_pSuite registered = CU_add_suite(suite, NULL, NULL);
    for (const HarnessTest *test = tests; test->name; test++)
        if (!registered || !CU_add_test(registered, test->name, test->run)) {
            fprintf(stderr, "%s\n", CU_get_error_msg());
            return 1;
        }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    bool passed = CU_get_number_of_failures() == 0 && CU_get_number_of_asserts() > 0;
    CU_cleanup_registry();
    return passed ? 0 : 1;
}
