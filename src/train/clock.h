/* Where the time of a step goes: the parts of LsTrainTimes, and the trace. */
#ifndef LS_TRAIN_CLOCK_H
#define LS_TRAIN_CLOCK_H

#include "base/trace.h"

/* Adds what has passed since *clock to *part (NULL: to none), sets *clock to now, and puts it into the trace where it
 * has a name. */
static inline void ls_charge(double *clock, double *part, const char *category, const char *name)
{
    double now = ls_seconds();
    if (part)
        *part += now - *clock;
    if (name)
        ls_trace_event(LS_TRACE_STEP, category, name, *clock, now);
    *clock = now;
}

#endif
