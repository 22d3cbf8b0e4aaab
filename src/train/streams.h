/* States that streams carry from step to step: see streams.c. All of it does nothing where train.carry is off. */
#ifndef LS_TRAIN_STREAMS_H
#define LS_TRAIN_STREAMS_H

#include "train/train.h"

/* Room for all streams' states, zero, when the training graph is planned. LS_USAGE where the model carries none. */
LsStatus ls_streams_allocate(LsTrainer *trainer) LS_MUST_USE;

/* Before a step: an epoch's streams begin with zero. */
void ls_streams_begin_step(LsTrainer *trainer);

/* (micro_batch, stream_numbers): the states of the rows of this rank's micro-batch. */
float *ls_streams_rows(const LsTrainer *trainer, int64_t micro_batch);

/* Before a checkpoint: every rank's rows to all ranks. After one was read: rank 0's rows to all. Collective. */
LsStatus ls_streams_gather(LsTrainer *trainer) LS_MUST_USE;
LsStatus ls_streams_broadcast(LsTrainer *trainer) LS_MUST_USE;

#endif
