/* Making and freeing buckets: the plan, and the memory that ranks share. */
#include "dist/buckets.h"
#include "dist/mpi_call.h"
#include "dist/wait.h"

#include "base/squares.h"

#include <string.h>

/* Buckets are cut where blocks of squares end. */
#define BLOCK LS_SQUARES_BLOCK
/* Sums of 64 MiB at once fill any network; a message has at most this many floats. */
#define MESSAGE_BYTES ((int64_t)64 << 20)
#define LARGEST_BUCKET (MESSAGE_BYTES / (int64_t)sizeof(float))
#define LARGEST_BROADCAST ((int64_t)1 << 30)

static int64_t round_up_to_block(int64_t x) { return (x + BLOCK - 1) / BLOCK * BLOCK; }

/* ---- The plan ---------------------------------------------------------------------------------------------------- */

/* Cuts [first, end) into buckets of about `wanted` floats, the last of the array first. With bucket NULL only
 * counts. */
static int cut_range(int64_t first, int64_t end, int64_t wanted, LsBucket *bucket)
{
    int64_t buckets = (end - first) / wanted > 0 ? (end - first) / wanted : 1;
    int64_t each = round_up_to_block((end - first + buckets - 1) / buckets);
    int count = 0;
    for (; end > first; count++) {
        int64_t from = end - first > each ? (end - each + BLOCK - 1) / BLOCK * BLOCK : first;
        if (bucket)
            bucket[count] = (LsBucket){.first = from, .count = end - from};
        end = from;
    }
    return count;
}

/* Cuts [0, total) from the end: whole parameters until so many bytes are reached, larger ones into several buckets. */
static int plan_buckets(const LsParams *params, int64_t bytes, LsBucket *bucket)
{
    int64_t wanted = round_up_to_block(bytes / (int64_t)sizeof(float)), end = params->total;
    wanted = wanted < BLOCK ? BLOCK : wanted > LARGEST_BUCKET ? LARGEST_BUCKET : wanted;
    int count = 0;
    for (int i = params->count - 1; i >= 0; i--) {
        int64_t first = i == 0 ? 0 : round_up_to_block(params->list[i].offset);
        if (end - first < wanted && i > 0)
            continue;
        count += cut_range(first, end, wanted, bucket ? bucket + count : NULL);
        end = first < end ? first : end;
    }
    return count;
}

