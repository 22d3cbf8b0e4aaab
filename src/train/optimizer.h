/* Optimisers (one file each, one line in config/optimizers.def) and learning-rate schedules. */
#ifndef LS_TRAIN_OPTIMIZER_H
#define LS_TRAIN_OPTIMIZER_H

#include "config/config.h"
#include "dist/dist.h" /* LsRange */
#include "lockstep/saved.h"

#define LS_MAX_MOMENTS 3

/* The ranges of the flat arrays that one rank updates, where the ranks of a node share the work. NULL: everything. */
typedef struct LsShard {
    int ranges;
    const LsRange *range; /* in any order, without overlap; parameters taken as a whole are in one range each */
} LsShard;

/* Numbers that an optimiser keeps of each parameter from step to step, zero at first. */
typedef struct LsMomentKind {
    const char *group; /* as in checkpoints: "optimizer/m" */
    /* their shape, made of the parameter's; false: this parameter has none. NULL: the parameter's own, of all */
    bool (*shape)(const LsParam *param, int *rank, int64_t *dim);
} LsMomentKind;

typedef struct LsMoment {
    const LsParams *layout; /* the parameters themselves, or a store of names and shapes */
    float *value;           /* (layout->total) */
} LsMoment;

/* One step: params->value, and params->shadow, from params->grad times `scale` (clipping, and the mean over
 * targets). */
typedef struct LsUpdate {
    const LsTrainSettings *settings;
    LsParams *params;
    const LsMoment *moment;
    const LsShard *shard;
    float *work;  /* as many floats as LsOptimizer.work says, with undefined content */
    int64_t step; /* from 1 */
    double learning_rate, scale;
} LsUpdate;

typedef struct LsOptimizer {
    const char *name;
    const char *takes; /* "beta1|beta2": settings of the section `train:` that not all optimisers take; NULL: none */
    int moments;
    LsMomentKind moment[LS_MAX_MOMENTS];
    /* Parameters that are updated as a whole, by one rank of a node, since what becomes of an element depends on the
     * others. NULL: none; all others go element by element, in chunks of any size. */
    bool (*whole)(const LsParam *param);
    int64_t (*work)(const LsParams *params); /* NULL: none */
    /* The number of threads does not show in the bits. */
    LsStatus (*update)(const LsUpdate *update);
} LsOptimizer;

/* NULL where there is none of that name. */
const LsOptimizer *ls_optimizer_find(const char *name);

/* The optimiser's moments of those parameters that learn (NULL: all), without values. The layouts are the caller's to
 * free, all at once. */
LsStatus ls_moments_new(const LsOptimizer *optimizer, const LsParams *params,
                        bool (*learns)(const void *self, const char *name), const void *self,
                        LsMoment moment[LS_MAX_MOMENTS]) LS_MUST_USE;
void ls_moments_free(const LsParams *params, LsMoment moment[LS_MAX_MOMENTS]);
/* Their entries of a checkpoint, into list; returns how many. */
int ls_moments_saved(const LsOptimizer *optimizer, const LsMoment moment[LS_MAX_MOMENTS], LsSaved *list);
int64_t ls_moments_floats(const LsMoment moment[LS_MAX_MOMENTS]);

/* Where the moment of a parameter's element lies, whose place in the flat arrays is `first`: for the whole parameter
 * where shapes differ. NULL: the parameter has none. */
float *ls_moment_at(const LsMoment *moment, const LsParams *params, int param, int64_t first);

/* Decay of one parameter: settings->weight_decay for rank >= 2 without LS_NO_DECAY, else 0. */
float ls_optimizer_decay(const LsTrainSettings *settings, const LsParam *param);

/* Runs `update(self, param, first, count)` over the shard in parallel: chunks [first, first + count) of the flat arrays
 * that belong to list[param]; never across a border of parameters; every element once. Then, while a chunk is in the
 * cache, rounds its new values into params->shadow. */
void ls_optimizer_each(const LsParams *params, const LsShard *shard,
                       void (*update)(void *self, int param, int64_t first, int64_t count), void *self);

/* Runs update(u, param) for the shard's parameters that `whole` names, one after the other, and rounds their new values
 * into params->shadow. */
LsStatus ls_optimizer_each_whole(const LsUpdate *u, bool (*whole)(const LsParam *param),
                                 LsStatus (*update)(const LsUpdate *u, int param)) LS_MUST_USE;

/* One file and one line in config/schedules.def each. */
typedef struct LsSchedule {
    const char *name;
    const char *takes; /* as an optimiser's */
    /* the rate of a step after the warm-up; share: of the steps from there to train.steps, 0 to 1 */
    double (*rate)(const LsTrainSettings *settings, int64_t step, double share);
} LsSchedule;

/* Learning rate of step 1, 2, ...: linear warm-up over settings->warmup steps, then as the schedule has it. */
double ls_schedule(const LsTrainSettings *settings, int64_t step);

/* NULL where there is none of that name. */
const LsSchedule *ls_schedule_find(const char *name);

/* A warning where the rate never reaches train.learning_rate, or at the last step only. */
void ls_schedule_warn(const LsTrainSettings *settings);

/* Warnings of settings that the job gives another value than their default, and that change nothing in it: of another
 * optimiser or schedule, of samples that are not drawn, of data that come from no file. With their lines. */
void ls_warn_unused(const LsConfig *config);

/* Sum of squares of a flat array over LS_REDUCE_CHUNKS chunks in order, in double; NaN or infinite where an element
 * is. */
double ls_sum_of_squares(const float *x, int64_t count);

#endif
