#include "dist/dist.h"

#include "dist/arrival.h"
#include "dist/launch.h"
#include "dist/mpi_call.h"
#include "dist/wait.h"

#include <stdlib.h>
#include <string.h>

/* MPI counts elements in an int. */
#define LARGEST_CALL ((int64_t)1 << 30)

/* Doubles that one gather of allreduce_double takes from each rank. */
#define GATHER 64

#define TEXT_BYTES 4096

typedef struct World {
    LsComm comm;
    MPI_Comm mpi, watch;
    double *gathered; /* (size, GATHER) */
} World;

static World world = {.mpi = MPI_COMM_NULL, .watch = MPI_COMM_NULL};
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

/* Starts a call and waits for it as long as LOCKSTEP_TIMEOUT allows. */
#define CALL(comm, what, function, ...) wait_call(comm, what, function(__VA_ARGS__, &request), #function, &request)

static LsStatus wait_call(const LsComm *comm, const char *what, int code, const char *name, MPI_Request *request)
{
    LS_TRY(ls_mpi_status(code, name));
    return ls_wait_for(comm, request, what);
}

static LsStatus allreduce_float(const LsComm *comm, float *x, int64_t count)
{
    MPI_Request request;
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int part = (int)(count - at < LARGEST_CALL ? count - at : LARGEST_CALL);
        LS_TRY(CALL(comm, "a sum over the ranks", MPI_Iallreduce, MPI_IN_PLACE, x + at, part, MPI_FLOAT, MPI_SUM,
                    world_of(comm)->mpi));
    }
    return LS_OK;
}

/* Every rank gathers all ranks' numbers and adds them in rank order: the same bits on all, whatever the library's
 * algorithm. */
static LsStatus allreduce_double(const LsComm *comm, double *x, int64_t count)
{
    double *gathered = world_of(comm)->gathered;
    MPI_Request request;
    for (int64_t at = 0; at < count; at += GATHER) {
        int part = (int)(count - at < GATHER ? count - at : GATHER);
        LS_TRY(CALL(comm, "a sum over the ranks", MPI_Iallgather, x + at, part, MPI_DOUBLE, gathered, part, MPI_DOUBLE,
                    world_of(comm)->mpi));
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
    MPI_Request request;
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int part = (int)(count - at < LARGEST_CALL ? count - at : LARGEST_CALL);
        LS_TRY(CALL(comm, "an agreement", MPI_Iallreduce, MPI_IN_PLACE, x + at, part, MPI_INT64_T, MPI_MAX,
                    world_of(comm)->mpi));
    }
    return LS_OK;
}

static LsStatus broadcast(const LsComm *comm, void *bytes, int64_t count, int root)
{
    MPI_Request request;
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int part = (int)(count - at < LARGEST_CALL ? count - at : LARGEST_CALL);
        LS_TRY(CALL(comm, "a broadcast", MPI_Ibcast, (char *)bytes + at, part, MPI_BYTE, root, world_of(comm)->mpi));
    }
    return LS_OK;
}

static LsStatus barrier(const LsComm *comm)
{
    MPI_Request request;
    return CALL(comm, "a barrier", MPI_Ibarrier, world_of(comm)->mpi);
}

static void abort_job(const LsComm *comm, LsStatus status)
{
    MPI_Abort(world_of(comm)->mpi, (int)status);
    exit((int)status);
}

/* ---- Start, finish, agree ---------------------------------------------------------------------------------------- */

