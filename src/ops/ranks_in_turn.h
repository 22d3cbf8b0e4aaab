/* Recurrences over ranks that share a sequence: one rank after the other, each from the state that the one before has
 * ended with. The bits are those of segments one after the other. */
#ifndef LS_OPS_RANKS_IN_TURN_H
#define LS_OPS_RANKS_IN_TURN_H

#include "ops/op_build.h"

/* Runs compute on the ranks that hold this part of the time, in the order of the recurrence (backward: the other way).
 * state: (B, ...) of LS_ACC, or NULL. */
static inline LsStatus ls_ranks_in_turn(const LsNode *node, const LsRun *run, const LsTensor *state, bool backward,
                                        LsStatus (*compute)(const LsNode *node, const LsRun *run))
{
    const LsComm *comm = run->sequence;
    if (!ls_over_ranks(run) || !state || state->role != LS_ROLE_CARRY)
        return compute(node, run);
    for (int i = 0; i < comm->size; i++) {
        if (comm->rank == (backward ? comm->size - 1 - i : i))
            LS_TRY(compute(node, run));
        if (i + 1 < comm->size)
            LS_TRY(comm->shift(comm, backward ? state->grad : state->end->data,
                               backward ? state->end->grad : state->data, state->count * (int64_t)sizeof(acc),
                               backward));
    }
    return LS_OK;
}

#endif
