#include "dist/dist.h"

#include "dist/launch.h"
#include "dist/mpi_call.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* MPI counts elements in an int. */
#define LARGEST_CALL ((int64_t)1 << 30)

/* Doubles that one gather of allreduce_double takes from each rank. */
#define GATHER 64

#define TEXT_BYTES 4096

struct LsRequest {
    MPI_Request mpi;
    bool used;
    LsRequest *next;
};

typedef struct World {
    LsComm comm;
    MPI_Comm mpi;
    double *gathered; /* (size, GATHER) */
    LsRequest *requests; /* every one ever made; reused, so that a step allocates nothing once it has seen its buckets */
} World;

static World world = {.mpi = MPI_COMM_NULL};
static bool started, finalized;

LsStatus ls_mpi_status(int code, const char *call)
{
    if (code == MPI_SUCCESS)
        return LS_OK;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
        return ls_fail(LS_LAUNCH, "%s: error %d", call, code);
    return ls_fail(LS_LAUNCH, "%s: %.*s", call, length, text);
}

static const World *world_of(const LsComm *comm) { return comm->self; }

/* ---- LsComm ----------------------------------------------------------------------------------------------------- */

static LsStatus allreduce_float(const LsComm *comm, float *x, int64_t count)
{
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int64_t part = count - at < LARGEST_CALL ? count - at : LARGEST_CALL;
        LS_TRY(ls_mpi_status(MPI_Allreduce(MPI_IN_PLACE, x + at, (int)part, MPI_FLOAT, MPI_SUM, world_of(comm)->mpi),
                             "MPI_Allreduce"));
    }
    return LS_OK;
}

/* Every rank gets all parts and adds them in rank order: the same bits on all, whatever the library's algorithm. */
static LsStatus allreduce_double(const LsComm *comm, double *x, int64_t count)
{
    double *gathered = world_of(comm)->gathered;
    for (int64_t at = 0; at < count; at += GATHER) {
        int part = (int)(count - at < GATHER ? count - at : GATHER);
        LS_TRY(ls_mpi_status(MPI_Allgather(x + at, part, MPI_DOUBLE, gathered, part, MPI_DOUBLE, world_of(comm)->mpi),
                             "MPI_Allgather"));
        for (int i = 0; i < part; i++) {
            double sum = gathered[i];
            for (int rank = 1; rank < comm->size; rank++)
                sum += gathered[rank * part + i];
            x[at + i] = sum;
        }
    }
    return LS_OK;
}

static LsStatus allreduce_max(const LsComm *comm, int64_t *x, int64_t count)
{
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int64_t part = count - at < LARGEST_CALL ? count - at : LARGEST_CALL;
        LS_TRY(ls_mpi_status(MPI_Allreduce(MPI_IN_PLACE, x + at, (int)part, MPI_INT64_T, MPI_MAX, world_of(comm)->mpi),
                             "MPI_Allreduce"));
    }
    return LS_OK;
}

static LsStatus broadcast(const LsComm *comm, void *bytes, int64_t count, int root)
{
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int64_t part = count - at < LARGEST_CALL ? count - at : LARGEST_CALL;
        LS_TRY(ls_mpi_status(MPI_Bcast((char *)bytes + at, (int)part, MPI_BYTE, root, world_of(comm)->mpi), "MPI_Bcast"));
    }
    return LS_OK;
}

static LsStatus barrier(const LsComm *comm) { return ls_mpi_status(MPI_Barrier(world_of(comm)->mpi), "MPI_Barrier"); }

static LsRequest *free_request(World *w)
{
    for (LsRequest *request = w->requests; request; request = request->next)
        if (!request->used)
            return request;
    LsRequest *request = ls_alloc(sizeof *request);
    if (!request)
        return NULL;
    request->next = w->requests;
    w->requests = request;
    return request;
}

