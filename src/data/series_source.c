/* Windows of a series as samples: fields "values" (T, columns), the rows before, "target" (horizon), the column to
 * forecast after them, and "seasonal" (horizon), what that column was a season before each (of whole seasons the fewest
 * after which it is known when the forecast is made), NAN where that is not known; all scaled. The targets of a part
 * lie in it; its first windows reach back into the part before. */
#include "data/sample_source.h"
#include "data/series.h"

#include "lockstep/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct SeriesSource {
    LsSampleSource base;
    int64_t columns, window, horizon, target, season;
    int64_t start; /* row of the first sample's first target */
    float *value;  /* value: (rows, columns), scaled */
} SeriesSource;

/* The column to forecast in the row that is whole seasons before `row`, and before the forecast's first. */
static float season_before(const SeriesSource *s, int64_t first, int64_t row)
{
    if (s->season < 1)
        return NAN;
    row -= ((row - first) / s->season + 1) * s->season;
    return row < 0 ? NAN : s->value[row * s->columns + s->target];
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    SeriesSource *s = (SeriesSource *)source;
    LsTensor *values = NULL, *target = NULL, *seasonal = NULL;
    LS_TRY(ls_sample_input(g, "values", batch->count, 0, &values));
    LS_TRY(ls_sample_input(g, "target", batch->count, s->horizon, &target));
    LS_TRY(ls_sample_input(g, "seasonal", batch->count, s->horizon, &seasonal));
    LsTensor *any = values ? values : target ? target : seasonal;
    float number;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        bool there = b < batch->count;
        int64_t first = s->start + (there ? ls_sample_at(&s->base, batch->first + b) : 0); /* row of the first target */
        if (values) {
            int64_t row = values->dim[1] * s->columns, steps = s->window - batch->step;
            steps = steps < values->dim[1] ? steps : values->dim[1];
            if (steps > 0)
                ls_tensor_set_part(g, values, b * row, steps * s->columns,
                                   s->value + (first - s->window + batch->step) * s->columns);
        }
        for (int64_t h = 0; target && h < s->horizon; h++) {
            number = there ? s->value[(first + h) * s->columns + s->target] : NAN;
            ls_tensor_set_part(g, target, b * s->horizon + h, 1, &number);
        }
        for (int64_t h = 0; seasonal && h < s->horizon; h++) {
            number = there ? season_before(s, first, first + h) : NAN;
            ls_tensor_set_part(g, seasonal, b * s->horizon + h, 1, &number);
        }
    }
    return LS_OK;
}

static void free_source(LsSource *source)
{
    SeriesSource *s = (SeriesSource *)source;
    ls_sample_source_clear(&s->base);
    ls_free(s->value);
    ls_free(s);
}

/* Scaled by what the model has learnt from, where that is said: by the file's own rows a number would mean something
 * else to it. */
static LsStatus take_scaling(const LsDataOpen *open, json_t *info)
{
    const json_t *columns = open->like ? json_object_get(open->like, "columns") : NULL;
    if (!columns)
        return LS_OK;
    if (!json_equal(columns, json_object_get(info, "columns")) ||
        !json_equal(json_object_get(open->like, "target"), json_object_get(info, "target"))) {
        char *here = json_dumps(json_object_get(info, "columns"), JSON_COMPACT);
        char *learnt = json_dumps(columns, JSON_COMPACT);
        ls_fail(LS_DATA,
                "%s has the columns %.300s, but the model has learnt from %.300s: prepare it with the same --columns, "
                "in the same order, and the same --target",
                open->path, here ? here : "?", learnt ? learnt : "?");
        free(here);
        free(learnt);
        return LS_DATA;
    }
    return ls_info_take(info, open, (const char *[]){"offset", "scale"}, 2);
}

