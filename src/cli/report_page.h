/* The page of `lockstep report`: HTML with its pictures inside, nothing loaded from anywhere. */
#ifndef LS_CLI_REPORT_PAGE_H
#define LS_CLI_REPORT_PAGE_H

#include "cli/run_record.h"

#include <stdio.h>

/* Tables of the runs and of the settings that differ, a chart for each column of the metrics, and all settings of each
 * run. */
LsStatus ls_report_page(FILE *out, const char *title, int runs, const LsRunRecord *run) LS_MUST_USE;

/* The steps that `lockstep bench` measured, op by op, of the runs that have a bench.json. */
void ls_report_benches(FILE *out, int runs, const LsRunRecord *run);

#endif
