#include "dist/dist.h"

#include "base/trace.h"
#include "dist/mpi_call.h"
#include "dist/shared.h"
#include "lockstep/graph.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/* One MPI call takes at most this many floats: a bucket that a large parameter makes larger is cut. */
#define LARGEST_BUCKET ((int64_t)1 << 28)

/* Floats summed at once: the running sum stays in the first-level cache. */
#define BLOCK ((int64_t)2048)

typedef struct Bucket {
    int64_t first, count; /* floats of params->grad */
    double start;         /* when its sum began, this step */
    LsRequest *request;   /* without shared memory */
    MPI_Request across;   /* with it: the sum of this rank's slice over the nodes */
} Bucket;

struct LsBuckets {
    const LsComm *comm;
    LsParams *params;
    LsShared *shared;  /* NULL: messages only */
    LsShared *sharded; /* further arrays in shared memory, one after the other in each rank's mapping; NULL: sums go to all */
    int64_t shadow_at; /* floats before the shadow in those; -1: there is none */
    LsRange *owned;    /* (count) this rank's slices, where sharded */
    bool owns_grad;
    Bucket *bucket;    /* from the end of the array to its start: the order in which backward finishes them */
    int count;
    int begun;         /* this step: buckets 0 .. begun - 1 are under way or done */
    int summed;        /* with shared memory: of those, slices summed in the node */
    int spread;        /* of those, slices that all neighbours have; without shared memory, sums that are complete */
    uint64_t earlier;  /* buckets of the steps before, for the counters that only grow */
    bool overlap;
    LsStatus broken;   /* a sum has failed: nothing is waited for any more */
    double busy_since; /* some bucket is under way since then; 0: none is; -1: ls_buckets_finish keeps the time */
    LsBucketTimes times;
    LsHooks hooks;
};

/* ---- The clock ----------------------------------------------------------------------------------------------------- */

static void note_begun(LsBuckets *b, Bucket *bucket)
{
    bucket->start = ls_seconds();
    if (b->busy_since == 0)
        b->busy_since = bucket->start;
}

/* The next bucket in order is done. */
static void note_done(LsBuckets *b)
{
    double now = ls_seconds();
    if (ls_trace_on()) {
        char name[48];
        snprintf(name, sizeof name, "bucket %d", b->spread);
        ls_trace_event(LS_TRACE_SUMS, "communication", name, b->bucket[b->spread].start, now);
    }
    b->spread++;
    if (b->spread < b->begun || b->busy_since <= 0)
        return;
    b->times.under_way += now - b->busy_since;
    b->busy_since = 0;
}

LsBucketTimes ls_buckets_times(const LsBuckets *buckets) { return buckets->times; }

void ls_buckets_times_reset(LsBuckets *buckets) { buckets->times = (LsBucketTimes){0}; }

double ls_buckets_hidden(LsBucketTimes times)
{
    double taken = times.inside + times.waited;
    return times.under_way > taken ? 1 - taken / times.under_way : 0;
}

void ls_buckets_set_overlap(LsBuckets *buckets, bool overlap) { buckets->overlap = overlap; }

/* ---- Inside a node ------------------------------------------------------------------------------------------------- */

/* The part of a bucket that rank `index` of the node sums, in whole cache lines. */
static void slice_at(const LsBuckets *b, const Bucket *bucket, int index, int64_t *first, int64_t *count)
{
    const int64_t line = LS_ALIGN / (int64_t)sizeof(float);
    int64_t lines = (bucket->count + line - 1) / line, ranks = b->shared->ranks;
    int64_t from = lines * index / ranks * line, to = lines * (index + 1) / ranks * line;
    to = to < bucket->count ? to : bucket->count;
    *first = bucket->first + from;
    *count = to - from;
}

static void slice_of(const LsBuckets *b, const Bucket *bucket, int64_t *first, int64_t *count)
{
    slice_at(b, bucket, b->shared->index, first, count);
}

/* Sums floats [first, first + count) of all arrays of the node in rank order, and writes the sum to all of them or to this rank's. */
static void sum_block(const LsShared *s, int64_t first, int64_t count, bool to_all)
{
    float sum[BLOCK];
    memcpy(sum, s->array[0] + first, (size_t)count * sizeof(float));
    for (int rank = 1; rank < s->ranks; rank++) {
        const float *x = s->array[rank] + first;
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            sum[i] += x[i];
    }
    for (int rank = 0; rank < s->ranks; rank++)
        if (to_all || rank == s->index)
            memcpy(s->array[rank] + first, sum, (size_t)count * sizeof(float));
}

