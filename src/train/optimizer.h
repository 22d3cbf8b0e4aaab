/* Optimisers (one file each, one line in config/optimizers.def) and learning-rate schedules. */
#ifndef LS_TRAIN_OPTIMIZER_H
#define LS_TRAIN_OPTIMIZER_H

#include "config/config.h"
#include "dist/dist.h" /* LsRange */
#include "lockstep/tensor.h"

#define LS_MAX_MOMENTS 2

/* What one rank updates of the flat arrays, where the ranks of a node share the work. NULL stands for everything. */
typedef struct LsShard {
    int ranges;
    const LsRange *range; /* in any order, without overlap */
} LsShard;

typedef struct LsOptimizer {
    const char *name;
    int moments;
    const char *moment_group[LS_MAX_MOMENTS]; /* as in checkpoints: "optimizer/m", "optimizer/v" */

    /* One step: params->value (and, through ls_optimizer_each, params->shadow) from params->grad times `scale`
     * (clipping, and the mean over targets). step counts from 1. Goes once over the flat arrays (the shard's ranges of
     * them), element by element, so that the number of threads does not show in the bits. */
    void (*update)(const LsTrainSettings *settings, LsParams *params, float *const *moment, const LsShard *shard,
                   int64_t step, double learning_rate, double scale);
} LsOptimizer;

/* NULL where there is none of that name. */
const LsOptimizer *ls_optimizer_find(const char *name);

/* Decay of one parameter: settings->weight_decay for rank >= 2 without LS_NO_DECAY, else 0. */
float ls_optimizer_decay(const LsTrainSettings *settings, const LsParam *param);

/* Runs `update(self, param, first, count)` over the shard in parallel: chunks [first, first + count) of the flat arrays
 * that belong to list[param]; never across a border of parameters; every element once. Then, while a chunk is in the
 * cache, rounds its new values into params->shadow. */
void ls_optimizer_each(const LsParams *params, const LsShard *shard,
                       void (*update)(void *self, int param, int64_t first, int64_t count), void *self);

/* Learning rate of step 1, 2, ...: linear warm-up over settings->warmup steps, then
 *   constant      lr
 *   linear        lr to min_learning_rate at train.steps
 *   cosine        the same along half a cosine
 *   inverse_sqrt  lr sqrt(max(warmup, 1) / step), never below min_learning_rate */
double ls_schedule(const LsTrainSettings *settings, int64_t step);

/* A warning where the rate never reaches train.learning_rate, or at the last step only. */
void ls_schedule_warn(const LsTrainSettings *settings);

/* Sum of squares of a flat array over LS_REDUCE_CHUNKS chunks in order, in double; NaN or infinite where an element
 * is. */
double ls_sum_of_squares(const float *x, int64_t count);

#endif
