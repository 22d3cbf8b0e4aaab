/* Numbers of each sample: forecasts of a series, values of a function. L = sum of squared differences; targets that are
 * NAN count for nothing. */
#include "tasks/drawings.h"
#include "tasks/targets.h"

#include "models/blocks.h"

#include <jansson.h>
#include <math.h>

typedef struct Settings {
    char *pool;
} Settings;

static const LsSetting settings[] = {LS_SETTING_CHOICE(Settings, pool, "last", LS_POOL_NAMES, LS_POOL_HELP), {0}};

/* The field "target" may have any shape; the head gives all of its numbers. */
static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    const LsField *field = ls_shape_field(shape, "target");
    int64_t outputs = 1;
    for (int i = 0; field && i < field->rank; i++)
        outputs *= field->dim[i] == LS_STEPS ? shape->sequence : field->dim[i];
    LsTensor *y = ls_dense_uniform(g, "head", ls_pool_steps(g, shape, ((const Settings *)config)->pool, body->features),
                                   outputs, LS_NO_ACTIVATION); /* (B, outputs) */
    if (shape->want == LS_WANT_LOSS && ls_graph_mode(g) == LS_EVAL && ls_shape_field(shape, "seasonal"))
        ls_shape_input(g, shape, "seasonal"); /* for the metric */
    if (shape->want == LS_WANT_LOSS)
        ls_output(g, "loss", ls_mean_squared_error(g, y, ls_flat(g, ls_shape_input(g, shape, "target"))));
    if (shape->want != LS_WANT_LOSS || ls_graph_mode(g) == LS_EVAL)
        ls_output(g, "output", y);
}

/* Numbers of the first samples of a tensor with a first dimension of samples; the caller frees them. */
static float *read_rows(const LsGraph *g, const char *name, int64_t rows, int64_t *count)
{
    const LsTensor *x = ls_graph_find(g, name);
    *count = x->count / x->dim[0] * rows;
    float *value = ls_alloc_array(*count > 0 ? *count : 1, sizeof *value);
    if (value)
        ls_tensor_get_part(g, x, 0, *count, value);
    return value;
}

static int64_t targets(const LsGraph *g, int64_t rows)
{
    const LsTensor *x = ls_graph_find(g, "target");
    int64_t count = x ? x->count / x->dim[0] * rows : 0, there = 0;
    for (int64_t i = 0; i < count; i++) {
        float value;
        ls_tensor_get_part(g, x, i, 1, &value);
        there += !isnan(value);
    }
    return there;
}

/* A number in the data's own units is offset + scale x: of the column that is forecast, by the info of the training
 * data. */
typedef struct Units {
    double offset, scale;
    int64_t column;
} Units;

static double number_at(const struct json_t *info, const char *list, int64_t at, double otherwise)
{
    const json_t *number = json_array_get(json_object_get(info, list), (size_t)at);
    return json_is_number(number) ? json_number_value(number) : otherwise;
}

static Units units_of(const struct json_t *info)
{
    Units u = {.scale = 1};
    if (!info)
        return u;
    u.column = json_integer_value(json_object_get(info, "target"));
    u.scale = number_at(info, "scale", u.column, 1);
    u.offset = number_at(info, "offset", u.column, 0);
    return u;
}

static LsStatus add_differences(const LsScored *scored, double *sum)
{
    int64_t count = 0, same = 0;
    Units u = units_of(scored->info);
    float *said = read_rows(scored->g, "output", scored->rows, &count);
    float *wanted = read_rows(scored->g, "target", scored->rows, &same);
    LsStatus status = said && wanted ? LS_OK : LS_RESOURCE;
    for (int64_t i = 0; status == LS_OK && i < count; i++)
        if (!isnan(wanted[i])) {
            double difference = ((double)said[i] - (double)wanted[i]) * u.scale;
            sum[0] += fabs(difference);
            sum[1] += difference * difference;
        }
    ls_free(said);
    ls_free(wanted);
    return status;
}

/* Of a forecast that says known[i] for wanted[i]; NAN: nothing is known, or asked. */
static void add_known(const Units *u, const float *known, const float *wanted, int64_t count, double *sum)
{
    for (int64_t i = 0; i < count; i++)
        if (!isnan(wanted[i]) && !isnan(known[i])) {
            sum[0] += fabs((double)(known[i] - wanted[i])) * u->scale;
            sum[1]++;
        }
}

