/* learning_rate drop_factor^k after k times drop_every steps, warm-up included, never below min_learning_rate. */
#include "train/optimizer.h"

#include <math.h>

static double rate(const LsTrainSettings *settings, int64_t step, double share)
{
    (void)share;
    double low = settings->min_learning_rate, drops = (double)((step - 1) / settings->drop_every);
    double rate = settings->learning_rate * pow(settings->drop_factor, drops);
    return rate > low ? rate : low;
}

extern const LsSchedule ls_schedule_step;
const LsSchedule ls_schedule_step = {.name = "step", .takes = "min_learning_rate|drop_every|drop_factor", .rate = rate};
