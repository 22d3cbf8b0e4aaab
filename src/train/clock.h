/* The parts of a step's time: into the fields of LsTrainTimes, and into the trace. */
#ifndef LS_TRAIN_CLOCK_H
#define LS_TRAIN_CLOCK_H

#include "base/trace.h"

/* Adds the seconds since *clock to *total (NULL: to none), sets *clock to now, and writes a trace event where there is
 * a name. */
static inline void ls_charge_time(double *clock, double *total, const char *category, const char *name)
{
    double now = ls_seconds();
    if (total)
        *total += now - *clock;
    if (name)
        ls_trace_event(LS_TRACE_STEP, category, name, *clock, now);
    *clock = now;
}

#endif
