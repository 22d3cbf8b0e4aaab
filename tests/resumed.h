/* A trainer that goes on from what a checkpoint of another would hold. */
#ifndef RESUMED_H
#define RESUMED_H

#include "harness_mpi.h"
#include "train/streams.h"

#include <string.h>

/* Everything of `from` that its list of saved arrays names, its parameters and progress, to `to` on all ranks. list:
 * gets what is saved; returns how much. Collective. */
static inline int resume_from(LsTrainer *to, LsTrainer *from, LsSaved list[LS_MAX_SAVED])
{
    LsSaved own[LS_MAX_SAVED];
    ASSERT_OK(ls_streams_gather(from));
    ASSERT_OK(comm->barrier(comm));
    int count = ls_trainer_saved(from, list);
    CU_ASSERT_EQUAL(ls_trainer_saved(to, own), count);
    if (comm->rank == 0) {
        memcpy(to->params->value, from->params->value, (size_t)from->params->total * sizeof(float));
        for (int i = 0; i < count; i++) {
            int64_t numbers = 1;
            for (int j = 0; j < list[i].rank; j++)
                numbers *= list[i].dim[j];
            memcpy(own[i].value, list[i].value,
                   (size_t)(list[i].layout ? list[i].layout->total : numbers) * sizeof(float));
        }
        to->progress = from->progress;
    }
    ASSERT_OK(ls_trainer_broadcast(to));
    return count;
}

#endif
