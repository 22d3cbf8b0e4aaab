/* MPI: the communicator behind LsComm, and the launch checks. The only folder that includes mpi.h. */
#ifndef LS_DIST_DIST_H
#define LS_DIST_DIST_H

#include "lockstep/tensor.h"

/* MPI_Init_thread and a communicator over the world; *comm is the library's until ls_dist_finish. A world of 1 under an mpirun or SLURM environment
 * that says more is LS_LAUNCH; more threads than cores in the affinity mask is a warning with the cure (rank 0). */
LsStatus ls_dist_start(int *argc, char ***argv, const LsComm **comm) LS_MUST_USE;
void ls_dist_finish(void);

/* Agrees on a status: every rank gets the worst (of the lowest rank that has it), and rank 0 its message where it came from another rank. */
LsStatus ls_dist_agree(const LsComm *comm, LsStatus mine);

/* Overlapped sum of a flat gradient array: buckets of about bucket_bytes cut from the end at parameter borders; hand ls_buckets_hooks to backward of
 * the last micro-batch, then finish. overlap off: all starts in finish; the same bits. */
typedef struct LsBuckets LsBuckets;
LsBuckets *ls_buckets_new(const LsComm *comm, const LsParams *params, int64_t bucket_bytes, bool overlap);
const struct LsHooks *ls_buckets_hooks(LsBuckets *buckets);
LsStatus ls_buckets_finish(LsBuckets *buckets) LS_MUST_USE;
double ls_buckets_seconds(const LsBuckets *buckets); /* waited in finish since new */
void ls_buckets_free(LsBuckets *buckets);

#endif
