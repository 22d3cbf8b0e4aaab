/* learning_rate sqrt(max(warmup, 1) / step), never below min_learning_rate (Vaswani et al. 2017). */
#include "train/optimizer.h"

#include <math.h>

static double rate(const LsTrainSettings *settings, int64_t step, double share)
{
    (void)share;
    double low = settings->min_learning_rate;
    double rate = settings->learning_rate * sqrt((double)(settings->warmup > 1 ? settings->warmup : 1) / (double)step);
    return rate > low ? rate : low;
}

extern const LsSchedule ls_schedule_inverse_sqrt;
const LsSchedule ls_schedule_inverse_sqrt = {.name = "inverse_sqrt", .takes = "min_learning_rate", .rate = rate};
