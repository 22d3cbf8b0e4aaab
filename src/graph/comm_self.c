/* The world of one rank: sums are what they are, so every call returns at once. */
#include "lockstep/tensor.h"

#include <stdlib.h>

static LsStatus same_float(const LsComm *comm, float *x, int64_t count)
{
    (void)comm, (void)x, (void)count;
    return LS_OK;
}

static LsStatus same_double(const LsComm *comm, double *x, int64_t count)
{
    (void)comm, (void)x, (void)count;
    return LS_OK;
}

static LsStatus same_max(const LsComm *comm, int64_t *x, int64_t count)
{
    (void)comm, (void)x, (void)count;
    return LS_OK;
}

static LsStatus same_bytes(const LsComm *comm, void *bytes, int64_t count, int root)
{
    (void)comm, (void)bytes, (void)count, (void)root;
    return LS_OK;
}

static LsStatus stays(const LsComm *comm, void *x, const void *decay, void *add, int64_t count, bool wide, bool reverse)
{
    (void)comm, (void)x, (void)decay, (void)add, (void)count, (void)wide, (void)reverse;
    return LS_OK;
}

static LsStatus no_neighbour(const LsComm *comm, const void *send, void *receive, int64_t bytes, bool back)
{
    (void)comm, (void)send, (void)receive, (void)bytes, (void)back;
    return LS_OK;
}

static LsStatus nothing(const LsComm *comm)
{
    (void)comm;
    return LS_OK;
}

static void end_program(const LsComm *comm, LsStatus status)
{
    (void)comm;
    exit((int)status);
}

const LsComm *ls_comm_self(void)
{
    static const LsComm self = {.rank = 0,
                                .size = 1,
                                .allreduce_float = same_float,
                                .allreduce_double = same_double,
                                .allreduce_max = same_max,
                                .broadcast = same_bytes,
                                .barrier = nothing,
                                .scan = stays,
                                .shift = no_neighbour,
                                .abort = end_program};
    return &self;
}
