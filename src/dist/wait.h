/* Waiting for other ranks, with an end: a rank that hangs must not hold the job for ever. */
#ifndef LS_DIST_WAIT_H
#define LS_DIST_WAIT_H

#include "lockstep/tensor.h"

#include <mpi.h>

typedef struct LsWait {
    const LsComm *comm;
    const char *what; /* "a barrier": for messages, here and at the ranks that ask */
    double since;     /* nothing has moved since then */
    /* set where only counters in shared memory are waited for: no message stands still while this rank sleeps */
    bool counters;
} LsWait;

LsWait ls_wait_begin(const LsComm *comm, const char *what);

/* Lets others use the core (sleeping, where that holds nothing up), and answers ranks that ask. moved: something has
 * come since the last call. LS_LAUNCH after LOCKSTEP_TIMEOUT seconds without that, with the ranks of which nothing
 * is heard. */
LsStatus ls_wait_more(LsWait *wait, bool moved) LS_MUST_USE;

/* Until the request is complete. After a failure it still is the library's, with its buffers: end the job
 * (ls_dist_has_timed_out). */
LsStatus ls_wait_for(const LsComm *comm, MPI_Request *request, const char *what) LS_MUST_USE;

#endif
