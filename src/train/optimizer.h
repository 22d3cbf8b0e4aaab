/* Optimisers (one file each, one line in the list) and learning-rate schedules. */
#ifndef LS_TRAIN_OPTIMIZER_H
#define LS_TRAIN_OPTIMIZER_H

#include "config/config.h"
#include "lockstep/tensor.h"

#define LS_MAX_MOMENTS 2

typedef struct LsOptimizer {
    const char *name;
    int moments;
    const char *moment_name[LS_MAX_MOMENTS]; /* as in checkpoints: "m", "v" */
    /* One step: params->value from params->grad times `scale` (clipping). step counts from 1. Element-wise, threads do not show in the bits. */
    void (*update)(const LsTrainSettings *settings, LsParams *params, float *const *moment, int64_t step, double learning_rate,
                   double scale);
} LsOptimizer;

const LsOptimizer *ls_optimizer_find(const char *name);

/* Learning rate of step 1, 2, ...: linear warm-up, then constant, linear, cosine (both to min_learning_rate at train.steps) or inverse
 * square root. */
double ls_schedule(const LsTrainSettings *settings, int64_t step);

/* Sum of squares of a flat array over LS_REDUCE_CHUNKS chunks in order, in double. */
double ls_sum_of_squares(const float *x, int64_t count);

#endif
