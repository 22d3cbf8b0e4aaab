/* The sums of gradients: when buckets start, how they advance, and who waits for them. */
#include "dist/buckets.h"

#include "base/squares.h"
#include "base/trace.h"
#include "dist/mpi_call.h"
#include "dist/tree.h"
#include "dist/wait.h"

#include <stdio.h>

/* ---- The clock --------------------------------------------------------------------------------------------------- */

static void mark_begun(LsBuckets *b, LsBucket *bucket)
{
    bucket->start = ls_seconds();
    if (b->busy_since == 0)
        b->busy_since = bucket->start;
}

/* The next bucket in order is done. */
static void mark_done(LsBuckets *b)
{
    double now = ls_seconds();
    if (ls_trace_on()) {
        char name[48];
        snprintf(name, sizeof name, "bucket %d", b->done);
        ls_trace_event(LS_TRACE_SUMS, "communication", name, b->bucket[b->done].start, now);
    }
    b->done++;
    if (b->done < b->begun || b->busy_since <= 0)
        return;
    b->times.in_flight += now - b->busy_since;
    b->busy_since = 0;
}

LsBucketTimes ls_buckets_times(const LsBuckets *buckets) { return buckets->times; }

void ls_buckets_times_reset(LsBuckets *buckets) { buckets->times = (LsBucketTimes){0}; }

double ls_buckets_hidden_share(LsBucketTimes times)
{
    double taken = times.inside + times.waited;
    return times.in_flight > taken ? 1 - taken / times.in_flight : 0;
}

void ls_buckets_set_overlap(LsBuckets *buckets, bool overlap) { buckets->options.overlap = overlap; }

/* ---- The stages of a bucket -------------------------------------------------------------------------------------- */

/* The slice from all arrays of the node into this rank's, and its squares where that is the whole sum. */
static void sum_slice(const LsBuckets *b, const LsRange *slice)
{
    const LsShared *s = b->shared;
    const void *x[s->ranks];
    for (int rank = 0; rank < s->ranks; rank++)
        x[rank] = s->array[rank] + slice->first;
    ls_tree_sum(&(LsTree){.summands = s->ranks,
                          .x = x,
                          .to = s->array[s->index] + slice->first,
                          .count = slice->count,
                          .squares = s->nodes == 1 ? b->square + slice->first / LS_SQUARES_BLOCK : NULL});
}

/* Sums the squares of floats [first, first + count) of the sum, from the border of a block. */
static void sum_squares(const LsBuckets *b, int64_t first, int64_t count)
{
    const int64_t piece = 64 * LS_SQUARES_BLOCK;
    double *square = b->square + first / LS_SQUARES_BLOCK;
#pragma omp parallel for schedule(static) if (count > 4 * piece)
    for (int64_t at = 0; at < count; at += piece)
        ls_squares_blocks(b->params->grad + first + at, count - at < piece ? count - at : piece,
                          square + at / LS_SQUARES_BLOCK);
}

/* Whether this counter of every rank of the node has come to `wanted`. */
static bool all_reached(const LsShared *s, size_t counter, uint64_t wanted)
{
    for (int rank = 0; rank < s->ranks; rank++) {
        atomic_uint_fast64_t *at = (atomic_uint_fast64_t *)(void *)((char *)s->header[rank] + counter);
        if (atomic_load_explicit(at, memory_order_acquire) < wanted)
            return false;
    }
    return true;
}

static bool all_begun(const LsBuckets *b, int bucket)
{
    return !b->shared ||
           all_reached(b->shared, offsetof(LsSharedHeader, arrived), b->earlier_buckets + (uint64_t)bucket + 1);
}

static void mark_summed(LsBuckets *b)
{
    mark_done(b);
    b->moved = true;
    if (b->shared)
        atomic_store_explicit(&b->shared->header[b->shared->index]->done, b->earlier_buckets + (uint64_t)b->done,
                              memory_order_release);
}

/* Sends slices that are summed in the node, as long as there is room, and completes those whose sum has come. */
static LsStatus exchange_slices(LsBuckets *b)
{
    bool done = true;
    while (b->done < b->summed && done) {
        for (; b->sent < b->summed && b->sent < b->done + b->exchanges; b->sent++) {
            const LsRange *slice = &b->bucket[b->sent].slice;
            LS_TRY(ls_exchange_start(b->exchange[b->sent % b->exchanges], b->params->grad + slice->first, slice->count,
                                     b->sent));
        }
        for (int i = b->sent - 1; i >= b->done; i--) /* the oldest last: `done` is its */
            LS_TRY(ls_exchange_test(b->exchange[i % b->exchanges], &done, &b->moved));
        if (!done)
            return LS_OK;
        sum_squares(b, b->bucket[b->done].slice.first, b->bucket[b->done].slice.count);
        mark_summed(b);
    }
    return LS_OK;
}

/* Advances buckets as far as goes without waiting: one after the other, each through all stages. */
static LsStatus advance_sums(LsBuckets *b)
{
    for (; b->summed < b->begun && all_begun(b, b->summed); b->summed++) {
        if (b->shared)
            sum_slice(b, &b->bucket[b->summed].slice);
        if (b->across == MPI_COMM_NULL)
            mark_summed(b);
    }
    return b->across == MPI_COMM_NULL ? LS_OK : exchange_slices(b);
}

/* LS_LAUNCH where a neighbour has failed. */
static LsStatus check_neighbours(const LsShared *s)
{
    for (int rank = 0; rank < s->ranks; rank++)
        if (atomic_load_explicit(&s->header[rank]->failed, memory_order_acquire))
            return ls_fail(LS_LAUNCH, "rank %d of this node could not go on with the sums of gradients", rank);
    return LS_OK;
}

