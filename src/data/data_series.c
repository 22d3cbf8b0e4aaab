/* Numbers over time as a kind of data set: preparing and describing. */
#include "data/series.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const LsSetting settings[] = {
    LS_SETTING_STRING(LsSeriesSettings, columns, NULL,
                      "columns to read, with commas between them: names in the first line, or numbers from 1 (default: "
                      "all but the dates)"),
    LS_SETTING_STRING(LsSeriesSettings, target, NULL, "the column to forecast (default: the first of those read)"),
    LS_SETTING_STRING(LsSeriesSettings, date, NULL,
                      "the column of dates; those written YYYY-MM-DD must ascend (default: none)"),
    LS_SETTING_STRING(LsSeriesSettings, only, NULL, "COLUMN=VALUE: only rows that have this value in this column"),
    LS_SETTING_INT(LsSeriesSettings, window, "30", 1, 1 << 24, "rows that a forecast is made from"),
    LS_SETTING_INT(LsSeriesSettings, horizon, "1", 1, 1 << 20, "rows after them that are forecast"),
    LS_SETTING_INT(LsSeriesSettings, season, "0", 0, 1 << 24,
                   "rows of a season (7: days of a week), for the seasonal persistence that forecasts are compared "
                   "with; 0: none"),
    LS_SETTING_CHOICE(LsSeriesSettings, scaling, "standard", "standard|minmax|none",
                      "of each column, from the training rows alone: mean 0 and standard deviation 1, from 0 to 1, as "
                      "it is"),
    LS_SETTING_FLOAT(LsSeriesSettings, validation, "0.1", 0, LS_MOST_HELD_OUT,
                     "rows held out for validation, after those to train on: their share below 1, else their number"),
    LS_SETTING_FLOAT(LsSeriesSettings, test, "0.1", 0, LS_MOST_HELD_OUT,
                     "rows of the test part, the last ones: their share below 1, else their number"),
    {0}};

typedef struct Job {
    LsSeriesTable table;
    int64_t rows[LS_SPLITS];
    int target;
    double *offset, *scale; /* offset, scale: (columns) */
} Job;

/* ---- Preparing --------------------------------------------------------------------------------------------------- */

static int64_t part_of(double wanted, int64_t rows)
{
    return (int64_t)(wanted < 1 ? round(wanted * (double)rows) : floor(wanted));
}

/* Splits by time. Targets of a part lie in it; what they are forecast from may reach back into the part before. */
static LsStatus divide_rows(const LsSeriesSettings *o, const char *name, Job *job)
{
    int64_t total = job->table.rows;
    job->rows[LS_SPLIT_VALIDATION] = part_of(o->validation, total);
    job->rows[LS_SPLIT_TEST] = part_of(o->test, total);
    job->rows[LS_SPLIT_TRAIN] = total - job->rows[LS_SPLIT_VALIDATION] - job->rows[LS_SPLIT_TEST];
    if (job->rows[LS_SPLIT_TRAIN] < o->window + o->horizon)
        return ls_fail(LS_DATA,
                       "%s: of %lld rows %lld are left to train on, fewer than one window and horizon (%lld + %lld); "
                       "shorten --window, or hold out less",
                       name, (long long)total, (long long)job->rows[LS_SPLIT_TRAIN], (long long)o->window,
                       (long long)o->horizon);
    for (int split = LS_SPLIT_VALIDATION; split < LS_SPLITS; split++)
        if (job->rows[split] > 0 && job->rows[split] < o->horizon)
            return ls_fail(LS_DATA, "%s: the %s part has %lld rows, fewer than --horizon %lld", name,
                           ls_split_names[split], (long long)job->rows[split], (long long)o->horizon);
    return LS_OK;
}

static LsStatus find_target(const LsSeriesSettings *o, const char *name, Job *job)
{
    job->target = 0;
    if (!o->target)
        return LS_OK;
    for (; job->target < job->table.columns; job->target++)
        if (strcmp(job->table.name[job->target], o->target) == 0)
            return LS_OK;
    return ls_fail(LS_DATA, "%s: the target '%s' is none of the columns that are read", name, o->target);
}

