#include "dist/exchange.h"

#include "dist/mpi_call.h"
#include "dist/tree.h"

/* MPI promises no larger tags. */
#define TAGS 32768

typedef enum Stage { IDLE, GATHERING, SPREADING } Stage;

struct LsExchange {
    MPI_Comm mpi;
    int parties, me;
    bool narrow;
    size_t width; /* bytes of a number that travels */
    int64_t most;
    char *contribution;   /* narrow: (most) the array as it travels */
    char *received;       /* (parties, longest part): others' parts of this rank's */
    const void **x;       /* (parties) for the sum */
    MPI_Request *request; /* (2 parties): receptions, then sendings */
    int *complete;        /* (2 parties) */
    Stage stage;
    float *array;
    int64_t count;
    int tag;
};

/* Longest part of so many floats: whole blocks, so that the squares of sums can be taken by blocks. */
static int64_t longest(int64_t count, int parties)
{
    return (ls_squares_count(count) + parties - 1) / parties * LS_SQUARES_BLOCK;
}

static void part_of(const LsExchange *e, int party, int64_t *first, int64_t *count)
{
    int64_t each = longest(e->count, e->parties), left = e->count - each * party;
    *first = each * party;
    *count = left < 0 ? 0 : left < each ? left : each;
}

int64_t ls_exchange_bytes(int64_t most, bool narrow)
{
    return most * (narrow ? 2 * (int64_t)sizeof(LsBfloat16) : (int64_t)sizeof(float));
}

LsExchange *ls_exchange_new(MPI_Comm mpi, int64_t most, bool narrow)
{
    LsExchange *e = ls_alloc(sizeof *e);
    if (!e)
        return NULL;
    *e = (LsExchange){.mpi = mpi, .narrow = narrow, .width = narrow ? sizeof(LsBfloat16) : sizeof(float), .most = most};
    if (ls_mpi_status(MPI_Comm_size(mpi, &e->parties), "MPI_Comm_size") == LS_OK &&
        ls_mpi_status(MPI_Comm_rank(mpi, &e->me), "MPI_Comm_rank") == LS_OK) {
        e->contribution = narrow ? ls_alloc_array(most, e->width) : NULL;
        e->received = ls_alloc_array(longest(most, e->parties) * e->parties, e->width);
        e->x = ls_alloc_array(e->parties, sizeof *e->x);
        e->request = ls_alloc_array(2 * e->parties, sizeof(MPI_Request));
        e->complete = ls_alloc_array(2 * e->parties, sizeof *e->complete);
        if ((e->contribution || !narrow) && e->received && e->x && e->request && e->complete)
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
    for (int party = 0; e->stage != IDLE && party < e->parties; party++)
        if (e->request[party] != MPI_REQUEST_NULL && MPI_Cancel(&e->request[party]) == MPI_SUCCESS)
            MPI_Wait(&e->request[party], MPI_STATUS_IGNORE);
    ls_free(e->contribution);
    ls_free(e->received);
    ls_free(e->x);
    ls_free(e->request);
    ls_free(e->complete);
    ls_free(e);
}

/* What travels of the array from `first` on. */
static char *traveller(const LsExchange *e, int64_t first)
{
    return e->narrow ? e->contribution + (size_t)first * e->width : (char *)(e->array + first);
}

static LsBfloat16 *narrowed(const LsExchange *e, int64_t first) { return (LsBfloat16 *)(void *)traveller(e, first); }

static LsStatus post(LsExchange *e, int party, char *from, int64_t in, char *to, int64_t out)
{
    MPI_Datatype type = e->narrow ? MPI_UINT16_T : MPI_FLOAT;
    int tag = e->tag + (e->stage == SPREADING);
    e->request[party] = e->request[e->parties + party] = MPI_REQUEST_NULL;
    if (party == e->me)
        return LS_OK;
    if (in > 0)
        LS_TRY(ls_mpi_status(MPI_Irecv(from, (int)in, type, party, tag, e->mpi, &e->request[party]), "MPI_Irecv"));
    if (out > 0)
        LS_TRY(ls_mpi_status(MPI_Isend(to, (int)out, type, party, tag, e->mpi, &e->request[e->parties + party]),
                             "MPI_Isend"));
    return LS_OK;
}

LsStatus ls_exchange_start(LsExchange *e, float *x, int64_t count, int number)
{
    int64_t first, part, mine, own;
    if (e->stage != IDLE || count > e->most)
        return ls_fail(LS_ERROR, "a sum over the ranks is started before the last one has ended, or is too long");
    e->array = x;
    e->count = count;
    e->tag = number * 2 % TAGS;
    e->stage = GATHERING;
    if (e->narrow)
        ls_bfloat16_round(x, (LsBfloat16 *)(void *)e->contribution, count);
    part_of(e, e->me, &own, &mine);
    for (int party = 0; party < e->parties; party++) {
        char *room = e->received + (size_t)(party * longest(e->count, e->parties)) * e->width;
        part_of(e, party, &first, &part);
        e->x[party] = party == e->me ? traveller(e, own) : room;
        LS_TRY(post(e, party, room, mine, traveller(e, first), part));
    }
    return LS_OK;
}

/* All parties' parts of this rank's are here. */
static LsStatus sum_and_spread(LsExchange *e)
{
    int64_t own, mine, first, part;
    part_of(e, e->me, &own, &mine);
    ls_tree_sum(&(LsTree){.parties = e->parties, .narrow = e->narrow, .x = e->x, .to = e->array + own, .count = mine});
    if (e->narrow)
        ls_bfloat16_round(e->array + own, narrowed(e, own), mine);
    e->stage = SPREADING;
    for (int party = 0; party < e->parties; party++) {
        part_of(e, party, &first, &part);
        LS_TRY(post(e, party, traveller(e, first), part, traveller(e, own), mine));
    }
    return LS_OK;
}

/* Requests that are complete leave the list. */
static LsStatus look(LsExchange *e, bool *done, bool *moved)
{
    int count = 0;
    LS_TRY(ls_mpi_status(MPI_Testsome(2 * e->parties, e->request, &count, e->complete, MPI_STATUSES_IGNORE),
                         "MPI_Testsome"));
    *done = true;
    if (count == MPI_UNDEFINED)
        return LS_OK;
    *moved |= count > 0;
    for (int i = 0; i < 2 * e->parties && *done; i++)
        *done = e->request[i] == MPI_REQUEST_NULL;
    return LS_OK;
}

LsStatus ls_exchange_test(LsExchange *e, bool *done, bool *moved)
{
    bool complete = false;
    *done = e->stage == IDLE;
    if (*done)
        return LS_OK;
    LS_TRY(look(e, &complete, moved));
    if (complete && e->stage == GATHERING) {
        LS_TRY(sum_and_spread(e));
        LS_TRY(look(e, &complete, moved));
    }
    if (!complete || e->stage != SPREADING)
        return LS_OK;
    if (e->narrow)
        ls_bfloat16_widen((const LsBfloat16 *)(const void *)e->contribution, e->array, e->count);
    e->stage = IDLE;
    *done = true;
    return LS_OK;
}
