#include "cli/metrics_csv.h"

#include "cli/run_record.h"
#include "config/number.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void write_rows(FILE *out, const LsRunRecord *record)
{
    char text[32];
    for (int j = 0; j < record->columns; j++)
        fprintf(out, "%s%s", j ? "," : "", record->column[j].name);
    fputs("\r\n", out);
    for (int64_t i = 0; i < record->rows; i++) {
        for (int j = 0; j < record->columns; j++) {
            double value = record->column[j].value[i];
            ls_number_text(value, text);
            fprintf(out, "%s%s", j ? "," : "", isfinite(value) ? text : "");
        }
        fputs("\r\n", out);
    }
}

LsStatus ls_metrics_csv(const char *run)
{
    LsRunRecord record;
    char *text = NULL, *path = NULL;
    size_t bytes = 0;
    LsStatus status = ls_run_record_read(run, &record);
    if (status == LS_OK && record.rows > 0) {
        path = ls_format("%s/metrics.csv", run);
        FILE *out = path ? open_memstream(&text, &bytes) : NULL;
        if (out)
            write_rows(out, &record);
        if (out && fclose(out) == 0)
            status = ls_file_replace(path, text, (int64_t)bytes);
        else
            status = ls_fail(LS_RESOURCE, "%s: out of memory for metrics.csv", run);
    }
    free(text);
    ls_free(path);
    ls_run_record_free(&record);
    return status;
}
