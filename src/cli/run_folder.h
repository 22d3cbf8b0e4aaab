/* The folder of a run: config.yaml, metrics.jsonl, checkpoints/, status, log.txt. Written by rank 0 alone. */
#ifndef LS_CLI_RUN_FOLDER_H
#define LS_CLI_RUN_FOLDER_H

#include "train/train.h"

typedef struct LsRunFolder {
    char *path;
    int metrics; /* file descriptor of metrics.jsonl, -1 while closed */
} LsRunFolder;

/* Makes the folder and checkpoints/ where they are missing, and checks that files can be made in it. The folder is
 * closed with ls_run_folder_close. LS_USAGE where it cannot be written, LS_RESOURCE where the disk is full. */
LsStatus ls_run_folder_open(LsRunFolder *run, const char *path) LS_MUST_USE;
void ls_run_folder_close(LsRunFolder *run);

/* True where there is nothing of a run in it: no checkpoint and no row of metrics. */
bool ls_run_folder_empty(const LsRunFolder *run);

/* One word: running, done, requeue, diverged, failed. And the word for a status of the loop. */
LsStatus ls_run_folder_status(const LsRunFolder *run, const char *word) LS_MUST_USE;
const char *ls_run_folder_word(LsStatus status);

LsStatus ls_run_folder_config(const LsRunFolder *run, const char *yaml) LS_MUST_USE;

/* Drops rows of steps past `step` (and a half-written last line) by a safe replace, and opens metrics.jsonl to go
 * on. */
LsStatus ls_run_folder_metrics(LsRunFolder *run, int64_t step) LS_MUST_USE;

/* Appends a row in one write. Numbers are written so that they read back to the bit. */
LsStatus ls_run_folder_row(LsRunFolder *run, const LsMetrics *metrics) LS_MUST_USE;

/* All rows on the disk. */
LsStatus ls_run_folder_sync(const LsRunFolder *run) LS_MUST_USE;

#endif
