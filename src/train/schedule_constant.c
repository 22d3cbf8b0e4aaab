/* learning_rate */
#include "train/optimizer.h"

static double rate(const LsTrainSettings *settings, int64_t step, double share)
{
    (void)step, (void)share;
    return settings->learning_rate;
}

extern const LsSchedule ls_schedule_constant;
const LsSchedule ls_schedule_constant = {.name = "constant", .rate = rate};
