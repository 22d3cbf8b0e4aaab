/* Messages between ranks that hold neighbouring segments of a sequence. */
#include "dist/mpi_call.h"
#include "dist/wait.h"

/* MPI counts elements in an int. */
#define LARGEST_CALL ((int64_t)1 << 30)

enum { TAG_SCAN = 1, TAG_SHIFT };

/* The ranks before and after this one, MPI_PROC_NULL at the ends. */
static void find_neighbours(const LsComm *comm, bool reverse, int *before, int *after)
{
    int lower = comm->rank > 0 ? comm->rank - 1 : MPI_PROC_NULL,
        upper = comm->rank + 1 < comm->size ? comm->rank + 1 : MPI_PROC_NULL;
    *before = reverse ? upper : lower;
    *after = reverse ? lower : upper;
}

/* add = decay x + add */
static void add_decayed(const void *x, const void *decay, void *add, int64_t count, bool doubles)
{
    if (doubles) {
        const double *from = x, *factor = decay;
        double *to = add;
        for (int64_t i = 0; i < count; i++)
            to[i] += factor[i] * from[i];
    } else {
        const float *from = x, *factor = decay;
        float *to = add;
        for (int64_t i = 0; i < count; i++)
            to[i] += factor[i] * from[i];
    }
}

/* From rank to rank: the order of the sums, and so every bit, is that of the recurrence itself. What travels is x
 * alone, half of what a scan of (decay, add) pairs moves, and a rank waits for messages only: its own steps' summary is
 * made before. */
LsStatus ls_mpi_scan(const LsComm *comm, void *x, const void *decay, void *add, int64_t count, bool doubles,
                     bool reverse)
{
    MPI_Datatype type = doubles ? MPI_DOUBLE : MPI_FLOAT;
    int64_t width = doubles ? 8 : 4;
    int before, after;
    MPI_Request request;
    find_neighbours(comm, reverse, &before, &after);
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int part = (int)(count - at < LARGEST_CALL ? count - at : LARGEST_CALL);
        char *from = (char *)x + at * width, *to = (char *)add + at * width;
        LS_TRY(ls_mpi_status(MPI_Irecv(from, part, type, before, TAG_SCAN, ls_dist_mpi_comm(comm), &request),
                             "MPI_Irecv"));
        LS_TRY(ls_wait_for(comm, &request, "the state of the tokens before"));
        if (after == MPI_PROC_NULL)
            continue;
        add_decayed(from, (const char *)decay + at * width, to, part, doubles);
        LS_TRY(
            ls_mpi_status(MPI_Isend(to, part, type, after, TAG_SCAN, ls_dist_mpi_comm(comm), &request), "MPI_Isend"));
        LS_TRY(ls_wait_for(comm, &request, "the next rank, for a state"));
    }
    return LS_OK;
}

LsStatus ls_mpi_shift(const LsComm *comm, const void *send, void *receive, int64_t bytes, bool back)
{
    int before, after;
    MPI_Request request[2];
    find_neighbours(comm, back, &before, &after);
    for (int64_t at = 0; at < bytes; at += LARGEST_CALL) {
        int part = (int)(bytes - at < LARGEST_CALL ? bytes - at : LARGEST_CALL);
        LS_TRY(ls_mpi_status(
            MPI_Irecv((char *)receive + at, part, MPI_BYTE, before, TAG_SHIFT, ls_dist_mpi_comm(comm), &request[0]),
            "MPI_Irecv"));
        LS_TRY(ls_mpi_status(
            MPI_Isend((const char *)send + at, part, MPI_BYTE, after, TAG_SHIFT, ls_dist_mpi_comm(comm), &request[1]),
            "MPI_Isend"));
        for (int i = 0; i < 2; i++)
            LS_TRY(ls_wait_for(comm, &request[i], "tokens of a neighbour"));
    }
    return LS_OK;
}
