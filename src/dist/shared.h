/* One float array a rank, in memory that all ranks of its node can read and write: sums inside a node need no messages. */
#ifndef LS_DIST_SHARED_H
#define LS_DIST_SHARED_H

#include "lockstep/tensor.h"

#include <mpi.h>
#include <stdatomic.h>

/* At the start of every rank's mapping; written by its owner alone. Both counters only grow. */
typedef struct LsSharedHeader {
    uint64_t nonce;
    _Alignas(LS_ALIGN) atomic_uint_fast64_t arrived; /* buckets whose gradients are final here */
    _Alignas(LS_ALIGN) atomic_uint_fast64_t done;    /* buckets whose slice this rank has summed and spread */
    atomic_bool broken;                              /* its sums have failed: the neighbours need not wait */
} LsSharedHeader;

typedef struct LsShared {
    int ranks, index;        /* of this node, and this rank's place among them */
    int nodes;               /* all with as many ranks */
    MPI_Comm across;         /* ranks with this index on all nodes; MPI_COMM_NULL with one node */
    LsSharedHeader **header; /* (ranks) */
    float **array;           /* (ranks), each `count` floats, zero at first */
    void **mapping;          /* (ranks) */
    size_t bytes;            /* of a mapping */
} LsShared;

/* NULL where memory cannot be shared (one rank a node, nodes with unlike numbers of ranks, a system without it): use
 * messages. Every rank gets one or none does. Collective. LOCKSTEP_SHARED=off switches it off; LOCKSTEP_NODE_RANKS=N lets every
 * N ranks of a machine take themselves for a node (tests). */
LsShared *ls_shared_new(const LsComm *comm, int64_t count);
void ls_shared_free(LsShared *shared); /* NULL is allowed */

#endif