/* Fills in all of a World but its communicator, which is made. */
static LsStatus fill_comm(World *w)
{
    LS_TRY(ls_mpi_status(MPI_Comm_set_errhandler(w->mpi, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    LS_TRY(ls_mpi_status(MPI_Comm_dup(w->mpi, &w->watch), "MPI_Comm_dup"));
    w->comm = (LsComm){.self = w,
                       .allreduce_float = allreduce_float,
                       .allreduce_double = allreduce_double,
                       .allreduce_max = allreduce_max,
                       .broadcast = broadcast,
                       .barrier = barrier,
                       .scan = ls_mpi_scan,
                       .shift = ls_mpi_shift,
                       .abort = abort_job};
    LS_TRY(ls_mpi_status(MPI_Comm_rank(w->mpi, &w->comm.rank), "MPI_Comm_rank"));
    LS_TRY(ls_mpi_status(MPI_Comm_size(w->mpi, &w->comm.size), "MPI_Comm_size"));
    w->gathered = ls_alloc_array((int64_t)w->comm.size * GATHER, sizeof(double));
    return w->gathered ? LS_OK : LS_RESOURCE;
}

static LsStatus open_world(void)
{
    LS_TRY(ls_mpi_status(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    LS_TRY(ls_mpi_status(MPI_Comm_dup(MPI_COMM_WORLD, &world.mpi), "MPI_Comm_dup"));
    LS_TRY(fill_comm(&world));
    ls_log_mute(world.comm.rank != 0);
    return LS_OK;
}

static void free_world(World *w)
{
    ls_free(w->gathered);
    if (w->watch != MPI_COMM_NULL)
        MPI_Comm_free(&w->watch);
    if (w->mpi != MPI_COMM_NULL)
        MPI_Comm_free(&w->mpi);
}

MPI_Comm ls_dist_watch_comm(const LsComm *comm) { return world_of(comm)->watch; }

MPI_Comm ls_dist_mpi_comm(const LsComm *comm) { return comm->barrier == barrier ? world_of(comm)->mpi : MPI_COMM_NULL; }

LsStatus ls_dist_group(const LsComm *comm, int size, LsComm **group)
{
    *group = NULL;
    if (size == 1)
        return LS_OK;
    World *w = ls_alloc(sizeof *w);
    LS_TRY(ls_dist_agree(comm, w ? LS_OK : LS_RESOURCE));
    w->mpi = w->watch = MPI_COMM_NULL;
    LsStatus status =
        ls_mpi_status(MPI_Comm_split(ls_dist_mpi_comm(comm), comm->rank / size, comm->rank, &w->mpi), "MPI_Comm_split");
    if (status == LS_OK)
        status = fill_comm(w);
    status = ls_dist_agree(comm, status);
    if (status == LS_OK) {
        *group = &w->comm;
        return LS_OK;
    }
    free_world(w);
    ls_free(w);
    return status;
}

void ls_dist_group_free(LsComm *group)
{
    if (!group)
        return;
    World *w = group->self;
    free_world(w);
    ls_free(w);
}

/* MPI_Init and the calls that every rank takes part in behind it. */
static LsStatus begin(int *argc, char ***argv)
{
    int provided = MPI_THREAD_SINGLE;
    unsigned set = ls_launch_set_alone();
    int code = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    ls_launch_restore(set);
    LS_TRY(ls_mpi_status(code, "MPI_Init_thread"));
    started = true;
    if (provided < MPI_THREAD_FUNNELED)
        return ls_fail(LS_LAUNCH,
                       "this MPI library cannot be used with threads (MPI_THREAD_FUNNELED); install one that can");
    LS_TRY(open_world());
    LsStatus status = ls_dist_check_world(world.comm.size);
    if (status == LS_OK)
        status = ls_launch_threads(world.mpi, world.comm.rank);
    return ls_dist_agree(&world.comm, status);
}

LsStatus ls_dist_start(int *argc, char ***argv, const LsComm **comm)
{
    *comm = NULL;
    if (!started) {
        if (finalized)
            return ls_fail(LS_LAUNCH, "MPI was finalized already and cannot start twice in one process");
        LS_TRY(ls_dist_check_launcher());
        ls_arrival_begin();
        LsStatus status = begin(argc, argv);
        ls_arrival_end();
        LS_TRY(status);
    }
    *comm = &world.comm;
    return LS_OK;
}

void ls_dist_finish(void)
{
    if (!started)
        return;
    if (ls_dist_has_timed_out())
        abort_job(&world.comm, LS_LAUNCH);
    free_world(&world);
    MPI_Finalize();
    world = (World){.mpi = MPI_COMM_NULL, .watch = MPI_COMM_NULL};
    started = false;
    finalized = true;
}

static int64_t severity(LsStatus status)
{
    return status == LS_OK ? 0 : status == LS_STOPPED ? 1 : (int64_t)status + 1;
}

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
