/* Warm-up, stable, decay (Hu et al. 2024, "MiniCPM", section 4): learning_rate but for the last `cooldown` steps (0: a
 * tenth of all), over which it falls in a line to min_learning_rate at the last one. */
#include "train/optimizer.h"

static double rate(const LsTrainSettings *settings, int64_t step, double share)
{
    (void)share;
    double cooldown = settings->cooldown > 0 ? (double)settings->cooldown : 0.1 * (double)settings->steps;
    double left = (double)(settings->steps - step) / cooldown;
    left = left < 0 ? 0 : left < 1 ? left : 1;
    return settings->learning_rate + (settings->min_learning_rate - settings->learning_rate) * (1 - left);
}

extern const LsSchedule ls_schedule_wsd;
const LsSchedule ls_schedule_wsd = {.name = "wsd", .takes = "min_learning_rate|cooldown", .rate = rate};
