#include "dist/wait.h"

#include "dist/dist.h"
#include "dist/mpi_call.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double ls_dist_time_limit(void)
{
    const char *text = getenv("LOCKSTEP_TIMEOUT");
    double seconds = text && *text ? atof(text) : 1800;
    return seconds > 0 ? seconds : HUGE_VAL;
}

/* ---- Who is missing ---------------------------------------------------------------------------------------------- */

/* A rank that has waited too long asks the others where they are; those that wait somewhere answer. */
enum { TAG_ASK = 1, TAG_ANSWER };
enum { TEXT_BYTES = 64, NAMED = 6 };

#define LOOK_SECONDS 0.02 /* between looks for questions */

#define NAP_SHARE 0.02
#define MIN_NAP 50e-6
#define MAX_NAP 1e-3

static double last_look;
static MPI_Request abandoned = MPI_REQUEST_NULL; /* the request whose wait has timed out */

static LsStatus send_text(MPI_Comm watch, int rank, int tag, const char *what)
{
    static char text[2][TEXT_BYTES]; /* small enough to be on its way when MPI_Isend returns */
    MPI_Request request;
    snprintf(text[tag - TAG_ASK], TEXT_BYTES, "%s", what);
    LS_TRY(
        ls_mpi_status(MPI_Isend(text[tag - TAG_ASK], TEXT_BYTES, MPI_CHAR, rank, tag, watch, &request), "MPI_Isend"));
    return ls_mpi_status(MPI_Request_free(&request), "MPI_Request_free");
}

/* Answers questions, and gives an answer if there is one: *from is the rank, or -1. text: (TEXT_BYTES) */
static LsStatus answer_questions(const LsWait *wait, int *from, char *text)
{
    MPI_Comm watch = ls_dist_watch_comm(wait->comm);
    MPI_Status what;
    int there = 1;
    *from = -1;
    while (*from < 0) {
        LS_TRY(ls_mpi_status(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, watch, &there, &what), "MPI_Iprobe"));
        if (!there)
            return LS_OK;
        LS_TRY(ls_mpi_status(
            MPI_Recv(text, TEXT_BYTES, MPI_CHAR, what.MPI_SOURCE, what.MPI_TAG, watch, MPI_STATUS_IGNORE), "MPI_Recv"));
        if (what.MPI_TAG == TAG_ASK)
            LS_TRY(send_text(watch, what.MPI_SOURCE, TAG_ANSWER, wait->what));
        else
            *from = what.MPI_SOURCE;
    }
    return LS_OK;
}

/* "rank 3", "ranks 3, 5", "ranks 3, 5, 6, 7, 8, 9 and 20 others": those of which nothing was heard. */
static int name_ranks(const char *heard, int ranks, int own, char *text, size_t room)
{
    int count = 0;
    size_t used = 0;
    text[0] = '\0';
    for (int rank = 0; rank < ranks; rank++)
        if (!heard[rank] && rank != own && count++ < NAMED)
            used += (size_t)snprintf(text + used, room - used, "%s%d", count == 1 ? "" : ", ", rank);
    if (count > NAMED)
        snprintf(text + used, room - used, " and %d others", count - NAMED);
    return count;
}

/* Fails with what is known of the ranks that are not here. */
static LsStatus fail_timed_out(const LsWait *wait, double seconds)
{
    const LsComm *comm = wait->comm;
    char text[TEXT_BYTES], elsewhere[TEXT_BYTES + 48] = "", names[160];
    char *heard = ls_alloc_array(comm->size, 1);
    double end = ls_seconds() + fmin(5, fmax(0.5, 0.1 * ls_dist_time_limit()));
    int from, answers = 0;
    LsStatus status = heard ? LS_OK : LS_RESOURCE;
    for (int rank = 0; rank < comm->size && status == LS_OK; rank++)
        status = rank == comm->rank ? LS_OK : send_text(ls_dist_watch_comm(comm), rank, TAG_ASK, "");
    while (status == LS_OK && answers < comm->size - 1 && ls_seconds() < end) {
        status = answer_questions(wait, &from, text);
        sched_yield();
        if (status != LS_OK || from < 0 || heard[from])
            continue;
        heard[from] = 1;
        answers++;
        if (!elsewhere[0] && strncmp(text, wait->what, sizeof text - 1) != 0)
            snprintf(elsewhere, sizeof elsewhere, "; rank %d waits for %s", from, text);
    }
    int missing = heard ? name_ranks(heard, comm->size, comm->rank, names, sizeof names) : 0;
    ls_free(heard);
    const char *limit = "(LOCKSTEP_TIMEOUT sets this limit, 0 none)";
    if (missing > 0)
        return ls_fail(LS_LAUNCH,
                       "waiting for %s: nothing has moved for %.0f s, and nothing is heard of rank%s %s, which hang%s "
                       "or stand%s still%s %s",
                       wait->what, seconds, missing > 1 ? "s" : "", names, missing > 1 ? "" : "s",
                       missing > 1 ? "" : "s", elsewhere, limit);
    return ls_fail(LS_LAUNCH,
                   "waiting for %s: nothing has moved for %.0f s, though all other ranks answer: the network does not "
                   "deliver, or the "
                   "ranks have lost step%s %s",
                   wait->what, seconds, elsewhere, limit);
}

bool ls_dist_has_timed_out(void)
{
    int done = 0;
    return abandoned != MPI_REQUEST_NULL && (MPI_Test(&abandoned, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

LsWait ls_wait_begin(const LsComm *comm, const char *what)
{
    return (LsWait){.comm = comm, .what = what, .since = ls_seconds()};
}

/* Lets others have the core: there may be more ranks than cores. Sleeping for a fiftieth of the time waited makes the
 * wait longer by at most that; naps below the system's own precision would be longer than asked. */
static void yield_core(double waited)
{
    double nap = waited * NAP_SHARE;
    if (nap < MIN_NAP) {
        sched_yield();
        return;
    }
    struct timespec time = {.tv_nsec = (long)(1e9 * fmin(nap, MAX_NAP))};
    nanosleep(&time, NULL);
}

LsStatus ls_wait_more(LsWait *wait, bool moved)
{
    double now = ls_seconds();
    char text[TEXT_BYTES];
    int from;
    if (moved)
        wait->since = now;
    if (now - wait->since > ls_dist_time_limit())
        return fail_timed_out(wait, now - wait->since);
    if (now - wait->since > LOOK_SECONDS && now - last_look > LOOK_SECONDS) {
        last_look = now;
        LS_TRY(answer_questions(wait, &from, text));
    }
    yield_core(wait->counters ? now - wait->since : 0);
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
        LsStatus status = ls_wait_more(&wait, false);
        if (status != LS_OK) {
            abandoned = *request;
            return status;
        }
    }
}
