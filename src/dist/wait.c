#include "dist/wait.h"

#include "dist/mpi_call.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>

double ls_dist_time_limit(void)
{
    const char *text = getenv("LOCKSTEP_TIMEOUT");
    double seconds = text && *text ? atof(text) : 1800;
    return seconds > 0 ? seconds : HUGE_VAL;
}

LsWait ls_wait_begin(const LsComm *comm, const char *what) { return (LsWait){.comm = comm, .what = what, .since = ls_seconds()}; }

LsStatus ls_wait_more(LsWait *wait, bool moved)
{
    double now = ls_seconds();
    if (moved)
        wait->since = now;
    if (now - wait->since > ls_dist_time_limit())
        return ls_fail(LS_LAUNCH, "%s: nothing has moved for %.0f s: a rank hangs, or the network does (LOCKSTEP_TIMEOUT sets this limit, 0 none)",
                       wait->what, now - wait->since);
    sched_yield(); /* there may be more ranks than cores */
    return LS_OK;
}

LsStatus ls_wait_for(const LsComm *comm, MPI_Request *request, const char *what)
{
    LsWait wait = ls_wait_begin(comm, what);
    int done = 0;
    for (;;) {
        LS_TRY(ls_mpi_status(MPI_Test(request, &done, MPI_STATUS_IGNORE), "MPI_Test"));
        if (done)
            return LS_OK;
        LS_TRY(ls_wait_more(&wait, false));
    }
}
