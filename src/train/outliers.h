/* train.skip_outliers: a step whose loss or gradient norm lies more than so many standard deviations above the mean of
 * the last train.skip_window steps does not change the parameters. Steps that are skipped are part of that mean, so
 * that a new level is learnt from soon. */
#ifndef LS_TRAIN_OUTLIERS_H
#define LS_TRAIN_OUTLIERS_H

#include "train/train.h"

/* Nothing without the setting. */
LsStatus ls_outliers_allocate(LsTrainer *t) LS_MUST_USE;

/* Whether this step's update is to be skipped; counts it then. From half a window on. The same on every rank. */
bool ls_outliers_judge(LsTrainer *t, double loss, double norm);

/* Updates that were skipped so far. */
int64_t ls_outliers_skipped(const LsTrainer *t);

/* For checkpoints; only where there is something. */
LsSaved ls_outliers_saved(const LsTrainer *t);

#endif
