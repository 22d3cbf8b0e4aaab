/* Latency and bandwidth of sums of gradients over the ranks of this launch: buckets are sized by them. */
#include "dist/dist.h"
#include "peaks/kept.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SMALL ((int64_t)1024) /* floats */
#define LARGE ((int64_t)4 << 20)
#define SMALL_TRIES 30
#define LARGE_TRIES 4

#define SECONDS_KEPT (30 * 86400.0)
#define LATENCY_SHARE 0.05
#define MIN_BYTES ((int64_t)256 << 10)
#define MAX_BYTES ((int64_t)64 << 20)

static const char *const names[] = {"latency", "bandwidth", "measured"};

/* Launches alike have like links. */
static LsStatus make_key(const LsComm *comm, char *key, size_t room)
{
    char machine[256];
    const char *nodes = getenv("SLURM_JOB_NUM_NODES"), *shared = getenv("LOCKSTEP_SHARED");
    LS_TRY(ls_machine_key(machine, sizeof machine));
    snprintf(key, room, "sums of gradients: %d ranks, %s nodes, %s%s", comm->size, nodes ? nodes : "some", machine,
             shared && *shared ? ", messages only" : "");
    return LS_OK;
}

/* The best of several sums of `count` floats, of the slowest rank. Collective. */
static LsStatus time_sums(const LsComm *comm, int64_t count, int tries, double *seconds)
{
    LsParam one = {.name = "x", .rank = 1, .dim = {count}, .count = count};
    LsParams params = {.list = &one, .count = 1, .total = count, .sealed = true};
    LsStatus status = LS_OK;
    *seconds = INFINITY;
    LsBuckets *buckets = ls_buckets_new(comm, &params, &(LsBucketOptions){.bytes = count * (int64_t)sizeof(float)});
    if (!buckets)
        return ls_message_status();
    for (int i = 0; i < tries && status == LS_OK; i++) {
        status = comm->barrier(comm);
        double start = ls_seconds();
        if (status == LS_OK)
            status = ls_buckets_finish(buckets);
        *seconds = fmin(*seconds, ls_seconds() - start);
    }
    ls_buckets_free(buckets);
    LS_TRY(status);
    int64_t nanoseconds = (int64_t)(*seconds * 1e9);
    LS_TRY(comm->allreduce_max(comm, &nanoseconds, 1));
    *seconds = 1e-9 * (double)(nanoseconds > 0 ? nanoseconds : 1);
    return LS_OK;
}

static LsStatus measure_link(const LsComm *comm, LsLink *link)
{
    double small, large;
    LS_TRY(time_sums(comm, SMALL, SMALL_TRIES, &small));
    LS_TRY(time_sums(comm, LARGE, LARGE_TRIES, &large));
    link->latency = small;
    link->bandwidth = (double)(LARGE - SMALL) * sizeof(float) / fmax(large - small, 0.01 * large);
    return LS_OK;
}

LsStatus ls_link_measure(const LsComm *comm, LsLink *link)
{
    char key[512];
    double value[3] = {0};
    *link = (LsLink){0};
    if (comm->size == 1)
        return LS_OK;
    LS_TRY(ls_dist_agree(comm, make_key(comm, key, sizeof key)));
    if (comm->rank == 0 &&
        (!ls_machine_read(key, 3, names, value) || fabs((double)time(NULL) - value[2]) > SECONDS_KEPT))
        value[0] = value[1] = 0;
    LS_TRY(comm->broadcast(comm, value, sizeof value, 0));
    *link = (LsLink){value[0], value[1]};
    if (link->latency > 0 && link->bandwidth > 0)
        return LS_OK;
    LS_TRY(measure_link(comm, link));
    LS_TRY(comm->broadcast(comm, link, sizeof *link, 0));
    if (comm->rank == 0)
        ls_machine_write(key, 3, names, (double[]){link->latency, link->bandwidth, (double)time(NULL)});
    return LS_OK;
}

int64_t ls_link_bucket_bytes(const LsLink *link)
{
    double wanted = link->latency * link->bandwidth / LATENCY_SHARE;
    int64_t bytes = MIN_BYTES;
    while (bytes < MAX_BYTES && (double)bytes < wanted)
        bytes *= 2;
    return bytes;
}
