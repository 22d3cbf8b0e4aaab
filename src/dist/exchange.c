#include "dist/exchange.h"

#include "dist/mpi_call.h"
#include "dist/tree.h"

/* MPI promises no larger tags. */
#define TAGS 32768

typedef enum Stage { IDLE, REDUCING, GATHERING } Stage;

struct LsExchange {
    MPI_Comm mpi;
    int ranks, rank;
    bool bfloat16;
    size_t width; /* bytes of an element of a message */
    int64_t capacity;
    char *contribution;   /* bfloat16: (capacity) the array as it travels */
    char *received;       /* (ranks, slice_capacity): the others' contributions to this rank's slice */
    const void **x;       /* (ranks) for the sum */
    MPI_Request *request; /* (2 ranks): receptions, then sendings */
    int *complete;        /* (2 ranks) */
    Stage stage;
    float *array;
    int64_t count;
    int tag;
};

/* Longest slice of so many floats: whole blocks, so that squares can be summed by blocks. */
static int64_t slice_capacity(int64_t count, int ranks)
{
    return (ls_squares_count(count) + ranks - 1) / ranks * LS_SQUARES_BLOCK;
}

static void find_slice(const LsExchange *e, int rank, int64_t *first, int64_t *count)
{
    int64_t each = slice_capacity(e->count, e->ranks), left = e->count - each * rank;
    *first = each * rank;
    *count = left < 0 ? 0 : left < each ? left : each;
}

int64_t ls_exchange_bytes(int64_t capacity, bool bfloat16)
{
    return capacity * (bfloat16 ? 2 * (int64_t)sizeof(LsBfloat16) : (int64_t)sizeof(float));
}

LsExchange *ls_exchange_new(MPI_Comm mpi, int64_t capacity, bool bfloat16)
{
    LsExchange *e = ls_alloc(sizeof *e);
    if (!e)
        return NULL;
    *e = (LsExchange){
        .mpi = mpi, .bfloat16 = bfloat16, .width = bfloat16 ? sizeof(LsBfloat16) : sizeof(float), .capacity = capacity};
    if (ls_mpi_status(MPI_Comm_size(mpi, &e->ranks), "MPI_Comm_size") == LS_OK &&
        ls_mpi_status(MPI_Comm_rank(mpi, &e->rank), "MPI_Comm_rank") == LS_OK) {
        e->contribution = bfloat16 ? ls_alloc_array(capacity, e->width) : NULL;
        e->received = ls_alloc_array(slice_capacity(capacity, e->ranks) * e->ranks, e->width);
        e->x = ls_alloc_array(e->ranks, sizeof *e->x);
        e->request = ls_alloc_array(2 * e->ranks, sizeof(MPI_Request));
        e->complete = ls_alloc_array(2 * e->ranks, sizeof *e->complete);
        if ((e->contribution || !bfloat16) && e->received && e->x && e->request && e->complete)
            return e;
    }
    ls_exchange_free(e);
    return NULL;
}

void ls_exchange_free(LsExchange *e)
{
    if (!e)
        return;
    /* after a failure: nothing may come into memory that is gone */
    for (int rank = 0; e->stage != IDLE && rank < e->ranks; rank++)
        if (e->request[rank] != MPI_REQUEST_NULL && MPI_Cancel(&e->request[rank]) == MPI_SUCCESS)
            MPI_Wait(&e->request[rank], MPI_STATUS_IGNORE);
    ls_free(e->contribution);
    ls_free(e->received);
    ls_free(e->x);
    ls_free(e->request);
    ls_free(e->complete);
    ls_free(e);
}

/* The array from `first` on, in the type of messages. */
static char *message_at(const LsExchange *e, int64_t first)
{
    return e->bfloat16 ? e->contribution + (size_t)first * e->width : (char *)(e->array + first);
}

static LsBfloat16 *bfloat16_at(const LsExchange *e, int64_t first)
{
    return (LsBfloat16 *)(void *)message_at(e, first);
}