/* The rows in scaled units. */
static LsStatus read_values(SeriesSource *s, LsSealed *file, const json_t *info, int64_t rows)
{
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    const json_t *offset = json_object_get(info, "offset"), *scale = json_object_get(info, "scale");
    LS_TRY(ls_sealed_shape(file, "values", &exists, &type, &rank, dim));
    if (!exists || rank != 2 || dim[0] != rows || dim[1] != s->columns || s->target >= s->columns ||
        (int64_t)json_array_size(offset) != s->columns || (int64_t)json_array_size(scale) != s->columns)
        return ls_fail(LS_DATA, "%s: its values are not the %lld rows of %lld columns that it says",
                       ls_sealed_path(file), (long long)rows, (long long)s->columns);
    s->value = ls_alloc_array(rows * s->columns, sizeof *s->value);
    if (!s->value)
        return LS_RESOURCE;
    LS_TRY(ls_sealed_read(file, "values", LS_FILE_FLOAT32, rows * s->columns, s->value));
    for (int64_t c = 0; c < s->columns; c++) {
        double by = json_number_value(json_array_get(scale, (size_t)c));
        double from = json_number_value(json_array_get(offset, (size_t)c));
        for (int64_t row = 0; row < rows; row++)
            s->value[row * s->columns + c] = (float)((s->value[row * s->columns + c] - from) / by);
    }
    return LS_OK;
}

/* Where the split's targets are; samples 0 where it has none. */
static LsStatus find_rows(SeriesSource *s, const LsDataOpen *open, const json_t *info, int64_t *total)
{
    int64_t rows[LS_SPLITS];
    bool held_out = strcmp(open->split, "held-out") == 0;
    int split = held_out ? LS_SPLIT_VALIDATION : 0;
    *total = 0;
    for (int i = 0; i < LS_SPLITS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_rows", ls_split_names[i]);
        rows[i] = json_integer_value(json_object_get(info, name));
        *total += rows[i];
    }
    while (!held_out && split < LS_SPLITS && strcmp(open->split, ls_split_names[split]) != 0)
        split++;
    if (split == LS_SPLITS)
        return ls_fail(LS_USAGE, "%s: there is no split '%s'; there are train, validation, test, held-out", open->path,
                       open->split);
    if (held_out && rows[split] == 0)
        split = LS_SPLIT_TRAIN;
    s->start = split == LS_SPLIT_TRAIN ? s->window : 0;
    for (int i = 0; i < split; i++)
        s->start += rows[i];
    s->base.base.samples = rows[split] - s->horizon + 1 - (split == LS_SPLIT_TRAIN ? s->window : 0);
    if (rows[split] == 0)
        s->base.base.samples = 0;
    else if (s->base.base.samples < 1 || s->start < s->window)
        return ls_fail(LS_DATA, "%s: the %s part has too few rows for a window and a horizon", open->path,
                       ls_split_names[split]);
    return LS_OK;
}

static LsStatus read_source(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info)
{
    SeriesSource *s = (SeriesSource *)source;
    int64_t rows = 0;
    LsFields *fields = &s->base.base.fields;
    s->columns = (int64_t)json_array_size(json_object_get(info, "columns"));
    s->target = json_integer_value(json_object_get(info, "target"));
    s->window = json_integer_value(json_object_get(info, "window"));
    s->horizon = json_integer_value(json_object_get(info, "horizon"));
    s->season = json_integer_value(json_object_get(info, "season"));
    if (s->columns < 1 || s->target < 0 || s->window < 1 || s->horizon < 1)
        return ls_fail(LS_DATA, "%s: does not say its columns, window and horizon", open->path);
    LS_TRY(find_rows(s, open, info, &rows));
    LS_TRY(ls_check_sequence(open, s->window, "the window that it was prepared with"));
    s->base.base.sequence = s->window;
    LS_TRY(ls_fields_add(fields, "values", LS_REAL, 0, 2, (int64_t[]){LS_STEPS, s->columns}));
    LS_TRY(ls_fields_add(fields, "target", LS_REAL, 0, 1, (int64_t[]){s->horizon}));
    LS_TRY(ls_fields_add(fields, "seasonal", LS_REAL, 0, 1, (int64_t[]){s->horizon}));
    LS_TRY(take_scaling(open, info));
    return read_values(s, file, info, rows);
}

LsStatus ls_series_open(const LsDataOpen *open, LsSource **opened)
{
    static const LsSampleFile kind = {"series", LS_SERIES_VERSION, NULL, NULL, read_source};
    SeriesSource *s = ls_alloc(sizeof *s);
    if (s) {
        s->base.base.fill = fill;
        s->base.base.free = free_source;
    }
    LS_TRY(ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened));
    if (*opened && (*opened)->samples == 0) { /* no row of the split */
        ls_source_free(*opened);
        *opened = NULL;
    }
    return LS_OK;
}
