/* What ranks that follow each other in time tell each other. */
#include "dist/mpi_call.h"
#include "dist/wait.h"

/* MPI counts elements in an int. */
#define LARGEST_CALL ((int64_t)1 << 30)

enum { TAG_SCAN = 1, TAG_SHIFT };

/* Before and behind this rank, MPI_PROC_NULL at the ends. */
static void neighbours(const LsComm *comm, bool reverse, int *before, int *behind)
{
    int lower = comm->rank > 0 ? comm->rank - 1 : MPI_PROC_NULL,
        upper = comm->rank + 1 < comm->size ? comm->rank + 1 : MPI_PROC_NULL;
    *before = reverse ? upper : lower;
    *behind = reverse ? lower : upper;
}

/* add = decay x + add */
static void advance(const void *x, const void *decay, void *add, int64_t count, bool wide)
{
    if (wide) {
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
LsStatus ls_mpi_scan(const LsComm *comm, void *x, const void *decay, void *add, int64_t count, bool wide, bool reverse)
{
    MPI_Datatype type = wide ? MPI_DOUBLE : MPI_FLOAT;
    int64_t width = wide ? 8 : 4;
    int before, behind;
    MPI_Request request;
    neighbours(comm, reverse, &before, &behind);
    for (int64_t at = 0; at < count; at += LARGEST_CALL) {
        int part = (int)(count - at < LARGEST_CALL ? count - at : LARGEST_CALL);
        char *from = (char *)x + at * width, *to = (char *)add + at * width;
        LS_TRY(ls_mpi_status(MPI_Irecv(from, part, type, before, TAG_SCAN, ls_dist_mpi(comm), &request), "MPI_Irecv"));
        LS_TRY(ls_wait_for(comm, &request, "the state of the tokens before"));
        if (behind == MPI_PROC_NULL)
            continue;
        advance(from, (const char *)decay + at * width, to, part, wide);
        LS_TRY(ls_mpi_status(MPI_Isend(to, part, type, behind, TAG_SCAN, ls_dist_mpi(comm), &request), "MPI_Isend"));
        LS_TRY(ls_wait_for(comm, &request, "the next rank, for a state"));
    }
    return LS_OK;
}

LsStatus ls_mpi_shift(const LsComm *comm, const void *send, void *receive, int64_t bytes, bool back)
{
    int before, behind;
    MPI_Request request[2];
    neighbours(comm, back, &before, &behind);
    for (int64_t at = 0; at < bytes; at += LARGEST_CALL) {
        int part = (int)(bytes - at < LARGEST_CALL ? bytes - at : LARGEST_CALL);
        LS_TRY(ls_mpi_status(
            MPI_Irecv((char *)receive + at, part, MPI_BYTE, before, TAG_SHIFT, ls_dist_mpi(comm), &request[0]),
            "MPI_Irecv"));
        LS_TRY(ls_mpi_status(
            MPI_Isend((const char *)send + at, part, MPI_BYTE, behind, TAG_SHIFT, ls_dist_mpi(comm), &request[1]),
            "MPI_Isend"));
        for (int i = 0; i < 2; i++)
            LS_TRY(ls_wait_for(comm, &request[i], "tokens of a neighbour"));
    }
    return LS_OK;
}
