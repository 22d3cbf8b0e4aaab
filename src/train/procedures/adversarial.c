/* Two players (Goodfellow et al. 2014, "Generative adversarial nets"): a discriminator learns to tell samples of the
 * data from made ones, then a generator learns to make such that are taken for the data's. Every so many steps what the
 * generator makes of the same noise can be drawn, by the task. */
#include "train/train.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Samples of a drawing. */
#define DRAWN ((int64_t)64)

typedef struct Settings {
    int64_t discriminator_repeats, pictures_every;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_INT(Settings, discriminator_repeats, "1", 1, 1000,
                   "times that the discriminator learns, from a batch each, before the generator does once"),
    LS_SETTING_INT(Settings, pictures_every, "0", 0, 1 << 30,
                   "steps after which 64 samples of the same noise are drawn into the run folder, as "
                   "pictures/step-00000100.png; 0: never"),
    {0}};

static const LsPhase phases[] = {
    {.name = "discriminator", .learns = "discriminator.", .repeats = "discriminator_repeats"},
    {.name = "generator", .learns = "generator."},
    {0}};

/* The graph and buffers for drawing pictures during training; on rank 0 alone. */
typedef struct Drawer {
    LsGraph *graph; /* of the generator's samples, for evaluation; NULL: nothing is drawn */
    LsTensor *output;
    int64_t rows; /* at once */
    float *value; /* (DRAWN, ...) */
    json_t *info; /* the meaning of the samples' numbers (LsSource.info); NULL: unknown */
} Drawer;

static LsDrawn drawn_of(const Drawer *d)
{
    LsDrawn drawn = {.info = d->info, .samples = DRAWN, .rank = d->output->rank, .output = d->value};
    memcpy(drawn.dim, d->output->dim, sizeof drawn.dim);
    drawn.dim[0] = DRAWN;
    return drawn;
}

static int64_t rows_at_once(int64_t rows) { return rows < DRAWN ? rows : DRAWN; }

static LsStatus make_graph(LsTrainer *t, Drawer *d)
{
    d->rows = rows_at_once(t->plan.micro_batch); /* no more than the arena has room for */
    d->graph = ls_graph_new(
        t->params, &(LsGraphOptions){.mode = LS_EVAL, .precision = ls_train_precision(t->config), .comm = t->comm});
    if (!d->graph)
        return ls_message_status();
    ls_config_build(t->config, d->graph, d->rows, 1, LS_WANT_OUTPUT);
    LS_TRY(ls_graph_share_arena(d->graph, t->player[0].graph)); /* it runs after a step */
    LS_TRY(ls_graph_plan(d->graph));
    d->output = ls_graph_find(d->graph, "output");
    return LS_OK;
}

/* Whether its samples can be drawn is found out here, not after the first hundred steps. */
static LsStatus open_drawer(LsTrainer *t, void *self)
{
    Drawer *d = self;
    const Settings *s = ls_trainer_settings(t);
    const LsTask *task = ls_config_task(t->config);
    if (s->pictures_every == 0 || t->comm->rank != 0)
        return LS_OK;
    LS_TRY(make_graph(t, d));
    d->value = ls_alloc_array(d->output->count / d->rows * DRAWN, sizeof *d->value);
    if (!d->value)
        return LS_RESOURCE;
    d->info = t->training->info ? json_loads(t->training->info, 0, NULL) : NULL;
    LsDrawn drawn = drawn_of(d);
    LsStatus status = task->draw ? task->draw(&drawn, NULL) : ls_fail(LS_USAGE, "task %s draws nothing", task->name);
    return status == LS_OK ? LS_OK : ls_fail_in(status, "train.pictures_every=%lld", (long long)s->pictures_every);
}

/* The noise is that of sample 0 .. of a step 0 that no step is. */
static LsStatus compute(const LsTrainer *t, const Drawer *d)
{
    const int64_t row = d->output->count / d->rows;
    ls_graph_refresh(d->graph);
    for (int64_t first = 0; first < DRAWN; first += d->rows) {
        int64_t rows = DRAWN - first < d->rows ? DRAWN - first : d->rows;
        LS_TRY(ls_graph_forward(
            d->graph, &(LsRun){.seed = (uint64_t)t->config->train.seed, .sample = first, .comm = ls_comm_self()}));
        ls_tensor_get_part(d->graph, d->output, 0, rows * row, d->value + first * row);
    }
    return LS_OK;
}

static LsStatus draw(LsTrainer *t, void *self)
{
    const Drawer *d = self;
    const LsTask *task = ls_config_task(t->config);
    const int64_t step = ls_trainer_steps(t), every = ((const Settings *)ls_trainer_settings(t))->pictures_every;
    if (!d->graph || step % every != 0)
        return LS_OK;
    char *bytes = NULL, name[64];
    int64_t count = 0;
    LS_TRY(compute(t, d));
    LsDrawn drawn = drawn_of(d);
    LS_TRY(ls_task_draw(task, &drawn, &bytes, &count));
    snprintf(name, sizeof name, "pictures/step-%08lld.%s", (long long)step, task->drawing);
    LsStatus status = ls_trainer_write(t, name, bytes, count);
    free(bytes);
    return status;
}

static void close_drawer(void *self)
{
    Drawer *d = self;
    ls_graph_free(d->graph);
    ls_free(d->value);
    json_decref(d->info);
}

extern const LsProcedure ls_procedure_adversarial;
const LsProcedure ls_procedure_adversarial = {
    .name = "adversarial",
    .summary = "a discriminator and a generator learn in turn",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .self_bytes = sizeof(Drawer),
    .phases = phases,
    .open = open_drawer,
    .after_step = draw,
    .close = close_drawer,
};
