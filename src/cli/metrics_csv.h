/* metrics.jsonl as metrics.csv (RFC 4180): a line of names, a line a row, nothing where a row has no number. */
#ifndef LS_CLI_METRICS_CSV_H
#define LS_CLI_METRICS_CSV_H

#include "lockstep/base.h"

/* Makes RUN/metrics.csv anew by a safe replace; numbers read back to the bit. Nothing is made where there are no
 * rows. */
LsStatus ls_metrics_csv(const char *run) LS_MUST_USE;

#endif
