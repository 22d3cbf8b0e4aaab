/* Drawings of tasks: pictures side by side as PNG, numbers over time as SVG. */
#ifndef LS_TASKS_DRAWINGS_H
#define LS_TASKS_DRAWINGS_H

#include "lockstep/task.h"

/* Pictures of drawn->output, (samples, H, W, C) with C 1 or 3, side by side. A pixel is mean[c] + deviation[c] x, both
 * of drawn->info (without it: 127.5 of each), cut to 0 .. 255. LS_USAGE where they are no pictures; out NULL: nothing
 * is drawn. */
LsStatus ls_draw_grid(const LsDrawn *drawn, FILE *out) LS_MUST_USE;

/* Two lines over the samples: what was said and what came. */
typedef struct LsLines {
    int64_t samples, horizon;   /* numbers of a sample, of which number h is at place sample + h */
    const float *said, *wanted; /* (samples, horizon); NAN: nothing */
    double offset, scale;       /* what is shown is offset + scale x */
    const char *name;           /* of the numbers; NULL: none */
} LsLines;
LsStatus ls_draw_lines(const LsLines *lines, FILE *out) LS_MUST_USE;

#endif
