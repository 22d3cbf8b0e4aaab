/* Rows of metrics.jsonl that are there already. */
#ifndef LS_CLI_METRICS_FILE_H
#define LS_CLI_METRICS_FILE_H

#include "lockstep/base.h"

/* Cuts the file back to the rows up to `step`, by a safe replace; a file that is missing is as an empty one. Lines
 * before the last of these rows that cannot be read, or stand out of order, are appended to PATH.damaged, with a
 * warning. So are whole lines after it that cannot be read. A last line without its end is what a kill leaves, and
 * dropped. rows: as many as there should be; fewer are a warning. */
LsStatus ls_metrics_cut(const char *path, int64_t step, int64_t rows) LS_MUST_USE;

#endif