static void sum_slice(const LsBuckets *b, const Bucket *bucket)
{
    int64_t first, count;
    slice_of(b, bucket, &first, &count);
#pragma omp parallel for schedule(static) if (count > 8 * BLOCK)
    for (int64_t at = 0; at < count; at += BLOCK)
        sum_block(b->shared, first + at, count - at < BLOCK ? count - at : BLOCK, b->shared->nodes == 1 && !b->sharded);
}

static void spread_slice(const LsBuckets *b, const Bucket *bucket)
{
    const LsShared *s = b->shared;
    int64_t first, count;
    slice_of(b, bucket, &first, &count);
    for (int rank = 0; rank < s->ranks; rank++)
        if (rank != s->index)
            memcpy(s->array[rank] + first, s->array[s->index] + first, (size_t)count * sizeof(float));
}

/* All neighbours' counters have reached `wanted`? */
static bool reached(const LsShared *s, bool done, uint64_t wanted)
{
    for (int rank = 0; rank < s->ranks; rank++) {
        atomic_uint_fast64_t *counter = done ? &s->header[rank]->done : &s->header[rank]->arrived;
        if (atomic_load_explicit(counter, memory_order_acquire) < wanted)
            return false;
    }
    return true;
}

/* Does what can be done without waiting: buckets one after the other, each through both stages. */
static LsStatus work(LsBuckets *b)
{
    LsShared *s = b->shared;
    while (b->summed < b->begun && reached(s, false, b->earlier + (uint64_t)b->summed + 1)) {
        Bucket *bucket = &b->bucket[b->summed++];
        sum_slice(b, bucket);
        if (s->nodes > 1) {
            int64_t first, count;
            slice_of(b, bucket, &first, &count);
            LS_TRY(ls_mpi_status(MPI_Iallreduce(MPI_IN_PLACE, s->array[s->index] + first, (int)count, MPI_FLOAT, MPI_SUM, s->across,
                                                &bucket->across),
                                 "MPI_Iallreduce"));
        }
    }
    while (b->spread < b->summed) {
        Bucket *bucket = &b->bucket[b->spread];
        if (s->nodes > 1) {
            int done = 0;
            LS_TRY(ls_mpi_status(MPI_Test(&bucket->across, &done, MPI_STATUS_IGNORE), "MPI_Test"));
            if (!done)
                break;
            if (!b->sharded)
                spread_slice(b, bucket);
        }
        note_done(b);
        atomic_store_explicit(&s->header[s->index]->done, b->earlier + (uint64_t)b->spread, memory_order_release);
    }
    return LS_OK;
}

/* What all neighbours have done so far, as one number that changes with it. LS_LAUNCH where one of them has failed. */
static LsStatus look_around(const LsShared *s, uint64_t *progress)
{
    *progress = 0;
    for (int rank = 0; rank < s->ranks; rank++) {
        if (atomic_load_explicit(&s->header[rank]->broken, memory_order_acquire))
            return ls_fail(LS_LAUNCH, "rank %d of this node could not go on with the sums of gradients", rank);
        *progress += atomic_load_explicit(&s->header[rank]->arrived, memory_order_relaxed);
        *progress += atomic_load_explicit(&s->header[rank]->done, memory_order_relaxed);
    }
    return LS_OK;
}

/* The neighbour that is behind, for a message. */
static int latest(const LsShared *s)
{
    int found = 0;
    for (int rank = 1; rank < s->ranks; rank++)
        if (atomic_load(&s->header[rank]->arrived) < atomic_load(&s->header[found]->arrived))
            found = rank;
    return found;
}

static LsStatus finish_shared(LsBuckets *b)
{
    uint64_t all = b->earlier + (uint64_t)b->count, known = 0, now = 0;
    double since = ls_seconds(), limit = ls_dist_time_limit();
    while (b->spread < b->count || !reached(b->shared, true, all)) {
        int before = b->spread;
        LS_TRY(work(b));
        if (b->spread > before)
            continue;
        sched_yield(); /* there may be more ranks than cores */
        LS_TRY(look_around(b->shared, &now));
        if (now != known)
            since = ls_seconds();
        known = now;
        if (ls_seconds() - since > limit)
            return ls_fail(LS_LAUNCH, "rank %d of this node has not come to the sums of gradients for %.0f s: it hangs or stands still "
                                      "(LOCKSTEP_TIMEOUT sets this limit, 0 none)", latest(b->shared), ls_seconds() - since);
    }
    b->earlier = all;
    return LS_OK;
}

