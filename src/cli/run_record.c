#include "cli/run_record.h"

#include "cli/run_folder.h"
#include "io/file.h"
#include "io/json.h"
#include "store/below.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static LsStatus read_settings(LsRunRecord *record)
{
    char *path = ls_format("%s/config.yaml", record->path), *text = NULL;
    int64_t bytes = 0;
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && !ls_file_exists(record->path))
        status = ls_fail(LS_DATA, "%s: there is no such run folder", record->path);
    else if (status == LS_OK && !ls_file_exists(path))
        status = ls_fail(LS_DATA, "%s: is no run folder: it has no config.yaml%s", record->path,
                         ls_models_below(record->path));
    if (status == LS_OK)
        status = ls_file_read(path, LS_DATA, &text, &bytes);
    if (status == LS_OK) {
        LsMistakes mistakes = {.name = path};
        status = ls_yaml_read(text, (size_t)bytes, &record->settings, &mistakes);
        LsStatus told = ls_mistakes_status(&mistakes);
        status = status == LS_OK ? told : status;
    }
    ls_free(path);
    ls_free(text);
    return status;
}

/* The column of a name, made where it is new. NULL when out of memory. */
static double *column_of(LsRunRecord *record, const char *name, int64_t lines)
{
    for (int i = 0; i < record->columns; i++)
        if (strcmp(record->column[i].name, name) == 0)
            return record->column[i].value;
    if (record->columns == record->room) {
        int room = record->room ? 2 * record->room : 16;
        LsRecordColumn *grown = ls_alloc_array(room, sizeof *grown);
        if (!grown)
            return NULL;
        if (record->columns)
            memcpy(grown, record->column, sizeof *grown * (size_t)record->columns);
        ls_free(record->column);
        record->column = grown;
        record->room = room;
    }
    LsRecordColumn *column = &record->column[record->columns];
    *column = (LsRecordColumn){.name = ls_strdup(name), .value = ls_alloc_array(lines, sizeof(double))};
    if (!column->name || !column->value) {
        ls_free(column->name);
        ls_free(column->value);
        return NULL;
    }
    for (int64_t i = 0; i < lines; i++)
        column->value[i] = NAN;
    record->columns++;
    return column->value;
}

static LsStatus add_row(LsRunRecord *record, const char *text, int64_t bytes, int64_t lines)
{
    json_t *row = json_loadb(text, (size_t)bytes, 0, NULL), *value;
    const char *name;
    LsStatus status = LS_OK;
    if (!json_is_integer(json_object_get(row, "step"))) {
        record->unread++;
        json_decref(row);
        return LS_OK;
    }
    json_object_foreach(row, name, value)
    {
        double *column = json_is_number(value) ? column_of(record, name, lines) : NULL;
        if (column)
            column[record->rows] = json_number_value(value);
        else if (json_is_number(value))
            status = LS_RESOURCE;
    }
    if (json_is_array(json_object_get(row, "samples"))) {
        record->samples = record->samples ? record->samples : json_array();
        json_t *sampled =
            json_pack("{s:O, s:O}", "step", json_object_get(row, "step"), "samples", json_object_get(row, "samples"));
        status = json_array_append_new(record->samples, sampled) == 0 ? status : LS_RESOURCE;
    }
    record->rows++;
    json_decref(row);
    return status;
}

static LsStatus read_rows(LsRunRecord *record)
{
    char *path = ls_format("%s/metrics.jsonl", record->path), *text = NULL;
    int64_t bytes = 0, lines = 0;
    LsStatus status = !path ? LS_RESOURCE : ls_file_exists(path) ? ls_file_read(path, LS_DATA, &text, &bytes) : LS_OK;
    for (int64_t i = 0; status == LS_OK && i < bytes; i++)
        lines += text[i] == '\n';
    const char *at = text;
    for (int64_t i = 0; status == LS_OK && i < lines; i++) {
        const char *end = memchr(at, '\n', (size_t)(bytes - (at - text)));
        status = add_row(record, at, end - at, lines);
        at = end + 1;
    }
    ls_free(path);
    ls_free(text);
    return status;
}

