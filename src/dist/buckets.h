/* The insides of LsBuckets, shared by the files that make and use it. */
#ifndef LS_DIST_BUCKETS_H
#define LS_DIST_BUCKETS_H

#include "dist/dist.h"
#include "dist/exchange.h"
#include "dist/shared.h"
#include "lockstep/graph.h"

#define LS_MAX_EXCHANGES 8

typedef struct LsBucket {
    int64_t first, count; /* floats of params->grad: from the border of a block of squares to another */
    LsRange slice;        /* of it, what this rank sums */
    double start;         /* when its sum began, this step */
} LsBucket;

/* The stages of a bucket: begun (its gradients are final here), summed (its slice, in the node), sent (its slice
 * travels), done. Each stage counts the buckets of this step that have come to it, at most the count of the stage
 * before. */
struct LsBuckets {
    const LsComm *comm;
    LsParams *params;
    LsBucketOptions options;
    LsShared *shared; /* NULL: messages only */
    LsRange *owned;   /* (all_count) slices, where shared */
    double *square;   /* squares of the sum, by blocks; in the node's memory where shared */
    bool owns_grad;
    LsBucket *all; /* from the end of the array to its start: the order in which backward finishes them */
    int all_count;
    LsBucket *bucket; /* of them, those that are summed: all, but for ls_buckets_select */
    int count;
    int64_t first_block, blocks; /* of squares, that these cover */
    int begun, summed, sent, done;
    uint64_t earlier_buckets;               /* of the steps before: shared counters only grow */
    uint64_t steps;                         /* whose parameters are written */
    MPI_Comm across;                        /* whose ranks exchange slices; MPI_COMM_NULL: nobody does */
    LsExchange *exchange[LS_MAX_EXCHANGES]; /* taken in turn */
    int exchanges;
    bool moved;        /* a message has come, or a neighbour, since the last look */
    LsStatus failed;   /* a sum has failed: nothing is waited for any more */
    double busy_since; /* some bucket is in flight since then; 0: none is; -1: ls_buckets_finish keeps the time */
    LsBucketTimes times;
    LsHooks hooks;
};

void ls_buckets_set_hooks(LsBuckets *buckets);

#endif
