#include "train/outliers.h"

#include <math.h>

/* LsTrainer.outliers: counts, then the losses and the norms of the last steps in a ring each. All are floats, as
 * checkpoints hold them, so that a resumed training judges by the same numbers. */
enum { STEPS, NEXT, SKIPPED, COUNTS };

LsStatus ls_outliers_allocate(LsTrainer *t)
{
    const LsTrainSettings *train = &t->config->train;
    if (train->skip_outliers > 0 && !(t->outliers = ls_alloc_array(COUNTS + 2 * train->skip_window, sizeof(float))))
        return LS_RESOURCE;
    return LS_OK;
}

/* Whether `now` lies above the mean of x: (count) by more than z standard deviations. */
static bool lies_above(const float *x, int64_t count, float now, double z)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i];
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    return (double)now - mean > z * sqrt(squares / (double)(count - 1));
}

bool ls_outliers_judge(LsTrainer *t, double loss, double norm)
{
    if (!t->outliers)
        return false;
    const LsTrainSettings *train = &t->config->train;
    int64_t window = train->skip_window, steps = (int64_t)t->outliers[STEPS], next = (int64_t)t->outliers[NEXT];
    float *losses = t->outliers + COUNTS, *norms = losses + window;
    bool skips = steps >= 2 && 2 * steps >= window &&
                 (lies_above(losses, steps, (float)loss, train->skip_outliers) ||
                  lies_above(norms, steps, (float)norm, train->skip_outliers));
    losses[next] = (float)loss;
    norms[next] = (float)norm;
    t->outliers[STEPS] = (float)(steps < window ? steps + 1 : window);
    t->outliers[NEXT] = (float)((next + 1) % window);
    t->outliers[SKIPPED] += (float)skips;
    return skips;
}

int64_t ls_outliers_skipped(const LsTrainer *t) { return t->outliers ? (int64_t)t->outliers[SKIPPED] : 0; }

LsSaved ls_outliers_saved(const LsTrainer *t)
{
    return (LsSaved){.group = "outliers",
                     .value = t->outliers,
                     .rank = 1,
                     .dim = {COUNTS + 2 * t->config->train.skip_window},
                     .begins_as_zero = true};
}
