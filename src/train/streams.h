/* States that streams carry from step to step: see streams.c. All of it does nothing where train.carry is off. */
#ifndef LS_TRAIN_STREAMS_H
#define LS_TRAIN_STREAMS_H

#include "train/train.h"

/* Room for all streams' states, zero, when the training graph is planned. LS_USAGE where the model carries none. */
LsStatus ls_streams_make(LsTrainer *trainer) LS_MUST_USE;

/* Before a step: an epoch's streams begin with zero. */
void ls_streams_begin(LsTrainer *trainer);

/* (micro_batch, stream_numbers): the states of the rows of this rank's micro-batch. */
float *ls_streams_of(const LsTrainer *trainer, int64_t micro_batch);

/* Every rank's rows to all ranks, before a checkpoint; rank 0's rows to all, after one was read. Collective. */
LsStatus ls_streams_gather(LsTrainer *trainer) LS_MUST_USE;
LsStatus ls_streams_share(LsTrainer *trainer) LS_MUST_USE;

#endif
