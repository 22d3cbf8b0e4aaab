#include "train/optimizer.h"

#include <math.h>
#include <string.h>

double ls_schedule(const LsTrainSettings *settings, int64_t step)
{
    double high = settings->learning_rate, low = settings->min_learning_rate;
    if (step <= settings->warmup)
        return high * (double)step / (double)settings->warmup;
    int64_t span = settings->steps - settings->warmup, done = step - settings->warmup;
    double share = span <= 0 || done >= span ? 1 : (double)done / (double)span;
    if (strcmp(settings->schedule, "linear") == 0)
        return high + (low - high) * share;
    if (strcmp(settings->schedule, "cosine") == 0)
        return low + (high - low) * 0.5 * (1 + cos(M_PI * share));
    if (strcmp(settings->schedule, "inverse_sqrt") == 0) {
        double rate = high * sqrt((double)(settings->warmup > 1 ? settings->warmup : 1) / (double)step);
        return rate > low ? rate : low;
    }
    return high;
}

void ls_schedule_warn(const LsTrainSettings *settings)
{
    long long warmup = settings->warmup, steps = settings->steps;
    if (warmup < steps || steps == 0)
        return;
    if (warmup == steps)
        ls_warn("train.warmup is as long as the run (%lld steps): the learning rate reaches %g at the last step only",
                steps, settings->learning_rate);
    else
        ls_warn("train.warmup (%lld) is longer than the run (%lld steps): the learning rate ends at %.3g and never "
                "reaches %g; set train.warmup lower",
                warmup, steps, ls_schedule(settings, settings->steps), settings->learning_rate);
}
