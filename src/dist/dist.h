/* MPI: the communicator behind LsComm, and the launch checks. The only folder that includes mpi.h.
 *
 *     const LsComm *comm = NULL;
 *     LS_TRY(ls_dist_start(&argc, &argv, &comm));
 *     LsStatus status = ls_dist_agree(comm, prepare_something());   // all ranks go on, or all end
 *     ...
 *     ls_dist_finish();
 *
 * A rank that fails alone must not leave the others waiting: between two collectives every rank keeps its status, and
 * ls_dist_agree (or a flag that travels with a reduction) makes it everybody's. LsComm.abort is for where that cannot
 * be.
 */
#ifndef LS_DIST_DIST_H
#define LS_DIST_DIST_H

#include "lockstep/tensor.h"

/* MPI_Init_thread (funneled) and a communicator over the world; *comm is the library's until ls_dist_finish. Mutes the
 * log of all ranks but 0. Collective. A second call gives the same communicator.
 *
 * Where OMP_NUM_THREADS is unset, sets the rank's threads: the cores of its affinity mask divided by the ranks of its
 * node that share them, within the control group's quota (ls_cores_threads). LS_LAUNCH where the launcher promised more
 * ranks than there are (ls_dist_check_world), LS_USAGE where OMP_NUM_THREADS is absurd; what works against the threads
 * (ls_threads_findings) is a warning with the cure, on rank 0. argc and argv may be NULL. */
LsStatus ls_dist_start(int *argc, char ***argv, const LsComm **comm) LS_MUST_USE;

/* Frees everything and finalizes MPI. Collective; harmless where ls_dist_start was not called or failed. */
void ls_dist_finish(void);

/* Agrees on a status: every rank returns the worst, and has the message of the lowest rank that has it (with "rank N: "
 * in front where that is another one). LS_STOPPED is the mildest after LS_OK. Collective. */
LsStatus ls_dist_agree(const LsComm *comm, LsStatus mine);

/* Whether a call has failed because ranks did not come to it (LOCKSTEP_TIMEOUT), and they still have not: no agreement
 * with them is possible. LsComm.abort is the way out; ls_dist_finish takes it. */
bool ls_dist_has_timed_out(void);

/* The communicator of this rank's group, where every `size` consecutive ranks of comm are one: the ranks that share
 * sequences. size must divide comm->size. NULL for groups of one. Free it before ls_dist_finish. Collective over comm;
 * so is ls_dist_group_free. */
LsStatus ls_dist_group(const LsComm *comm, int size, LsComm **group) LS_MUST_USE;
void ls_dist_group_free(LsComm *group); /* NULL is allowed */

/* This process's number as the launcher tells it, before MPI runs; -1: no launcher started it. */
int ls_dist_launched_rank(void);

/* LS_LAUNCH where the environment says that MPI cannot start: a step of srun without PMIx, of more than one process.
 * Not collective; ls_dist_start asks it. */
LsStatus ls_dist_check_launcher(void) LS_MUST_USE;

/* LS_LAUNCH where this world has one rank and OMPI_COMM_WORLD_SIZE, PMI_SIZE or SLURM_NTASKS (the first that is set)
 * says more: a launcher that started many worlds of one, each of which would do the whole work. Not collective. */
LsStatus ls_dist_check_world(int ranks) LS_MUST_USE;

/* Ranks of this node, as ls_dist_start found them; 1 before it. */
int ls_dist_node_ranks(void);

/* Name and version of the MPI library, one line. */
const char *ls_dist_library(void);

/* Ranks of a node that can share one copy of parameters and moments; 1: they cannot. Collective: the same on every
 * rank. */
int ls_dist_sharing_ranks(const LsComm *comm);

/* ---- Overlapped sum of gradients -------------------------------------------------------------------------------- */

/* Sums a flat gradient array over the ranks in buckets of about bucket_bytes, cut from the end of the array:
 * backward finishes gradients from the end, so buckets can travel while it still works on the front.
 *
 *     LsBuckets *buckets = ls_buckets_new(comm, params, &(LsBucketOptions){.bytes = 4 << 20});  // makes params->grad
 *     ...
 *     LsStatus status = ls_graph_backward(g, run, 1, accumulate, ls_buckets_hooks(buckets)); // last micro-batch
 *     LsStatus summed = ls_buckets_finish(buckets); // also after a failure: other ranks wait for this one
 *
 * Where params->grad is NULL it is allocated, in memory that the ranks of a node share where that can be had. Then
 * the ranks of a node share the optimiser's work too: each sums its slice of every bucket straight from its
 * neighbours' arrays, into its own; slices alone travel between nodes; and `floats` numbers, for values and
 * moments, and a shadow lie in the node's memory once. Otherwise, and where params->grad is there already, every
 * rank gets the whole sum by messages, and has no such arrays.
 *
 * A sum follows a tree over the ranks (dist/tree.h): its bits depend neither on the buckets, nor on overlap, nor on
 * the way that the sums take as long as nodes have 1, 2, 4, 8 ... ranks. With `bfloat16` what travels in messages is
 * rounded (dist/exchange.h): half the bytes. NULL with a message when out of memory. Collective; so is
 * ls_buckets_free, which takes away the params->grad that ls_buckets_new made. */
