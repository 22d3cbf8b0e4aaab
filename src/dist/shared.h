/* Memory that all ranks of a node can read and write: a float array of each, and one common block. Sums
 * inside a node need no messages, and data that is the same on all ranks is stored once. */
#ifndef LS_DIST_SHARED_H
#define LS_DIST_SHARED_H

#include "lockstep/tensor.h"

#include <mpi.h>
#include <stdatomic.h>

/* At the start of every rank's mapping; written by its owner alone. The counters only grow. */
typedef struct LsSharedHeader {
    uint64_t nonce;
    _Alignas(LS_ALIGN) atomic_uint_fast64_t arrived; /* buckets whose gradients are final here */
    _Alignas(LS_ALIGN) atomic_uint_fast64_t done;    /* buckets whose slice this rank has summed */
    _Alignas(LS_ALIGN) atomic_uint_fast64_t updated; /* steps whose part of the parameters this rank has written */
    atomic_bool failed;                              /* its sums have failed: the neighbours need not wait */
} LsSharedHeader;

typedef struct LsShared {
    int ranks, index;        /* of this node, and this rank's place among them */
    int nodes;               /* all with as many ranks */
    MPI_Comm across;         /* ranks with this index on all nodes; MPI_COMM_NULL with one node */
    LsSharedHeader **header; /* (ranks) */
    float **array;           /* (ranks), each `count` floats, zero at first */
    void **mapping;          /* (ranks) */
    size_t bytes;            /* of a mapping */
    /* `common_bytes`, zero at first, the same memory on every rank of the node; NULL where 0 were asked for */
    char *common;
    size_t common_bytes;
} LsShared;

/* *shared is NULL where memory is not to be shared: one rank a node, nodes with unlike numbers of ranks,
 * LOCKSTEP_SHARED=off; and where it cannot be had, which rank 0 warns of with the reason: use messages. Every rank gets
 * one or none does. Collective. LOCKSTEP_NODE_RANKS=N lets every N ranks of a machine take themselves for a node
 * (tests). */
LsStatus ls_shared_new(const LsComm *comm, int64_t count, size_t common_bytes, LsShared **shared) LS_MUST_USE;
void ls_shared_free(LsShared *shared); /* NULL is allowed */

#endif