static LsStatus start_sum(const LsComm *comm, float *x, int64_t count, LsRequest **request)
{
    *request = NULL;
    if (count > LARGEST_CALL)
        return ls_fail(LS_LAUNCH, "sum over the ranks: %lld elements at once, at most %lld are possible", (long long)count,
                       (long long)LARGEST_CALL);
    LsRequest *r = free_request(comm->self);
    if (!r)
        return LS_RESOURCE;
    LS_TRY(ls_mpi_status(MPI_Iallreduce(MPI_IN_PLACE, x, (int)count, MPI_FLOAT, MPI_SUM, world_of(comm)->mpi, &r->mpi),
                         "MPI_Iallreduce"));
    r->used = true;
    *request = r;
    return LS_OK;
}

/* Testing one request drives the library's progress of all. */
static LsStatus progress(const LsComm *comm)
{
    for (LsRequest *request = world_of(comm)->requests; request; request = request->next)
        if (request->used && request->mpi != MPI_REQUEST_NULL) {
            int done = 0;
            return ls_mpi_status(MPI_Test(&request->mpi, &done, MPI_STATUS_IGNORE), "MPI_Test");
        }
    return LS_OK;
}

static LsStatus test(const LsComm *comm, LsRequest *request, bool *done)
{
    (void)comm;
    int complete = 0;
    LS_TRY(ls_mpi_status(MPI_Test(&request->mpi, &complete, MPI_STATUS_IGNORE), "MPI_Test"));
    *done = complete;
    return LS_OK;
}

double ls_dist_time_limit(void)
{
    const char *text = getenv("LOCKSTEP_TIMEOUT");
    double seconds = text && *text ? atof(text) : 1800;
    return seconds > 0 ? seconds : HUGE_VAL;
}

static LsStatus finish(const LsComm *comm, LsRequest **request)
{
    (void)comm;
    LsRequest *r = *request;
    *request = NULL;
    if (!r)
        return LS_OK;
    int done = 0;
    double start = ls_seconds();
    while (!done) {
        LS_TRY(ls_mpi_status(MPI_Test(&r->mpi, &done, MPI_STATUS_IGNORE), "MPI_Test"));
        if (!done && ls_seconds() - start > ls_dist_time_limit())
            return ls_fail(LS_LAUNCH, "a sum over the ranks is not complete after %.0f s: a rank hangs, or the network does (LOCKSTEP_TIMEOUT "
                                      "sets this limit, 0 none)", ls_seconds() - start);
        if (!done)
            sched_yield();
    }
    r->used = false;
    return LS_OK;
}

static void abort_job(const LsComm *comm, LsStatus status)
{
    MPI_Abort(world_of(comm)->mpi, (int)status);
    exit((int)status);
}

/* ---- Start, finish, agree ----------------------------------------------------------------------------------------- */

