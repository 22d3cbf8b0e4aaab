/* A run read from its folder without its checkpoints: settings, status, and the rows of metrics.jsonl by column. */
#ifndef LS_CLI_RUN_RECORD_H
#define LS_CLI_RUN_RECORD_H

#include "config/yaml.h"

/* The last line of a training's log about its memory, as printf and scanf have it; reports read it from log.txt. */
#define LS_MEMORY_LINE "memory of this rank: %s at most, %s planned"
#define LS_MEMORY_LINE_READ "memory of this rank: %23[^a] at most, %23[^p]planned"

typedef struct LsRecordColumn {
    char *name;
    double *value; /* (rows); NAN where a row has no number of this name */
} LsRecordColumn;

typedef struct LsRunRecord {
    char *path;             /* as the user wrote it, without a slash at its end: the run's name */
    const char *status;     /* word of RUN/status; "" where there is none */
    char word[64];          /* its memory */
    LsYamlEntries settings; /* of config.yaml */
    int64_t rows, unread;   /* unread: lines that are no rows */
    int columns, room;
    LsRecordColumn *column;
    struct json_t *samples; /* {"step": N, "samples": [texts]}, in order of steps; NULL: none */
    struct json_t *bench;   /* of RUN/bench.json, what `lockstep bench --json` printed; NULL: none */
    char memory[64];        /* "612 MiB (640 planned)", as log.txt says it last; "": it does not */
} LsRunRecord;

/* LS_DATA where the folder has no config.yaml. Read beside a running training. Freed by ls_run_record_free, whatever
 * happens. */
LsStatus ls_run_record_read(const char *path, LsRunRecord *record) LS_MUST_USE;
/* LS_DATA where the run has no row, with the reason: it was imported, or has not done a step. */
LsStatus ls_run_record_rows(const LsRunRecord *record) LS_MUST_USE;
/* The number of runs that have rows, warned of those that have none; LS_DATA where none has. */
LsStatus ls_run_records_drawn(int runs, const LsRunRecord *record, int *drawn) LS_MUST_USE;
void ls_run_record_free(LsRunRecord *record);

const double *ls_run_record_column(const LsRunRecord *record, const char *name); /* NULL: there is none */
const char *ls_run_record_setting(const LsRunRecord *record, const char *section, const char *key); /* NULL: none */

/* The last finite number of a column; NAN where there is none. */
double ls_record_last(const LsRunRecord *record, const double *column);

#endif
