#include "harness_mpi.h"

#include <stdio.h>

const LsComm *comm;

int harness_run_mpi(int argc, char **argv, const char *suite, const HarnessTest *tests)
{
    if (ls_dist_start(&argc, &argv, &comm) != LS_OK) {
        fprintf(stderr, "%s\n", ls_message());
        return 1;
    }
    int failed = harness_run(suite, tests);
    ls_dist_finish();
    return failed;
}