/* All neighbours' counters, as one number that changes when one of them gets on. */
static uint64_t sum_progress(const LsShared *s)
{
    uint64_t sum = 0;
    for (int rank = 0; rank < s->ranks; rank++) {
        sum += atomic_load_explicit(&s->header[rank]->arrived, memory_order_relaxed);
        sum += atomic_load_explicit(&s->header[rank]->done, memory_order_relaxed);
    }
    return sum;
}

static LsStatus wait_for_sums(LsBuckets *b)
{
    uint64_t all = b->earlier_buckets + (uint64_t)b->count, known = 0;
    LsWait wait = ls_wait_begin(b->comm, "the sums of gradients");
    wait.counters = b->across == MPI_COMM_NULL && b->shared;
    for (;;) {
        LS_TRY(advance_sums(b));
        if (b->done == b->count && (!b->shared || all_reached(b->shared, offsetof(LsSharedHeader, done), all)))
            break;
        if (b->shared) {
            LS_TRY(check_neighbours(b->shared));
            b->moved |= sum_progress(b->shared) != known;
            known = sum_progress(b->shared);
        }
        LS_TRY(ls_wait_more(&wait, b->moved));
        b->moved = false;
    }
    b->earlier_buckets = all;
    return LS_OK;
}

LsStatus ls_buckets_wait_updates(LsBuckets *b)
{
    LsShared *s = b->shared;
    if (!s)
        return LS_OK;
    LsWait wait = ls_wait_begin(b->comm, "the optimizers of this node");
    wait.counters = true;
    atomic_store_explicit(&s->header[s->index]->updated, ++b->steps, memory_order_release);
    while (!all_reached(s, offsetof(LsSharedHeader, updated), b->steps)) {
        LS_TRY(check_neighbours(s));
        LS_TRY(ls_wait_more(&wait, false));
    }
    return LS_OK;
}

double ls_buckets_squares(LsBuckets *b)
{
    int64_t first = b->first_block * LS_SQUARES_BLOCK, end = first + b->blocks * LS_SQUARES_BLOCK;
    if (b->count == 0)
        sum_squares(b, first, (end < b->params->total ? end : b->params->total) - first);
    return ls_squares_total(b->square + b->first_block, b->blocks);
}

void ls_buckets_select(LsBuckets *b, int64_t first, int64_t count)
{
    int64_t from = first, end = first + count;
    b->bucket = b->all;
    b->count = b->all_count;
    while (b->count > 1 && b->bucket[0].first >= end) {
        b->bucket++;
        b->count--;
    }
    while (b->count > 1 && b->bucket[b->count - 1].first + b->bucket[b->count - 1].count <= from)
        b->count--;
    if (b->count > 0) {
        from = b->bucket[b->count - 1].first;
        end = b->bucket[0].first + b->bucket[0].count;
    }
    b->first_block = from / LS_SQUARES_BLOCK;
    b->blocks = ls_squares_count(end) - b->first_block;
}

/* ---- Hooks ------------------------------------------------------------------------------------------------------- */

static void begin_buckets(LsBuckets *b, int64_t from)
{
    int before = b->begun;
    for (; b->begun < b->count && b->bucket[b->begun].first >= from; b->begun++)
        mark_begun(b, &b->bucket[b->begun]);
    if (b->shared && b->begun > before)
        atomic_store_explicit(&b->shared->header[b->shared->index]->arrived, b->earlier_buckets + (uint64_t)b->begun,
                              memory_order_release);
}

/* Records a failure for this rank and its neighbours; returns the status. */
static LsStatus record_failure(LsBuckets *b, LsStatus status)
{
    if (status != LS_OK && b->failed == LS_OK) {
        b->failed = status;
        if (b->shared)
            atomic_store_explicit(&b->shared->header[b->shared->index]->failed, true, memory_order_release);
    }
    return status;
}

static LsStatus on_ready(void *self, int64_t from)
{
    LsBuckets *b = self;
    if (!b->options.overlap || b->count == 0)
        return LS_OK;
    begin_buckets(b, from);
    return LS_OK;
}

static LsStatus on_poll(void *self)
{
    LsBuckets *b = self;
    if (b->begun == 0)
        return LS_OK;
    double start = ls_seconds();
    LsStatus status = advance_sums(b);
    double end = ls_seconds();
    b->times.inside += end - start;
    if (end - start > 2e-6)
        ls_trace_event(LS_TRACE_STEP, "communication", "summing", start, end);
    return record_failure(b, status);
}

LsStatus ls_buckets_finish(LsBuckets *b)
{
    if (b->failed != LS_OK)
        return ls_fail(b->failed, "the sums of gradients have failed before%s%s", ls_message()[0] ? ": " : "",
                       ls_message());
    double start = ls_seconds();
    b->times.in_flight += b->busy_since > 0 ? start - b->busy_since : 0;
    b->busy_since = -1; /* something is in flight until this call ends */
    begin_buckets(b, 0);
    LsStatus status = b->count > 0 ? wait_for_sums(b) : LS_OK;
    b->begun = b->summed = b->sent = b->done = 0;
    b->busy_since = 0;
    record_failure(b, status);
    if (b->count == 0)
        return status;
    double end = ls_seconds();
    b->times.waited += end - start;
    b->times.in_flight += end - start;
    ls_trace_event(LS_TRACE_STEP, "communication", "waiting for sums", start, end);
    return status;
}

void ls_buckets_set_hooks(LsBuckets *b) { b->hooks = (LsHooks){.ready = on_ready, .poll = on_poll, .self = b}; }

const LsHooks *ls_buckets_hooks(LsBuckets *buckets) { return &buckets->hooks; }

int ls_buckets_count(const LsBuckets *buckets) { return buckets->all_count; }
