/* Progress of a run, on stderr of rank 0: a bar on a terminal, a line every few seconds elsewhere. */
#ifndef LS_CLI_PROGRESS_H
#define LS_CLI_PROGRESS_H

#include "train/train.h"

typedef enum LsProgressMode { LS_PROGRESS_AUTO, LS_PROGRESS_BAR, LS_PROGRESS_LINES, LS_PROGRESS_NONE } LsProgressMode;

typedef struct LsProgressBar {
    LsProgressMode mode;  /* never LS_PROGRESS_AUTO after begin */
    bool color, drawn;    /* drawn: a bar stands on the terminal's last line */
    int64_t first, steps; /* the step this process began at, and the last one */
    double start, last;   /* seconds: of the first step, of the last output */
} LsProgressBar;

/* "auto", "bar", "lines" or "none"; LS_USAGE otherwise. */
LsStatus ls_progress_mode(const char *name, LsProgressMode *mode) LS_MUST_USE;

/* auto: a bar where stderr is a terminal, else lines. Colours unless NO_COLOR is set. */
void ls_progress_begin(LsProgressBar *bar, LsProgressMode mode, int64_t first_step, int64_t steps);

/* After every step; draws at most some times a second, or writes a line every five. */
void ls_progress_step(LsProgressBar *bar, const LsMetrics *metrics);

/* A row with a validation loss is told in a line of its own in every mode but none. */
void ls_progress_evaluated(LsProgressBar *bar, const LsMetrics *metrics);

/* Leaves the last state of the bar standing, in a line of its own. */
void ls_progress_end(LsProgressBar *bar);

/* Takes the bar off the terminal: call before other output to stderr. */
void ls_progress_clear(LsProgressBar *bar);

/* "1:02:03", "2 d 3:04:05"; returns text. And 12345678 as "12.3M". */
const char *ls_duration_text(double seconds, char text[32]);
const char *ls_count_text(double count, char text[32]);

#endif
