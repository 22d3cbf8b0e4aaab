#include "dist/dist.h"

#include "lockstep/graph.h"

/* One MPI call takes at most this many floats: a bucket that a large parameter makes larger is cut. */
#define LARGEST_BUCKET ((int64_t)1 << 28)

typedef struct Bucket {
    int64_t first, count; /* floats of params->grad */
    LsRequest *request;
} Bucket;

struct LsBuckets {
    const LsComm *comm;
    const LsParams *params;
    Bucket *bucket; /* from the end of the array to its start: the order in which backward finishes them */
    int count;
    int begun; /* this step: buckets 0 .. begun - 1 are under way or done */
    bool overlap;
    double seconds;
    LsHooks hooks;
};

static LsStatus begin_until(LsBuckets *buckets, int64_t from)
{
    while (buckets->begun < buckets->count && buckets->bucket[buckets->begun].first >= from) {
        Bucket *bucket = &buckets->bucket[buckets->begun++];
        LS_TRY(buckets->comm->start_sum(buckets->comm, buckets->params->grad + bucket->first, bucket->count, &bucket->request));
    }
    return LS_OK;
}

static LsStatus on_ready(void *self, int64_t from)
{
    LsBuckets *buckets = self;
    return buckets->overlap ? begin_until(buckets, from) : LS_OK;
}

static LsStatus on_poll(void *self)
{
    LsBuckets *buckets = self;
    return buckets->begun > 0 ? buckets->comm->progress(buckets->comm) : LS_OK;
}

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
                bucket[count] = (Bucket){.first = end, .count = size};
            count++;
        }
    }
    return count;
}

LsBuckets *ls_buckets_new(const LsComm *comm, const LsParams *params, int64_t bucket_bytes, bool overlap)
{
    LsBuckets *buckets = ls_alloc(sizeof *buckets);
    if (!buckets)
        return NULL;
    *buckets = (LsBuckets){.comm = comm, .params = params, .overlap = overlap};
    buckets->hooks = (LsHooks){.ready = on_ready, .poll = on_poll, .self = buckets};
    buckets->count = comm->size > 1 ? plan(params, bucket_bytes, NULL) : 0;
    buckets->bucket = ls_alloc_array(buckets->count, sizeof(Bucket));
    if (!buckets->bucket) {
        ls_free(buckets);
        return NULL;
    }
    if (buckets->count > 0)
        plan(params, bucket_bytes, buckets->bucket);
    return buckets;
}

const LsHooks *ls_buckets_hooks(LsBuckets *buckets) { return &buckets->hooks; }

LsStatus ls_buckets_finish(LsBuckets *buckets)
{
    double start = ls_seconds();
    LsStatus status = begin_until(buckets, 0);
    for (int i = 0; i < buckets->begun; i++) {
        LsStatus finished = buckets->comm->finish(buckets->comm, &buckets->bucket[i].request);
        if (status == LS_OK)
            status = finished;
    }
    buckets->begun = 0;
    buckets->seconds += ls_seconds() - start;
    return status;
}

double ls_buckets_seconds(const LsBuckets *buckets) { return buckets->seconds; }

int ls_buckets_count(const LsBuckets *buckets) { return buckets->count; }

void ls_buckets_free(LsBuckets *buckets)
{
    if (!buckets)
        return;
    ls_free(buckets->bucket);
    ls_free(buckets);
}