/* x_scaled = (x - offset) / scale, from the training rows. */
static LsStatus fit_scaling(const LsSeriesSettings *o, Job *job)
{
    const LsSeriesTable *table = &job->table;
    int64_t rows = job->rows[LS_SPLIT_TRAIN];
    job->offset = ls_alloc_array(table->columns, sizeof *job->offset);
    job->scale = ls_alloc_array(table->columns, sizeof *job->scale);
    if (!job->offset || !job->scale)
        return LS_RESOURCE;
    for (int c = 0; c < table->columns; c++) {
        double sum = 0, squares = 0, low = INFINITY, high = -INFINITY;
        for (int64_t row = 0; row < rows; row++) {
            double x = table->value[row * table->columns + c];
            sum += x;
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        for (int64_t row = 0; row < rows; row++) {
            double x = table->value[row * table->columns + c] - sum / (double)rows;
            squares += x * x;
        }
        bool standard = strcmp(o->scaling, "standard") == 0, none = strcmp(o->scaling, "none") == 0;
        job->offset[c] = none ? 0 : standard ? sum / (double)rows : low;
        job->scale[c] = none ? 1 : standard ? sqrt(squares / (double)rows) : high - low;
        if (low == high && !none)
            ls_warn("column %s is %g in every training row", table->name[c], low);
        if (low == high)
            job->scale[c] = 1;
    }
    return LS_OK;
}

static json_t *numbers(const double *value, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_real(value[i]));
    return list;
}

static json_t *make_info(const LsSeriesSettings *o, const Job *job)
{
    json_t *names = json_array();
    for (int i = 0; i < job->table.columns; i++)
        json_array_append_new(names, json_string(job->table.name[i]));
    return json_pack("{s:s, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "kind", "series", "columns", names,
                     "target", job->target, "window", (json_int_t)o->window, "horizon", (json_int_t)o->horizon,
                     "season", (json_int_t)o->season, "train_rows", (json_int_t)job->rows[LS_SPLIT_TRAIN],
                     "validation_rows", (json_int_t)job->rows[LS_SPLIT_VALIDATION], "test_rows",
                     (json_int_t)job->rows[LS_SPLIT_TEST], "scaling", o->scaling, "offset",
                     numbers(job->offset, job->table.columns), "scale", numbers(job->scale, job->table.columns));
}

static LsStatus write_values(LsSealed *file, const LsSeriesTable *table)
{
    int64_t count = table->rows * table->columns;
    float *value = ls_alloc_array(count, sizeof *value);
    if (!value)
        return LS_RESOURCE;
    for (int64_t i = 0; i < count; i++)
        value[i] = (float)table->value[i];
    LsStatus status =
        ls_sealed_write(file, "values", LS_FILE_FLOAT32, 2, (int64_t[]){table->rows, table->columns}, value, 0);
    ls_free(value);
    return status;
}

static LsStatus write_file(const LsSeriesSettings *o, const Job *job, int sources, char *const *source,
                           const char *output)
{
    LsSealed *file = ls_sealed_create(output, "series", LS_SERIES_VERSION, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = write_values(file, &job->table);
    if (status == LS_OK && job->table.dates)
        status = ls_sealed_write_json(file, "dates", job->table.dates);
    if (status == LS_OK) {
        json_t *notes =
            json_pack("{s:s*, s:I, s:I}", "only", o->only, "skipped_empty_lines", (json_int_t)job->table.blank,
                      "skipped_rows_of_other_series", (json_int_t)job->table.others);
        status = ls_sealed_write_notes(file, make_info(o, job), notes, &(LsAsked){settings, o, sources, source});
    }
    return ls_sealed_finish(file, status);
}

LsStatus ls_series_prepare(const LsSeriesSettings *o, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare series needs at least one file of comma-separated values");
    Job job = {0};
    LsRawFiles raw = {0};
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_raw_files_open(&raw, sources, source));
    LS_TRY_CLEANUP(ls_series_read(o, &raw, &job.table));
    LS_TRY_CLEANUP(divide_rows(o, source[0], &job));
    LS_TRY_CLEANUP(find_target(o, source[0], &job));
    LS_TRY_CLEANUP(fit_scaling(o, &job));
    LS_TRY_CLEANUP(write_file(o, &job, sources, source, output));
cleanup:
    ls_raw_files_close(&raw);
    ls_series_free(&job.table);
    ls_free(job.offset);
    ls_free(job.scale);
    return status;
}

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    return ls_series_prepare(table, sources, source, output);
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

