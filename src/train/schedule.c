#include "train/optimizer.h"

#define LS_LIST_FILE "config/schedules.def"
#define SCHEDULE LS_LIST_ENTRY
#define LS_LIST_TYPE LsSchedule
#define LS_LIST_SYMBOL(name) ls_schedule_##name
#define LS_LIST_WHAT "schedule"
#define LS_LIST_ROOM 0
#include "base/registry_list.h"

const LsSchedule *ls_schedule_find(const char *name) { return ls_registry_find(&registry, name); }

double ls_schedule(const LsTrainSettings *settings, int64_t step)
{
    const LsSchedule *schedule = ls_schedule_find(settings->schedule);
    if (step <= settings->warmup)
        return settings->learning_rate * (double)step / (double)settings->warmup;
    int64_t span = settings->steps - settings->warmup, done = step - settings->warmup;
    return schedule->rate(settings, step, span <= 0 || done >= span ? 1 : (double)done / (double)span);
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