typedef struct LsBucketOptions {
    int64_t bytes;
    bool overlap;
    bool bfloat16;  /* in messages */
    int64_t floats; /* of the node's memory, zero at first; a multiple of LS_ALIGN / sizeof(float) */
    bool shadow;    /* and (params->total) 16-bit numbers */
} LsBucketOptions;
typedef struct LsBuckets LsBuckets;
LsBuckets *ls_buckets_new(const LsComm *comm, LsParams *params, const LsBucketOptions *options);
const struct LsHooks *ls_buckets_hooks(LsBuckets *buckets);

/* Bytes of work space for messages, at most. */
int64_t ls_buckets_message_bytes(const LsParams *params);

/* Starts what has not started, waits for all; then params->grad is the sum (in this rank's ranges, where ranks share).
 * Ready for the next step. Collective. LS_LAUNCH where the library fails, a neighbour has failed, or nothing moves for
 * LOCKSTEP_TIMEOUT seconds (default 1800; 0: for ever): from then on these buckets do nothing but fail, the other ranks
 * may still wait, and LsComm.abort is the way out. */
LsStatus ls_buckets_finish(LsBuckets *buckets) LS_MUST_USE;

/* From the next sum on, buckets alone that hold any of the floats [first, first + count) are summed: the others'
 * gradients are left as they are. What those buckets hold besides must be zero. Every rank alike, between sums. */
void ls_buckets_select(LsBuckets *buckets, int64_t first, int64_t count);

/* Sum of squares of what was summed, after ls_buckets_finish: blocks of a fixed size in order, whoever summed them. */
double ls_buckets_squares(LsBuckets *buckets);

/* Ranks of the node that share the work, and this one's place among them; 1: this one has the whole sum. */
int ls_buckets_sharing_ranks(const LsBuckets *buckets);
int ls_buckets_sharing_index(const LsBuckets *buckets);

/* Where they share: this rank's ranges (one a bucket), which together with its neighbours' make the whole array, and
 * the node's arrays. All of these are the library's, gone with the buckets. */
typedef struct LsRange {
    int64_t first, count;
} LsRange;
int ls_buckets_owned_ranges(const LsBuckets *buckets, const LsRange **range);
float *ls_buckets_floats(const LsBuckets *buckets);    /* NULL where they share nothing */
uint16_t *ls_buckets_shadow(const LsBuckets *buckets); /* NULL where none was asked for */

/* After ls_buckets_finish: params->grad is the sum from `first` on too, whoever of the node has summed it, until the
 * next backward. For what must see a whole parameter. Not collective. */
void ls_buckets_gather(LsBuckets *buckets, int64_t first, int64_t count);

/* Whether this rank is the first of its node, which fills the node's arrays. */
bool ls_buckets_is_leader(const LsBuckets *buckets);

/* This rank has written its ranges of the node's arrays; returns when its neighbours have, too. Errors as
 * ls_buckets_finish. Collective. */
LsStatus ls_buckets_wait_updates(LsBuckets *buckets) LS_MUST_USE;

/* Broadcasts the node's arrays of rank 0 to the other nodes; afterwards every rank may read them. Collective. */
LsStatus ls_buckets_broadcast(LsBuckets *buckets) LS_MUST_USE;

/* Where communication's time went, in seconds of this rank since new. Sums are in flight from the start of a bucket
 * until all are done. Of that time `inside` + `waited` is lost to computing, and the rest is hidden behind it. */
typedef struct LsBucketTimes {
    double inside;    /* in the hooks, between nodes of backward: own slices summed, the library driven */
    double waited;    /* in ls_buckets_finish */
    double in_flight; /* some bucket was started and not done */
} LsBucketTimes;
LsBucketTimes ls_buckets_times(const LsBuckets *buckets);
void ls_buckets_times_reset(LsBuckets *buckets); /* between steps */

/* Share of the communication's time that computing hid: 1 - (inside + waited) / in_flight; 0 where there was none. */
double ls_buckets_hidden_share(LsBucketTimes times);

/* Switches overlap on or off from the next step on: the same bits. Every rank alike. */
void ls_buckets_set_overlap(LsBuckets *buckets, bool overlap);

/* ---- How fast sums of gradients are ------------------------------------------------------------------------------ */

typedef struct LsLink {
    double latency;   /* seconds of a small sum */
    double bandwidth; /* bytes of gradients a second, of a large one */
} LsLink;

/* Of this launch, of buckets as it sums them: measured in a fraction of a second, kept for a month in the file of
 * peaks/kept.h of rank 0's machine. The same on every rank. Zeros where there is one rank. Collective. */
LsStatus ls_link_measure(const LsComm *comm, LsLink *link) LS_MUST_USE;

/* A power of two of bytes at which latency is at most a twentieth of a bucket's time, from 256 KiB to 64 MiB: larger
 * buckets would only make the last one, which nothing hides, longer. */
int64_t ls_link_bucket_bytes(const LsLink *link);

int ls_buckets_count(const LsBuckets *buckets);
void ls_buckets_free(LsBuckets *buckets); /* NULL is allowed */

#endif