static LsStatus post_messages(LsExchange *e, int rank, char *from, int64_t in, char *to, int64_t out)
{
    MPI_Datatype type = e->bfloat16 ? MPI_UINT16_T : MPI_FLOAT;
    int tag = e->tag + (e->stage == GATHERING);
    e->request[rank] = e->request[e->ranks + rank] = MPI_REQUEST_NULL;
    if (rank == e->rank)
        return LS_OK;
    if (in > 0)
        LS_TRY(ls_mpi_status(MPI_Irecv(from, (int)in, type, rank, tag, e->mpi, &e->request[rank]), "MPI_Irecv"));
    if (out > 0)
        LS_TRY(
            ls_mpi_status(MPI_Isend(to, (int)out, type, rank, tag, e->mpi, &e->request[e->ranks + rank]), "MPI_Isend"));
    return LS_OK;
}

LsStatus ls_exchange_start(LsExchange *e, float *x, int64_t count, int number)
{
    int64_t first, length, own_length, own_first;
    if (e->stage != IDLE || count > e->capacity)
        return ls_fail(LS_ERROR, "a sum over the ranks is started before the last one has ended, or is too long");
    e->array = x;
    e->count = count;
    e->tag = number * 2 % TAGS;
    e->stage = REDUCING;
    if (e->bfloat16)
        ls_bfloat16_round(x, (LsBfloat16 *)(void *)e->contribution, count);
    find_slice(e, e->rank, &own_first, &own_length);
    for (int rank = 0; rank < e->ranks; rank++) {
        char *room = e->received + (size_t)(rank * slice_capacity(e->count, e->ranks)) * e->width;
        find_slice(e, rank, &first, &length);
        e->x[rank] = rank == e->rank ? message_at(e, own_first) : room;
        LS_TRY(post_messages(e, rank, room, own_length, message_at(e, first), length));
    }
    return LS_OK;
}

/* All contributions to this rank's slice have come: sums them, and sends the sum to all. */
static LsStatus sum_slice(LsExchange *e)
{
    int64_t own_first, own_length, first, length;
    find_slice(e, e->rank, &own_first, &own_length);
    ls_tree_sum(&(LsTree){
        .summands = e->ranks, .bfloat16 = e->bfloat16, .x = e->x, .to = e->array + own_first, .count = own_length});
    if (e->bfloat16)
        ls_bfloat16_round(e->array + own_first, bfloat16_at(e, own_first), own_length);
    e->stage = GATHERING;
    for (int rank = 0; rank < e->ranks; rank++) {
        find_slice(e, rank, &first, &length);
        LS_TRY(post_messages(e, rank, message_at(e, first), length, message_at(e, own_first), own_length));
    }
    return LS_OK;
}

/* Takes complete requests off the list. */
static LsStatus test_requests(LsExchange *e, bool *done, bool *moved)
{
    int count = 0;
    LS_TRY(ls_mpi_status(MPI_Testsome(2 * e->ranks, e->request, &count, e->complete, MPI_STATUSES_IGNORE),
                         "MPI_Testsome"));
    *done = true;
    if (count == MPI_UNDEFINED)
        return LS_OK;
    *moved |= count > 0;
    for (int i = 0; i < 2 * e->ranks && *done; i++)
        *done = e->request[i] == MPI_REQUEST_NULL;
    return LS_OK;
}

LsStatus ls_exchange_test(LsExchange *e, bool *done, bool *moved)
{
    bool complete = false;
    *done = e->stage == IDLE;
    if (*done)
        return LS_OK;
    LS_TRY(test_requests(e, &complete, moved));
    if (complete && e->stage == REDUCING) {
        LS_TRY(sum_slice(e));
        LS_TRY(test_requests(e, &complete, moved));
    }
    if (!complete || e->stage != GATHERING)
        return LS_OK;
    if (e->bfloat16)
        ls_bfloat16_widen((const LsBfloat16 *)(const void *)e->contribution, e->array, e->count);
    e->stage = IDLE;
    *done = true;
    return LS_OK;
}