LsStatus ls_run_record_rows(const LsRunRecord *record)
{
    char *path = ls_format("%s/metrics.jsonl", record->path);
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (path && record->rows == 0 && ls_file_exists(path))
        status = ls_fail(LS_DATA, "%s: has no rows yet: train for some steps first", path);
    else if (path && record->rows == 0 && record->status[0])
        status = ls_fail(LS_DATA, "%s: has no metrics.jsonl, and so no rows", record->path);
    else if (path && record->rows == 0)
        status = ls_fail(LS_DATA, "%s: was imported and not trained since: it has no metrics.jsonl, and so no rows",
                         record->path);
    ls_free(path);
    return status;
}

LsStatus ls_run_records_drawn(int runs, const LsRunRecord *record, int *drawn)
{
    *drawn = 0;
    for (int i = 0; i < runs; i++)
        *drawn += record[i].rows > 0;
    if (*drawn == 0)
        return runs > 0 ? ls_run_record_rows(&record[0]) : LS_OK;
    for (int i = 0; i < runs; i++)
        if (ls_run_record_rows(&record[i]) != LS_OK)
            ls_warn("%s; nothing of it is drawn", ls_message());
    ls_clear_message();
    return LS_OK;
}

static LsStatus read_bench(LsRunRecord *record)
{
    char *path = ls_format("%s/bench.json", record->path);
    LsStatus status = !path ? LS_RESOURCE : ls_file_exists(path) ? ls_json_load(path, LS_DATA, &record->bench) : LS_OK;
    if (status == LS_OK && record->bench && !json_is_array(json_object_get(record->bench, "ops")))
        status = ls_fail(LS_DATA, "%s: is not what 'lockstep bench --json' prints", path);
    ls_free(path);
    return status;
}

/* What the training said last of its memory. */
static void read_memory(LsRunRecord *record)
{
    char *path = ls_format("%s/log.txt", record->path), *text = NULL;
    int64_t bytes = 0;
    if (path && ls_file_exists(path) && ls_file_read(path, LS_DATA, &text, &bytes) == LS_OK)
        for (const char *at = text; (at = strstr(at, "memory of this rank: ")); at++) {
            char most[24], planned[24];
            if (sscanf(at, LS_MEMORY_LINE_READ, most, planned) == 2)
                snprintf(record->memory, sizeof record->memory, "%.*s (%.*s planned)", (int)strlen(most) - 1, most,
                         (int)strlen(planned) - 1, planned);
        }
    ls_free(text);
    ls_free(path);
}

LsStatus ls_run_record_read(const char *path, LsRunRecord *record)
{
    *record = (LsRunRecord){.path = ls_strdup(path)};
    if (!record->path)
        return LS_RESOURCE;
    record->path[ls_path_length(path)] = '\0';
    record->status = ls_run_folder_read_status(record->path, record->word);
    LS_TRY(read_settings(record));
    LS_TRY(read_bench(record));
    read_memory(record);
    return read_rows(record);
}

void ls_run_record_free(LsRunRecord *record)
{
    for (int i = 0; i < record->columns; i++) {
        ls_free(record->column[i].name);
        ls_free(record->column[i].value);
    }
    ls_free(record->column);
    ls_free(record->path);
    ls_yaml_free(&record->settings);
    json_decref(record->samples);
    json_decref(record->bench);
}

const double *ls_run_record_column(const LsRunRecord *record, const char *name)
{
    for (int i = 0; i < record->columns; i++)
        if (strcmp(record->column[i].name, name) == 0)
            return record->column[i].value;
    return NULL;
}

const char *ls_run_record_setting(const LsRunRecord *record, const char *section, const char *key)
{
    for (int i = 0; i < record->settings.count; i++)
        if (strcmp(record->settings.list[i].section, section) == 0 && strcmp(record->settings.list[i].key, key) == 0)
            return record->settings.list[i].value;
    return NULL;
}

double ls_record_last(const LsRunRecord *record, const double *column)
{
    for (int64_t i = record->rows - 1; column && i >= 0; i--)
        if (isfinite(column[i]))
            return column[i];
    return NAN;
}