/* Rows, samples, and dates of each part. */
static void add_parts(const json_t *info, const json_t *dates, json_t *object)
{
    int64_t window = json_integer_value(json_object_get(info, "window")), first = 0;
    int64_t horizon = json_integer_value(json_object_get(info, "horizon"));
    for (int split = 0; split < LS_SPLITS; split++) {
        char key[64];
        snprintf(key, sizeof key, "%s_rows", ls_split_names[split]);
        int64_t rows = json_integer_value(json_object_get(info, key));
        int64_t samples = rows - horizon + 1 - (split == LS_SPLIT_TRAIN ? window : 0);
        json_object_set_new(object, key, json_integer(rows));
        snprintf(key, sizeof key, "%s_samples", ls_split_names[split]);
        json_object_set_new(object, key, json_integer(rows > 0 ? samples : 0));
        const char *from = json_string_value(json_array_get(dates, (size_t)first));
        const char *to = json_string_value(json_array_get(dates, (size_t)(first + rows - 1)));
        snprintf(key, sizeof key, "%s_dates", ls_split_names[split]);
        if (rows > 0 && from && to)
            json_object_set_new(object, key, json_sprintf("%s to %s", from, to));
        first += rows;
    }
}

/* Lowest, mean and highest of each column, over all rows, and its scaling. */
static LsStatus add_columns(LsSealed *file, const json_t *info, json_t *object)
{
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    const json_t *names = json_object_get(info, "columns");
    LS_TRY(ls_sealed_shape(file, "values", &exists, &type, &rank, dim));
    if (!exists || rank != 2 || dim[1] != (int64_t)json_array_size(names))
        return ls_fail(LS_DATA, "%s: has no values of %zu columns", ls_sealed_path(file), json_array_size(names));
    float *value = ls_alloc_array(dim[0] * dim[1], sizeof *value);
    if (!value)
        return LS_RESOURCE;
    LsStatus status = ls_sealed_read(file, "values", LS_FILE_FLOAT32, dim[0] * dim[1], value);
    for (int64_t c = 0; c < dim[1] && status == LS_OK; c++) {
        double sum = 0, low = INFINITY, high = -INFINITY;
        for (int64_t row = 0; row < dim[0]; row++) {
            double x = value[row * dim[1] + c];
            sum += x;
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        json_t *one = json_pack("{s:f, s:f, s:f, s:O, s:O}", "lowest", low, "mean", sum / (double)dim[0], "highest",
                                high, "offset", json_array_get(json_object_get(info, "offset"), (size_t)c), "scale",
                                json_array_get(json_object_get(info, "scale"), (size_t)c));
        char *key = ls_format("column_%s", json_string_value(json_array_get(names, (size_t)c)));
        if (!one || !key || json_object_set_new(object, key, one) != 0)
            status = ls_fail(LS_RESOURCE, "out of memory for the description");
        ls_free(key);
    }
    ls_free(value);
    return status;
}

static LsStatus inspect(LsSealed *file, json_t *object)
{
    static const char *const shown[] = {"window", "horizon", "season", "scaling"};
    json_t *info = NULL, *dates = NULL;
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LS_TRY(ls_sealed_check_version(file, LS_SERIES_VERSION));
    LS_TRY(ls_sealed_shape(file, "dates", &exists, &type, &rank, dim));
    LS_TRY(ls_sealed_read_json(file, "info", &info));
    LsStatus status = exists ? ls_sealed_read_json(file, "dates", &dates) : LS_OK;
    if (status == LS_OK) {
        const json_t *names = json_object_get(info, "columns"), *target = json_object_get(info, "target");
        json_object_set_new(object, "columns", json_integer((json_int_t)json_array_size(names)));
        json_object_set(object, "target", json_array_get(names, (size_t)json_integer_value(target)));
        for (size_t i = 0; i < LS_COUNT_OF(shown); i++)
            json_object_set(object, shown[i], json_object_get(info, shown[i]));
        add_parts(info, dates, object);
        status = add_columns(file, info, object);
    }
    json_decref(info);
    json_decref(dates);
    return status == LS_OK ? ls_describe_preparation(file, object) : status;
}

static const char *const parts[] = {
    "info",        "preparation", "info.columns", "info.target", "info.window", "info.horizon", "info.train_rows",
    "info.offset", "info.scale",  "values",       NULL};

const LsDataKind ls_data_kind_series = {
    .name = "series",
    .summary = "numbers over time: columns of comma-separated values, to forecast from windows",
    .example =
        "lockstep prepare series weather.csv -o weather.h5 --date day --columns level,wind --window 30 --horizon 7",
    .settings = settings,
    .settings_bytes = sizeof(LsSeriesSettings),
    .prepare = prepare,
    .open = ls_series_open,
    .parts = parts,
    .inspect = inspect,
};
