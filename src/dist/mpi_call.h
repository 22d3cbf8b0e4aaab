/* The one wrapper around calls of MPI: keeps the library's own text of an error. */
#ifndef LS_DIST_MPI_CALL_H
#define LS_DIST_MPI_CALL_H

#include "lockstep/tensor.h"

#include <mpi.h>

/* LS_OK, or LS_LAUNCH with "MPI_Allreduce: <text of the library>". */
LsStatus ls_mpi_status(int code, const char *call) LS_MUST_USE;

/* Seconds that a rank waits for others without any progress before it gives the job up: LOCKSTEP_TIMEOUT, else half an
 * hour. */
double ls_dist_time_limit(void);

/* The communicator behind `comm`, MPI_COMM_NULL where it is not one of MPI's. */
MPI_Comm ls_dist_mpi_comm(const LsComm *comm);

/* The same ranks, for questions who is where. */
MPI_Comm ls_dist_watch_comm(const LsComm *comm);

/* LsComm's scan and shift. */
LsStatus ls_mpi_scan(const LsComm *comm, void *x, const void *decay, void *add, int64_t count, bool doubles,
                     bool reverse);
LsStatus ls_mpi_shift(const LsComm *comm, const void *send, void *receive, int64_t bytes, bool back);

#endif
