/* Numbers over time as a data set of kind "series".
 *
 *     /values   (rows, columns) float32, in their own units, in order of time
 *     /dates    JSON: a text a row; missing where no column of dates was named
 *     /info     {"kind": "series", "columns": [names], "target": index of the column to forecast, "window", "horizon", "season",
 *                "train_rows", "validation_rows", "test_rows", "scaling": name, "offset": [columns], "scale": [columns]}
 *
 * The first rows are the training part, then come those of validation, then those of the test. A scaled value is
 * (value - offset) / scale, both from the training rows alone.
 */
#ifndef LS_DATA_SERIES_H
#define LS_DATA_SERIES_H

#include "lockstep/data.h"
#include "data/texts.h"

#define LS_SERIES_VERSION 1

typedef struct LsSeriesSettings {
    char *columns, *target, *date, *only, *scaling;
    int64_t window, horizon, season;
    double validation, test;
} LsSeriesSettings;

LsStatus ls_series_prepare(const LsSeriesSettings *settings, int sources, char *const *source,
                           const char *output) LS_MUST_USE;

/* Fields "values" (T, columns) and "target" (horizon), scaled. As LsDataKind.open. */
LsStatus ls_series_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

/* A table as it stands in the files. */
typedef struct LsSeriesTable {
    int columns;
    char **name;           /* name: (columns) */
    double *value;         /* value: (rows, columns) */
    int64_t rows, room;    /* rows there is room for */
    json_t *dates;         /* NULL: no column of dates */
    int64_t blank, others; /* lines passed over: empty ones; those that --only leaves out */
} LsSeriesTable;

LsStatus ls_series_read(const LsSeriesSettings *settings, const LsRawFiles *raw, LsSeriesTable *table) LS_MUST_USE;
void ls_series_free(LsSeriesTable *table);

#endif
