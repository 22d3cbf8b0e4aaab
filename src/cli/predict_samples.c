/* predict for models whose samples are not windows of a text: from a prepared data set, in its order. */
#include "cli/predict.h"

#include "data/data.h"
#include "io/file.h"
#include "io/output.h"
#include "machine/memory_limit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ROWS ((int64_t)64) /* samples at once */

typedef struct Samples {
    const LsPredictOptions *options;
    const LsLoaded *model;
    LsSource *source; /* NULL: samples are made from noise */
    int64_t samples;
    LsGraph *g;
    LsTensor *output;  /* (ROWS, ...) */
    float *part;       /* (ROWS, ...) */
    float *value;      /* (samples, ...) */
    LsTensor *truth;   /* the input that is drawn beside the output; NULL: none */
    float *true_value; /* (samples, ...) of it */
    bool draws;
    FILE *text; /* NULL: numbers are wanted */
} Samples;

/* The samples must be what the model was made for. */
static LsStatus check_source(const Samples *s)
{
    const LsConfig *config = s->model->config;
    const char *path = s->options->input ? s->options->input : config->data_kind->name;
    LsFields fields;
    if (!s->source)
        return ls_fail(LS_DATA, "%s: has no %s part; --split names another one", path, s->options->split);
    LS_TRY(ls_config_fields(config, &fields));
    LS_TRY(ls_data_check_fields(path, s->source, s->model->path, &fields));
    return ls_data_check_classes(path, s->source, s->model->path, s->model->info);
}

static LsStatus open_source(Samples *s)
{
    const LsConfig *config = s->model->config;
    LsDataOpen open = {.path = s->options->input,
                       .split = s->options->split,
                       .sequence = ls_config_sequence(config),
                       .settings = config->data_config,
                       .like = s->model->info};
    if (ls_config_task(config)->makes) {
        s->samples = s->options->samples;
        return !s->options->input && !s->options->ids
                   ? LS_OK
                   : ls_fail(LS_USAGE, "predict: this model makes samples from noise: --samples says how many; leave "
                                       "--input and --ids out");
    }
    if (!config->data_kind->prepare && !s->options->input && !s->options->ids) { /* samples come from no file */
        LS_TRY(
            ls_data_open_split(config, s->options->split, ls_config_sequence(config), 0, s->model->info, &s->source));
        s->samples = s->source && s->source->samples < s->options->samples ? s->source->samples : s->options->samples;
        return check_source(s);
    }
    if (!s->options->input || s->options->ids)
        return ls_fail(LS_USAGE,
                       "predict: this model takes --input FILE.h5, a data set as 'lockstep prepare %s' makes it",
                       config->data_kind->name);
    LS_TRY(ls_data_check_raw(config->data_kind, s->options->input, "give --input "));
    LS_TRY(config->data_kind->open(&open, &s->source));
    s->samples = s->source ? s->source->samples : 0;
    return check_source(s);
}

static LsStatus open_graph(Samples *s)
{
    LsConfig *config = s->model->config;
    if (s->source && s->source->longest)
        config->longest = s->source->sequence;
    int64_t sequence = ls_config_sequence(config);
    s->g = ls_graph_new(s->model->params, &(LsGraphOptions){.mode = LS_EVAL, .precision = ls_train_precision(config)});
    if (!s->g)
        return ls_message_status();
    const LsTask *task = ls_config_task(config);
    bool beside = s->draws && task->truth; /* only graphs with a loss have targets */
    ls_config_build(config, s->g, ROWS, sequence > 0 ? sequence : 1, beside ? LS_WANT_LOSS : LS_WANT_OUTPUT);
    LS_TRY(ls_graph_plan(s->g));
    s->output = ls_graph_find(s->g, "output");
    s->truth = beside ? ls_graph_find(s->g, task->truth) : NULL;
    if (!s->output)
        return ls_fail(LS_ERROR, "model %s has no output", config->model->name);
    s->part = ls_alloc_array(s->output->count, sizeof *s->part);
    return s->part ? LS_OK : LS_RESOURCE;
}

static LsStatus make_room(Samples *s)
{
    int64_t width = s->output->count / ROWS;
    double bytes = 4.0 * (double)s->samples * (double)width, memory = (double)ls_available_bytes();
    if (memory >= 0 && bytes > 0.9 * memory)
        return ls_fail(LS_RESOURCE, "the output takes %.1f GB, and %.1f GB of memory are free: predict a part of %s",
                       1e-9 * bytes, 1e-9 * memory, s->options->input ? s->options->input : "them, by --samples");
    s->value = ls_alloc_array(s->samples * width, sizeof *s->value);
    if (s->truth)
        s->true_value = ls_alloc_array(s->samples * (s->truth->count / ROWS), sizeof *s->true_value);
    return s->value && (!s->truth || s->true_value) ? LS_OK : LS_RESOURCE;
}

LsStatus ls_predict_check(LsGraph *g, const float *output, int64_t rows, int64_t width, const char *item, int64_t first)
{
    for (int64_t i = 0; i < rows * width; i++)
        if (!isfinite(output[i])) {
            LsStatus reason = ls_graph_check_finite(g);
            const char *where = reason == LS_DIVERGED ? ls_message() : "parameters and inputs are";
            return ls_fail(LS_DIVERGED, "%s %lld: the model's output is not finite (%s)", item,
                           (long long)(first + i / width), where);
        }
    return LS_OK;
}