/* ---- Both ways ----------------------------------------------------------------------------------------------------- */

static LsStatus begin_until(LsBuckets *b, int64_t from)
{
    int before = b->begun;
    while (b->begun < b->count && b->bucket[b->begun].first >= from) {
        Bucket *bucket = &b->bucket[b->begun++];
        note_begun(b, bucket);
        if (!b->shared)
            LS_TRY(b->comm->start_sum(b->comm, b->params->grad + bucket->first, bucket->count, &bucket->request));
    }
    if (b->shared && b->begun > before)
        atomic_store_explicit(&b->shared->header[b->shared->index]->arrived, b->earlier + (uint64_t)b->begun, memory_order_release);
    return LS_OK;
}

/* By messages: looks which sums are complete, in order, and so drives the library. */
static LsStatus test(LsBuckets *b)
{
    bool done = true;
    while (b->spread < b->begun) {
        LS_TRY(b->comm->test(b->comm, b->bucket[b->spread].request, &done));
        if (!done)
            break;
        note_done(b);
    }
    return LS_OK;
}

/* Keeps a failure, and tells the neighbours. Gives the status back. */
static LsStatus note_broken(LsBuckets *b, LsStatus status)
{
    if (status != LS_OK && b->broken == LS_OK) {
        b->broken = status;
        if (b->shared)
            atomic_store_explicit(&b->shared->header[b->shared->index]->broken, true, memory_order_release);
    }
    return status;
}

static LsStatus on_ready(void *self, int64_t from)
{
    LsBuckets *b = self;
    if (!b->overlap || b->count == 0)
        return LS_OK;
    double start = ls_seconds();
    LsStatus status = begin_until(b, from);
    b->times.inside += ls_seconds() - start;
    return note_broken(b, status);
}

static LsStatus on_poll(void *self)
{
    LsBuckets *b = self;
    if (b->begun == 0)
        return LS_OK;
    double start = ls_seconds();
    LsStatus status = b->shared ? work(b) : test(b);
    double end = ls_seconds();
    b->times.inside += end - start;
    if (end - start > 2e-6)
        ls_trace_event(LS_TRACE_STEP, "communication", "summing", start, end);
    return note_broken(b, status);
}

LsStatus ls_buckets_finish(LsBuckets *b)
{
    if (b->broken != LS_OK)
        return ls_fail(b->broken, "the sums of gradients have failed before%s%s", ls_message()[0] ? ": " : "", ls_message());
    double start = ls_seconds();
    b->times.under_way += b->busy_since > 0 ? start - b->busy_since : 0;
    b->busy_since = -1; /* something is under way until this call ends */
    LsStatus status = begin_until(b, 0);
    if (b->shared && status == LS_OK && b->count > 0)
        status = finish_shared(b);
    for (int i = 0; i < b->begun && !b->shared; i++) {
        LsStatus finished = b->comm->finish(b->comm, &b->bucket[i].request);
        if (i == b->spread)
            note_done(b);
        if (status == LS_OK)
            status = finished;
    }
    b->begun = b->summed = b->spread = 0;
    b->busy_since = 0;
    note_broken(b, status);
    if (b->count == 0)
        return status;
    double end = ls_seconds();
    b->times.waited += end - start;
    b->times.under_way += end - start;
    ls_trace_event(LS_TRACE_STEP, "communication", "waiting for sums", start, end);
    return status;
}

/* ---- Making and freeing -------------------------------------------------------------------------------------------- */

/* Cuts [0, total) from the end: whole parameters until bucket_bytes are reached. With bucket NULL only counts. */
static int plan(const LsParams *params, int64_t bucket_bytes, Bucket *bucket)
{
    int64_t wanted = bucket_bytes / (int64_t)sizeof(float), end = params->total;
    int count = 0;
    for (int i = params->count - 1; i >= 0; i--) {
        int64_t first = i == 0 ? 0 : params->list[i].offset;
        if (end - first < wanted && i > 0)
            continue;
        while (end > first) {
            int64_t size = end - first < LARGEST_BUCKET ? end - first : LARGEST_BUCKET;
            end -= size;
            if (bucket)
                bucket[count] = (Bucket){.first = end, .count = size, .across = MPI_REQUEST_NULL};
            count++;
        }
    }
    return count;
}