/* The last value known, of inputs "values": (B, T, columns). */
static LsStatus add_last(const LsScored *scored, double *sum)
{
    const LsTensor *values = ls_graph_find(scored->g, "values");
    int64_t count = 0, rows = 0;
    Units u = units_of(scored->info);
    if (!values || values->rank != 3 || scored->rows == 0)
        return LS_OK;
    float *wanted = read_rows(scored->g, "target", scored->rows, &count);
    float *known = read_rows(scored->g, "values", scored->rows, &rows);
    int64_t row = values->dim[1] * values->dim[2], last = row - values->dim[2] + u.column;
    for (int64_t i = 0; wanted && known && i < count; i++) {
        float value = known[i / (count / scored->rows) * row + last];
        add_known(&u, &value, wanted + i, 1, sum);
    }
    LsStatus status = wanted && known ? LS_OK : LS_RESOURCE;
    ls_free(wanted);
    ls_free(known);
    return status;
}

/* The value a season before, which the data have as a field. */
static LsStatus add_season(const LsScored *scored, double *sum)
{
    int64_t count = 0, same = 0;
    Units u = units_of(scored->info);
    if (!ls_graph_find(scored->g, "seasonal"))
        return LS_OK;
    float *wanted = read_rows(scored->g, "target", scored->rows, &count);
    float *known = read_rows(scored->g, "seasonal", scored->rows, &same);
    LsStatus status = wanted && known ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        add_known(&u, known, wanted, count < same ? count : same, sum);
    ls_free(wanted);
    ls_free(known);
    return status;
}

static void text_head(const LsScored *scored, FILE *out)
{
    (void)scored;
    fprintf(out, "sample\tstep\tforecast\n");
}

static LsStatus text_row(const LsScored *scored, int64_t b, int64_t sample, FILE *out)
{
    const LsTensor *y = ls_graph_find(scored->g, "output");
    int64_t outputs = y->count / y->dim[0];
    Units u = units_of(scored->info);
    for (int64_t i = 0; i < outputs; i++) {
        float value;
        ls_tensor_get_part(scored->g, y, b * outputs + i, 1, &value);
        fprintf(out, "%lld\t%lld\t%.7g\n", (long long)sample, (long long)(i + 1), u.offset + u.scale * (double)value);
    }
    return LS_OK;
}

/* Forecasts against what came; samples are in order of time where they are held out. */
static LsStatus draw(const LsDrawn *drawn, FILE *out)
{
    Units u = units_of(drawn->info);
    int64_t horizon = 1;
    for (int i = 1; i < drawn->rank; i++)
        horizon *= drawn->dim[i];
    if (drawn->truths != horizon)
        return ls_fail(LS_USAGE, "these samples have no targets to be drawn beside their forecasts");
    const json_t *names = drawn->info ? json_object_get(drawn->info, "columns") : NULL;
    return !out ? LS_OK
                : ls_draw_lines(&(LsLines){.samples = drawn->samples,
                                           .horizon = horizon,
                                           .said = drawn->output,
                                           .wanted = drawn->truth,
                                           .offset = u.offset,
                                           .scale = u.scale,
                                           .name = json_string_value(json_array_get(names, (size_t)u.column))},
                                out);
}

static double mae(const LsScore *score) { return score->sum[0] / score->targets; }

static double rmse(const LsScore *score) { return sqrt(score->sum[1] / score->targets); }

static double mean_of_known(const LsScore *score) { return score->sum[1] > 0 ? score->sum[0] / score->sum[1] : NAN; }

static const LsMetric metrics[] = {{.name = "mae",
                                    .summary = "mean absolute difference, in the data's units",
                                    .sums = 2,
                                    .add = add_differences,
                                    .value = mae},
                                   {.name = "rmse",
                                    .summary = "root of the mean squared difference, in the data's units",
                                    .sums = 2,
                                    .add = add_differences,
                                    .value = rmse},
                                   {.name = "persistence_mae",
                                    .summary = "mae of a forecast that says the last value known",
                                    .sums = 2,
                                    .add = add_last,
                                    .value = mean_of_known},
                                   {.name = "seasonal_mae",
                                    .summary = "mae of a forecast that says the value a season before",
                                    .sums = 2,
                                    .add = add_season,
                                    .value = mean_of_known},
                                   {0}};

const LsTask ls_task_regression = {
    .name = "regression",
    .summary = "numbers of each sample: forecasts, values of a function",
    .item = "number",
    .fields = "target 1",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .takes = LS_BODY_STEPS | LS_BODY_VECTOR,
    .head = head,
    .targets = targets,
    .text_head = text_head,
    .text_row = text_row,
    .drawing = "svg",
    .truth = "target",
    .draw = draw,
    .metrics = metrics,
    .best = "mae",
};
