/* From learning_rate in a line to min_learning_rate at the last step. */
#include "train/optimizer.h"

static double rate(const LsTrainSettings *settings, int64_t step, double share)
{
    (void)step;
    return settings->learning_rate + (settings->min_learning_rate - settings->learning_rate) * share;
}

extern const LsSchedule ls_schedule_linear;
const LsSchedule ls_schedule_linear = {.name = "linear", .takes = "min_learning_rate", .rate = rate};
