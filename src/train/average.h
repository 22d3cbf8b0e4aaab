/* train.average: the exponential moving average of the parameters, which validation and all commands that use a run
 * take in their place. After the first update it is their values, then average <- decay average + (1 - decay) value. */
#ifndef LS_TRAIN_AVERAGE_H
#define LS_TRAIN_AVERAGE_H

#include "train/train.h"

/* Before the first step, when all ranks have the parameters: those that are never learnt stay as they are. Collective;
 * like the others it does nothing without train.average. */
LsStatus ls_average_begin(LsTrainer *t) LS_MUST_USE;

/* After the player's update number `update`, from 1: of what this rank has updated. */
void ls_average_update(LsTrainer *t, const LsShard *shard, int64_t update);

/* Swaps values and average, bit for bit: before an evaluation and after it. Collective. */
LsStatus ls_average_swap(LsTrainer *t) LS_MUST_USE;

#endif