static LsStatus make_grad(LsBuckets *b)
{
    if (b->params->grad)
        return LS_OK;
    b->owns_grad = true;
    b->shared = ls_shared_new(b->comm, b->params->total);
    b->params->grad = b->shared ? b->shared->array[b->shared->index] : ls_alloc_array(b->params->total, sizeof(float));
    return b->params->grad ? LS_OK : LS_RESOURCE;
}

LsBuckets *ls_buckets_new(const LsComm *comm, LsParams *params, int64_t bucket_bytes, bool overlap)
{
    LsBuckets *b = ls_alloc(sizeof *b);
    LsStatus status = b ? LS_OK : LS_RESOURCE;
    if (b) {
        *b = (LsBuckets){.comm = comm, .params = params, .overlap = overlap};
        b->hooks = (LsHooks){.ready = on_ready, .poll = on_poll, .self = b};
        b->count = comm->size > 1 ? plan(params, bucket_bytes, NULL) : 0;
        b->bucket = ls_alloc_array(b->count, sizeof(Bucket));
        status = b->bucket ? LS_OK : LS_RESOURCE;
        if (b->bucket && b->count > 0)
            plan(params, bucket_bytes, b->bucket);
    }
    status = ls_dist_agree(comm, status);
    if (status == LS_OK)
        status = ls_dist_agree(comm, make_grad(b));
    if (status == LS_OK)
        return b;
    ls_buckets_free(b);
    return NULL;
}

/* ---- Sharding ------------------------------------------------------------------------------------------------------ */

static uint16_t *shadow_of(const LsBuckets *b, int rank)
{
    return b->shadow_at < 0 ? NULL : (uint16_t *)(void *)(b->sharded->array[rank] + b->shadow_at);
}

LsStatus ls_buckets_shard(LsBuckets *b, int arrays, float **array, uint16_t **shadow, bool *shared)
{
    *shared = false;
    if (!b->shared)
        return LS_OK;
    b->owned = ls_alloc_array(b->count, sizeof *b->owned);
    LS_TRY(ls_dist_agree(b->comm, b->owned ? LS_OK : LS_RESOURCE));
    b->shadow_at = shadow ? b->params->total * arrays : -1; /* parameters are padded to whole cache lines, so total is even */
    b->sharded = ls_shared_new(b->comm, b->params->total * arrays + (shadow ? b->params->total / 2 : 0));
    if (!b->sharded)
        return LS_OK;
    if (shadow)
        *shadow = shadow_of(b, b->sharded->index);
    for (int i = 0; i < b->count; i++)
        slice_of(b, &b->bucket[i], &b->owned[i].first, &b->owned[i].count);
    for (int i = 0; i < arrays; i++)
        array[i] = b->sharded->array[b->sharded->index] + i * b->params->total;
    *shared = true;
    return LS_OK;
}

int ls_buckets_owned(const LsBuckets *b, const LsRange **range)
{
    *range = b->owned;
    return b->sharded ? b->count : 0;
}

int ls_buckets_neighbours(const LsBuckets *b) { return b->sharded ? b->sharded->ranks - 1 : 0; }

float *ls_buckets_neighbour(const LsBuckets *b, int other, int array)
{
    int rank = other < b->sharded->index ? other : other + 1;
    return b->sharded->array[rank] + array * b->params->total;
}

uint16_t *ls_buckets_neighbour_shadow(const LsBuckets *b, int other)
{
    return shadow_of(b, other < b->sharded->index ? other : other + 1);
}

void ls_buckets_collect(LsBuckets *b, int array)
{
    float *own = b->sharded->array[b->sharded->index] + array * b->params->total;
    for (int rank = 0; rank < b->sharded->ranks; rank++)
        for (int i = 0; i < b->count && rank != b->sharded->index; i++) {
            int64_t first, count;
            slice_at(b, &b->bucket[i], rank, &first, &count);
            memcpy(own + first, b->sharded->array[rank] + array * b->params->total + first, (size_t)count * sizeof(float));
        }
}

const LsHooks *ls_buckets_hooks(LsBuckets *buckets) { return &buckets->hooks; }

int ls_buckets_count(const LsBuckets *buckets) { return buckets->count; }

bool ls_buckets_shared(const LsBuckets *buckets) { return buckets->shared != NULL; }

void ls_buckets_free(LsBuckets *b)
{
    if (!b)
        return;
    if (b->owns_grad) {
        if (!b->shared)
            ls_free(b->params->grad);
        b->params->grad = NULL;
    }
    ls_shared_free(b->sharded);
    ls_shared_free(b->shared);
    ls_free(b->owned);
    ls_free(b->bucket);
    ls_free(b);
}
