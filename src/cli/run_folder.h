/* The folder of a run: config.yaml, metrics.jsonl, checkpoints/, status, log.txt. Written by rank 0 alone. */
#ifndef LS_CLI_RUN_FOLDER_H
#define LS_CLI_RUN_FOLDER_H

#include "cli/event_file.h"
#include "io/lock.h"
#include "io/output.h"
#include "train/train.h"

typedef struct LsRunFolder {
    char *path, *metrics_path;
    LsOutput *output;      /* its lock: one training at a time */
    int metrics;           /* file descriptor of metrics.jsonl, -1 while closed */
    LsEventFile *events;   /* of output.tensorboard; NULL: not asked for */
    bool made_checkpoints; /* checkpoints/ was missing */
} LsRunFolder;

/* Makes the folder and checkpoints/ where they are missing, and takes the folder's lock: nothing in it may be read or
 * written by a training before. The folder is closed with ls_run_folder_close, whatever happens; keep false: a folder
 * that was made and is empty is removed. LS_USAGE where another process trains there, LS_RESOURCE where the disk is
 * full. */
LsStatus ls_run_folder_open(LsRunFolder *run, const char *path) LS_MUST_USE;
void ls_run_folder_close(LsRunFolder *run, bool keep);

/* LS_ERROR where the folder was removed, or another training has taken it over. To be called before anything is
 * written. */
LsStatus ls_run_folder_check(const LsRunFolder *run) LS_MUST_USE;

/* A file of the folder, its name with a folder that is made where it is missing ("pictures/1.png"), by the safe
 * replace. */
LsStatus ls_run_folder_file(const LsRunFolder *run, const char *name, const void *bytes, int64_t count) LS_MUST_USE;

/* The word in RUN/status; "" where there is none. And who trains there (io/lock.h). */
#define LS_STATUS_WORD 64
const char *ls_run_folder_read_status(const char *path, char word[LS_STATUS_WORD]);
LsLockState ls_run_folder_owner(const char *path, LsLockOwner *owner);

/* True where there is nothing of a run in it: no checkpoint and no row of metrics. */
bool ls_run_folder_empty(const LsRunFolder *run);

/* One word: running, done, requeue, diverged, failed. And the word for a status of the loop. */
LsStatus ls_run_folder_status(const LsRunFolder *run, const char *word) LS_MUST_USE;
const char *ls_run_folder_word(LsStatus status);

LsStatus ls_run_folder_config(const LsRunFolder *run, const char *yaml) LS_MUST_USE;

/* Drops rows of steps past `step` (and a half-written last line) by a safe replace, and opens metrics.jsonl to go on.
 * Lines that cannot be read, or stand out of order, are put into metrics.jsonl.damaged, and that is said; so is where
 * fewer rows are left than `rows`, the number that the checkpoint knows of. */
LsStatus ls_run_folder_metrics(LsRunFolder *run, int64_t step, int64_t rows) LS_MUST_USE;

/* Appends a row in one write. Numbers are written so that they read back to the bit. A file that was removed meanwhile
 * is begun anew, with a warning. */
LsStatus ls_run_folder_row(LsRunFolder *run, const LsMetrics *metrics) LS_MUST_USE;

/* All rows on the disk. */
LsStatus ls_run_folder_sync(const LsRunFolder *run) LS_MUST_USE;

#endif