/* The slice of a bucket that rank `index` of the node sums, in whole blocks. */
static LsRange slice_for_rank(const LsBucket *bucket, int index, int ranks)
{
    int64_t blocks = ls_squares_count(bucket->count);
    int64_t from = blocks * index / ranks * BLOCK, to = blocks * (index + 1) / ranks * BLOCK;
    to = to < bucket->count ? to : bucket->count;
    return (LsRange){bucket->first + from, to - from};
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static int64_t shadow_offset(const LsBuckets *b) { return b->options.floats * (int64_t)sizeof(float); }

static int64_t squares_offset(const LsBuckets *b)
{
    return shadow_offset(b) + (b->options.shadow ? b->params->total * (int64_t)sizeof(uint16_t) : 0);
}

/* The gradients, and the arrays of which a node has one copy. */
static LsStatus make_arrays(LsBuckets *b)
{
    int64_t total = b->params->total, blocks = ls_squares_count(total);
    if (!b->params->grad) {
        b->owns_grad = true;
        LS_TRY(ls_shared_new(b->comm, total, (size_t)squares_offset(b) + (size_t)blocks * sizeof(double), &b->shared));
    }
    if (b->shared) {
        b->params->grad = b->shared->array[b->shared->index];
        /* parameters are padded to whole cache lines */
        b->square = (double *)(void *)(b->shared->common + squares_offset(b));
    } else {
        b->params->grad = b->params->grad ? b->params->grad : ls_alloc_array(total, sizeof(float));
        b->square = ls_alloc_array(blocks, sizeof(double));
    }
    return ls_dist_agree(b->comm, b->params->grad && b->square ? LS_OK : LS_RESOURCE);
}

static LsStatus make_slices(LsBuckets *b)
{
    int ranks = b->shared ? b->shared->ranks : 1, index = b->shared ? b->shared->index : 0;
    b->owned = ls_alloc_array(b->all_count, sizeof *b->owned);
    for (int i = 0; i < b->all_count && b->owned; i++)
        b->owned[i] = b->all[i].slice = slice_for_rank(&b->all[i], index, ranks);
    return ls_dist_agree(b->comm, b->owned ? LS_OK : LS_RESOURCE);
}

/* Work space for messages between nodes, or ranks that share nothing. */
static LsStatus make_exchanges(LsBuckets *b)
{
    int64_t most = 1;
    if (b->shared ? b->shared->nodes == 1 : b->comm->size == 1)
        return LS_OK;
    LS_TRY(ls_dist_agree(
        b->comm, ls_mpi_status(MPI_Comm_dup(b->shared ? b->shared->across : ls_dist_mpi_comm(b->comm), &b->across),
                               "MPI_Comm_dup")));
    for (int i = 0; i < b->count; i++)
        most = b->bucket[i].slice.count > most ? b->bucket[i].slice.count : most;
    int64_t room = MESSAGE_BYTES / ls_exchange_bytes(most, b->options.bfloat16);
    b->exchanges = room < 1 ? 1 : room > LS_MAX_EXCHANGES ? LS_MAX_EXCHANGES : (int)room;
    b->exchanges = b->exchanges > b->count ? b->count : b->exchanges;
    LsStatus status = LS_OK;
    for (int i = 0; i < b->exchanges && status == LS_OK; i++)
        status = (b->exchange[i] = ls_exchange_new(b->across, most, b->options.bfloat16)) ? LS_OK : LS_RESOURCE;
    return ls_dist_agree(b->comm, status);
}

int64_t ls_buckets_message_bytes(const LsParams *params)
{
    int64_t all = params->total * (int64_t)sizeof(float);
    return all < MESSAGE_BYTES ? all : MESSAGE_BYTES;
}

LsBuckets *ls_buckets_new(const LsComm *comm, LsParams *params, const LsBucketOptions *options)
{
    LsBuckets *b = ls_alloc(sizeof *b);
    LsStatus status = b ? LS_OK : LS_RESOURCE;
    if (b) {
        *b = (LsBuckets){.comm = comm, .params = params, .options = *options, .across = MPI_COMM_NULL};
        ls_buckets_set_hooks(b);
        b->all_count = comm->size > 1 ? plan_buckets(params, options->bytes, NULL) : 0;
        b->all = ls_alloc_array(b->all_count, sizeof(LsBucket));
        status = b->all ? LS_OK : LS_RESOURCE;
        if (b->all && b->all_count > 0)
            plan_buckets(params, options->bytes, b->all);
        if (b->all)
            ls_buckets_select(b, 0, params->total);
    }
    status = ls_dist_agree(comm, status);
    if (status == LS_OK)
        status = make_arrays(b);
    if (status == LS_OK)
        status = make_slices(b);
    if (status == LS_OK)
        status = make_exchanges(b);
    if (status == LS_OK)
        return b;
    ls_buckets_free(b);
    return NULL;
}

void ls_buckets_free(LsBuckets *b)
{
    if (!b)
        return;
    if (b->owns_grad) {
        if (!b->shared)
            ls_free(b->params->grad);
        b->params->grad = NULL;
    }
    for (int i = 0; i < b->exchanges; i++)
        ls_exchange_free(b->exchange[i]);
    if (b->across != MPI_COMM_NULL)
        MPI_Comm_free(&b->across);
    if (!b->shared)
        ls_free(b->square);
    ls_shared_free(b->shared);
    ls_free(b->owned);
    ls_free(b->all);
    ls_free(b);
}

/* ---- Arrays of the node ------------------------------------------------------------------------------------------ */

int ls_buckets_sharing_ranks(const LsBuckets *b) { return b->shared ? b->shared->ranks : 1; }

int ls_buckets_sharing_index(const LsBuckets *b) { return b->shared ? b->shared->index : 0; }

int ls_buckets_owned_ranges(const LsBuckets *b, const LsRange **range)
{
    *range = b->owned;
    return b->shared ? b->all_count : 0;
}

bool ls_buckets_is_leader(const LsBuckets *b) { return b->shared && b->shared->index == 0; }

float *ls_buckets_floats(const LsBuckets *b) { return b->shared ? (float *)(void *)b->shared->common : NULL; }

void ls_buckets_gather(LsBuckets *b, int64_t first, int64_t count)
{
    const LsShared *s = b->shared;
    for (int i = 0; s && i < b->all_count; i++)
        for (int rank = 0; rank < s->ranks; rank++) {
            LsRange slice = slice_for_rank(&b->all[i], rank, s->ranks);
            int64_t from = slice.first > first ? slice.first : first, end = slice.first + slice.count;
            end = end < first + count ? end : first + count;
            if (rank != s->index && from < end)
                memcpy(b->params->grad + from, s->array[rank] + from, (size_t)(end - from) * sizeof(float));
        }
}

uint16_t *ls_buckets_shadow(const LsBuckets *b)
{
    return b->shared && b->options.shadow ? (uint16_t *)(void *)(b->shared->common + shadow_offset(b)) : NULL;
}

LsStatus ls_buckets_broadcast(LsBuckets *b)
{
    LsStatus status = LS_OK;
    if (b->shared && b->shared->nodes > 1 && b->shared->index == 0)
        for (int64_t at = 0; at < squares_offset(b) && status == LS_OK; at += LARGEST_BROADCAST) {
            int part = (int)(squares_offset(b) - at < LARGEST_BROADCAST ? squares_offset(b) - at : LARGEST_BROADCAST);
            MPI_Request request;
            status =
                ls_mpi_status(MPI_Ibcast(b->shared->common + at, part, MPI_BYTE, 0, b->across, &request), "MPI_Ibcast");
            if (status == LS_OK)
                status = ls_wait_for(b->comm, &request, "parameters from rank 0");
        }
    return ls_dist_agree(b->comm, status);
}