/* The rest of a World whose communicator is made. */
static LsStatus complete(World *w)
{
    LS_TRY(ls_mpi_status(MPI_Comm_set_errhandler(w->mpi, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    w->comm = (LsComm){.self = w,
                       .allreduce_float = allreduce_float,
                       .allreduce_double = allreduce_double,
                       .allreduce_max = allreduce_max,
                       .broadcast = broadcast,
                       .barrier = barrier,
                       .scan = ls_mpi_scan,
                       .shift = ls_mpi_shift,
                       .start_sum = start_sum,
                       .progress = progress,
                       .test = test,
                       .finish = finish,
                       .abort = abort_job};
    LS_TRY(ls_mpi_status(MPI_Comm_rank(w->mpi, &w->comm.rank), "MPI_Comm_rank"));
    LS_TRY(ls_mpi_status(MPI_Comm_size(w->mpi, &w->comm.size), "MPI_Comm_size"));
    w->gathered = ls_alloc_array((int64_t)w->comm.size * GATHER, sizeof(double));
    return w->gathered ? LS_OK : LS_RESOURCE;
}

static LsStatus fill_world(void)
{
    LS_TRY(ls_mpi_status(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    LS_TRY(ls_mpi_status(MPI_Comm_dup(MPI_COMM_WORLD, &world.mpi), "MPI_Comm_dup"));
    LS_TRY(complete(&world));
    ls_log_mute(world.comm.rank != 0);
    return LS_OK;
}

static void empty(World *w)
{
    for (LsRequest *next; w->requests; w->requests = next) {
        next = w->requests->next;
        ls_free(w->requests);
    }
    ls_free(w->gathered);
    if (w->mpi != MPI_COMM_NULL)
        MPI_Comm_free(&w->mpi);
}

MPI_Comm ls_dist_mpi(const LsComm *comm) { return comm->barrier == barrier ? world_of(comm)->mpi : MPI_COMM_NULL; }

LsStatus ls_dist_group(const LsComm *comm, int size, LsComm **group)
{
    *group = NULL;
    if (size == 1)
        return LS_OK;
    World *w = ls_alloc(sizeof *w);
    LS_TRY(ls_dist_agree(comm, w ? LS_OK : LS_RESOURCE));
    w->mpi = MPI_COMM_NULL;
    LsStatus status = ls_mpi_status(MPI_Comm_split(ls_dist_mpi(comm), comm->rank / size, comm->rank, &w->mpi), "MPI_Comm_split");
    if (status == LS_OK)
        status = complete(w);
    status = ls_dist_agree(comm, status);
    if (status == LS_OK) {
        *group = &w->comm;
        return LS_OK;
    }
    empty(w);
    ls_free(w);
    return status;
}

void ls_dist_group_free(LsComm *group)
{
    if (!group)
        return;
    World *w = group->self;
    empty(w);
    ls_free(w);
}

LsStatus ls_dist_start(int *argc, char ***argv, const LsComm **comm)
{
    *comm = NULL;
    if (!started) {
        if (finalized)
            return ls_fail(LS_LAUNCH, "MPI was finalized already and cannot start twice in one process");
        int provided = MPI_THREAD_SINGLE;
        LS_TRY(ls_mpi_status(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread"));
        started = true;
        if (provided < MPI_THREAD_FUNNELED)
            return ls_fail(LS_LAUNCH, "this MPI library cannot be used with threads (MPI_THREAD_FUNNELED); install one that can");
        LS_TRY(fill_world());
        LsStatus status = ls_dist_check_world(world.comm.size);
        if (status == LS_OK)
            status = ls_launch_threads(world.mpi, world.comm.rank);
        LS_TRY(ls_dist_agree(&world.comm, status));
    }
    *comm = &world.comm;
    return LS_OK;
}

void ls_dist_finish(void)
{
    if (!started)
        return;
    empty(&world);
    MPI_Finalize();
    world = (World){.mpi = MPI_COMM_NULL};
    started = false;
    finalized = true;
}

static int64_t severity(LsStatus status) { return status == LS_OK ? 0 : status == LS_STOPPED ? 1 : (int64_t)status + 1; }

LsStatus ls_dist_agree(const LsComm *comm, LsStatus mine)
{
    if (comm->size == 1)
        return mine;
    /* the largest wins: severity first, then the lowest rank, then (for decoding) the status */
    int64_t worst = severity(mine) << 40 | (int64_t)(0xffffff - comm->rank) << 8 | (int64_t)mine;
    LS_TRY(comm->allreduce_max(comm, &worst, 1));
    LsStatus status = (LsStatus)(worst & 0xff);
    if (status == LS_OK)
        return LS_OK;
    int root = (int)(0xffffff - (worst >> 8 & 0xffffff));
    char text[TEXT_BYTES] = "";
    if (comm->rank == root)
        strncat(text, ls_message(), sizeof text - 1);
    LS_TRY(comm->broadcast(comm, text, sizeof text, root));
    if (comm->rank == root)
        return status;
    return ls_fail(status, "rank %d: %s", root, text);
}

const char *ls_dist_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (MPI_Get_library_version(text, &length) != MPI_SUCCESS)
        return "MPI of unknown version";
    text[strcspn(text, ",\n")] = '\0';
    return text;
}
