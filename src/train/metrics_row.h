/* A row of metrics as names and numbers: what metrics.jsonl, metrics.csv and event files are made of. */
#ifndef LS_TRAIN_METRICS_ROW_H
#define LS_TRAIN_METRICS_ROW_H

#include "train/train.h"

#define LS_MAX_ROW (2 * LS_MAX_PHASES + LS_MAX_METRICS + 16)

typedef struct LsMetricsRow {
    int count;
    struct LsMetricsField {
        char name[64];
        double value; /* finite */
        bool whole;   /* a count */
    } field[LS_MAX_ROW];
} LsMetricsRow;

/* In the order of metrics.jsonl, "step" first; a number that is not known is left out. */
void ls_metrics_row(const LsMetrics *metrics, LsMetricsRow *row);

/* {"step": 1, "loss": 2.5, ...} with a line's end; numbers read back to the bit. Returns its bytes; they fit. */
#define LS_ROW_TEXT (LS_MAX_ROW * 104)
int ls_metrics_row_json(const LsMetricsRow *row, char text[LS_ROW_TEXT]);

#endif
