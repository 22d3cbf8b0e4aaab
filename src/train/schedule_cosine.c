/* From learning_rate along half a cosine to min_learning_rate at the last step (Loshchilov, Hutter 2017). */
#include "train/optimizer.h"

#include <math.h>

static double rate(const LsTrainSettings *settings, int64_t step, double share)
{
    (void)step;
    double low = settings->min_learning_rate;
    return low + (settings->learning_rate - low) * 0.5 * (1 + cos(M_PI * share));
}

extern const LsSchedule ls_schedule_cosine;
const LsSchedule ls_schedule_cosine = {.name = "cosine", .takes = "min_learning_rate", .rate = rate};