static LsStatus compute(Samples *s)
{
    int64_t width = s->output->count / ROWS, samples = s->samples;
    LsScored scored = {
        .g = s->g, .settings = s->model->config->task_config, .source = s->source, .info = s->model->info};
    const LsTask *task = ls_config_task(s->model->config);
    for (int64_t first = 0; first < samples; first += ROWS) {
        scored.rows = samples - first < ROWS ? samples - first : ROWS;
        if (s->source)
            LS_TRY(s->source->fill(s->source, s->g, &(LsBatch){first, scored.rows, 0}));
        LS_TRY(ls_graph_forward(s->g,
                                &(LsRun){.seed = (uint64_t)s->options->seed, .sample = first, .comm = ls_comm_self()}));
        float *numbers = s->text ? s->part : s->value + first * width;
        ls_tensor_get_part(s->g, s->output, 0, scored.rows * width, numbers);
        LS_TRY(ls_predict_check(s->g, numbers, scored.rows, width, "sample", first));
        if (s->text && first == 0)
            task->text_head(&scored, s->text);
        for (int64_t b = 0; s->text && b < scored.rows; b++)
            LS_TRY(task->text_row(&scored, b, first + b, s->text));
        if (s->true_value) {
            int64_t row = s->truth->count / ROWS;
            ls_tensor_get_part(s->g, s->truth, 0, scored.rows * row, s->true_value + first * row);
        }
    }
    return LS_OK;
}

static LsStatus write_numbers(const Samples *s)
{
    LsSealed *file = ls_sealed_create(s->options->output, "output", 1, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = LS_OK;
    int64_t dim[LS_MAX_RANK] = {s->samples};
    memcpy(dim + 1, s->output->dim + 1, sizeof *dim * (size_t)(s->output->rank - 1));
    LS_TRY_CLEANUP(ls_sealed_write(file, "output", LS_FILE_FLOAT32, s->output->rank, dim, s->value, 0));
    LS_TRY_CLEANUP(ls_sealed_set_text(file, "checkpoint", s->model->path));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "step", s->model->progress.step));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "samples", s->samples));
    status = ls_sealed_commit(file);
    file = NULL;
cleanup:
    ls_sealed_discard(file);
    return status;
}

/* To a buffer first: a file that is there is half-written at no time. */
static LsStatus predict_text(Samples *s)
{
    const LsTask *task = ls_config_task(s->model->config);
    char *buffer = NULL;
    size_t bytes = 0;
    if (!task->text_row)
        return ls_fail(LS_USAGE, "predict --text: task %s has numbers only: leave --text out", task->name);
    s->text = open_memstream(&buffer, &bytes);
    if (!s->text)
        return ls_fail(LS_RESOURCE, "out of memory for the text");
    LsStatus status = compute(s);
    if (fclose(s->text) != 0 && status == LS_OK)
        status = ls_fail(LS_RESOURCE, "out of memory for the text");
    if (status == LS_OK)
        status = ls_file_replace(s->options->output, buffer, (int64_t)bytes);
    free(buffer);
    return status;
}

static LsStatus predict_drawing(Samples *s)
{
    const LsTask *task = ls_config_task(s->model->config);
    char *bytes = NULL;
    int64_t count = 0;
    LsDrawn drawn = {.info = s->model->info, .samples = s->samples, .rank = s->output->rank};
    memcpy(drawn.dim, s->output->dim, sizeof drawn.dim);
    drawn.dim[0] = s->samples;
    drawn.truths = s->truth ? s->truth->count / ROWS : 0;
    LS_TRY(task->draw(&drawn, NULL));
    LS_TRY(make_room(s));
    LS_TRY(compute(s));
    drawn.output = s->value;
    drawn.truth = s->true_value;
    LS_TRY(ls_task_draw(task, &drawn, &bytes, &count));
    LsStatus status = ls_file_replace(s->options->output, bytes, count);
    free(bytes);
    return status;
}

/* Whether the file is to be what the task draws. */
static bool is_drawing(const LsPredictOptions *options, const LsTask *task)
{
    const char *ending = strrchr(options->output, '.');
    return task->drawing && !options->text && ending && strcasecmp(ending + 1, task->drawing) == 0;
}

LsStatus ls_predict_samples(const LsPredictOptions *options, const LsLoaded *model)
{
    Samples s = {.options = options, .model = model, .draws = is_drawing(options, ls_config_task(model->config))};
    LsOutput *output = NULL;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(open_source(&s));
    LS_TRY_CLEANUP(open_graph(&s));
    status = ls_output_file(options->output, "predict", &output);
    LS_TRY_CLEANUP(status == LS_ERROR ? LS_DATA : status);
    if (options->text)
        LS_TRY_CLEANUP(predict_text(&s));
    else if (s.draws)
        LS_TRY_CLEANUP(predict_drawing(&s));
    else {
        LS_TRY_CLEANUP(make_room(&s));
        LS_TRY_CLEANUP(compute(&s));
        LS_TRY_CLEANUP(write_numbers(&s));
    }
    printf("%s: %s of %lld samples\n", options->output,
           options->text ? "predictions"
           : s.draws     ? "a drawing"
                         : "/output float32",
           (long long)s.samples);
cleanup:
    ls_output_release(output, status == LS_OK);
    ls_graph_free(s.g);
    ls_source_free(s.source);
    ls_free(s.part);
    ls_free(s.value);
    ls_free(s.true_value);
    return status;
}
