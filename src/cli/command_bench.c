/* lockstep bench: timed training steps, and where the time goes. */
#include "cli/cli.h"
#include "cli/dry_run.h"
#include "cli/progress.h"
#include "data/data.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A vocabulary for random tokens where neither job file nor data set says one. */
#define SYNTHETIC_VOCABULARY 256
#define MOST_ROWS 64

typedef struct Options {
    bool synthetic, json;
    int64_t steps, warmup;
} Options;

static const LsOption options[] = {
    {.setting = LS_SETTING_BOOL(Options, synthetic, "false", "random tokens; no data set is needed")},
    {.setting = LS_SETTING_INT(Options, steps, "10", 1, 1e6, "steps to time"), .argument = "N"},
    {.setting = LS_SETTING_INT(Options, warmup, "2", 0, 1e6, "steps before them that are not timed"), .argument = "N"},
    {.setting = LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")},
    {{0}}};

/* One row of the table: a kind of op, or a part of the step outside the graph. Everything is of one step of rank 0. */
typedef struct Row {
    const char *name;
    double calls, seconds, flops, bytes;
} Row;

typedef struct Bench {
    const Options *options;
    const LsComm *comm;
    LsConfig *config;
    LsSource *training, *validation;
    LsTrainer *trainer;
    double *seconds; /* (steps) sorted */
    double median, least, peak_gflops;
    int64_t memory; /* the largest resident set of a rank */
    Row row[MOST_ROWS];
    int rows;
} Bench;

static LsStatus open_data(Bench *b, const LsCall *call)
{
    LsTrainPlan plan;
    int64_t vocabulary = 0;
    b->config = ls_config_load(call->operand[0], call->operands - 1, call->operand + 1);
    if (!b->config)
        return LS_USAGE;
    LsConfig *config = b->config;
    LS_TRY(ls_train_shapes(config, b->comm->size, &plan));
    if (!ls_config_model_int(config, "vocabulary", &vocabulary))
        return ls_fail(LS_USAGE, "model %s has no vocabulary to draw tokens from", config->model->name);
    if (b->options->synthetic) {
        vocabulary = vocabulary ? vocabulary : SYNTHETIC_VOCABULARY;
        b->training = ls_synthetic_source(vocabulary, plan.sequence, (uint64_t)config->train.seed);
        if (!b->training)
            return LS_RESOURCE;
    } else {
        LS_TRY(ls_data_open(&config->data, plan.sequence, (uint64_t)config->train.seed, &b->training, &b->validation));
        vocabulary = vocabulary > b->training->vocabulary ? vocabulary : b->training->vocabulary;
    }
    ls_config_set_model_int(config, "vocabulary", vocabulary);
    return LS_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static LsStatus measure(Bench *b)
{
    int64_t steps = b->options->steps;
    LsStepResult result;
    b->seconds = ls_alloc_array(steps, sizeof(double));
    LS_TRY(ls_dist_agree(b->comm, b->seconds ? LS_OK : LS_RESOURCE));
    for (int64_t i = 0; i < b->options->warmup; i++)
        LS_TRY(ls_trainer_step(b->trainer, false, &result));
    ls_graph_profile_reset(b->trainer->train_graph);
    b->trainer->times = (LsTrainTimes){0};
    for (int64_t i = 0; i < steps; i++) {
        double start = ls_seconds();
        LS_TRY(ls_trainer_step(b->trainer, false, &result));
        b->seconds[i] = ls_seconds() - start;
    }
    qsort(b->seconds, (size_t)steps, sizeof(double), by_value);
    b->least = b->seconds[0];
    b->median = (b->seconds[(steps - 1) / 2] + b->seconds[steps / 2]) / 2;
    b->memory = ls_peak_resident_bytes();
    return b->comm->allreduce_max(b->comm, &b->memory, 1);
}

static void add_row(Bench *b, Row row)
{
    if (b->rows < MOST_ROWS)
        b->row[b->rows++] = row;
}

static int by_seconds(const void *a, const void *b) { return -by_value(&((const Row *)a)->seconds, &((const Row *)b)->seconds); }

static void collect_rows(Bench *b)
{
    const LsTrainer *t = b->trainer;
    LsProfile profile[MOST_ROWS];
    double steps = (double)b->options->steps, in_ops = 0;
    int kinds = ls_graph_profile(t->train_graph, profile, MOST_ROWS - 8);
    for (int i = 0; i < kinds; i++) {
        const LsProfile *p = &profile[i];
        double seconds = p->forward_seconds + p->backward_seconds;
        in_ops += seconds;
        add_row(b, (Row){p->name, (double)p->calls / steps, seconds / steps, (p->forward.flops + p->backward.flops) / steps,
                         (p->forward.bytes + p->backward.bytes) / steps});
    }
    double parameters = (double)t->params->total;
    add_row(b, (Row){"(samples, sums under way)", 1, (t->times.graph - in_ops) / steps, 0, 0});
    if (b->comm->size > 1)
        add_row(b, (Row){"(waiting for sums)", 1, t->times.sums / steps, 0, 0});
    add_row(b, (Row){"(gradient norm)", 1, t->times.norm / steps, 2 * parameters, 4 * parameters});
    double moments = t->optimizer->moments;
    add_row(b, (Row){"(optimizer)", 1, t->times.update / steps, 0, (12 + 8 * moments) * parameters});
    qsort(b->row, (size_t)b->rows, sizeof(Row), by_seconds);
}

static LsStatus print_json(const Bench *b)
{
    const LsTrainer *t = b->trainer;
    double items = (double)(b->config->train.batch * t->plan.sequence) / b->median, gflops = t->plan.flops * 1e-9 / b->median;
    json_t *ops = json_array();
    for (int i = 0; ops && i < b->rows; i++) {
        const Row *r = &b->row[i];
        double rate = r->seconds > 0 ? 1e-9 / r->seconds : 0;
        json_array_append_new(ops, json_pack("{s:s, s:I, s:f, s:f, s:f}", "name", r->name, "calls", (json_int_t)r->calls, "seconds", r->seconds, "gflops",
                                             r->flops * rate, "gbytes", r->bytes * rate));
    }
    return ls_print_json(json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:o, s:o, s:I, s:i, s:i, s:s, s:I, s:o}", "model", b->config->model->name,
                                   "parameters", (json_int_t)t->plan.parameters, "step_seconds_median", b->median, "step_seconds_min",
                                   b->least, "items_per_second", items, "gflops", gflops, "peak_gflops",
                                   ls_json_number(b->peak_gflops > 0 ? b->peak_gflops : NAN), "share_of_peak",
                                   ls_json_number(b->peak_gflops > 0 ? gflops / b->peak_gflops : NAN), "memory_bytes", (json_int_t)b->memory,
                                   "ranks", b->comm->size, "threads", ls_threads(), "precision", b->config->train.precision, "steps",
                                   (json_int_t)b->options->steps, "ops", ops));
}

static LsStatus print_text(const Bench *b)
{
    const LsTrainer *t = b->trainer;
    char parameters[32], memory[32], speed[32];
    double items = (double)(b->config->train.batch * t->plan.sequence) / b->median, gflops = t->plan.flops * 1e-9 / b->median;
    printf("%s, %s parameters, %s; %d rank%s of %d thread%s; %lld sequences of %lld tokens a step\n", b->config->model->name,
           ls_count_text((double)t->plan.parameters, parameters), b->config->train.precision, b->comm->size, b->comm->size == 1 ? "" : "s",
           ls_threads(), ls_threads() == 1 ? "" : "s", (long long)b->config->train.batch, (long long)t->plan.sequence);
    printf("step: median %.4f s, least %.4f s of %lld\n", b->median, b->least, (long long)b->options->steps);
    printf("%s tokens per second, %.1f GFLOP/s", ls_count_text(items, speed), gflops);
    if (b->peak_gflops > 0)
        printf(", %.0f %% of the measured peak of %.0f GFLOP/s", 100 * gflops / b->peak_gflops, b->peak_gflops);
    printf("; %s resident\n\n%-28s %7s %11s %7s %9s %9s\n", ls_bytes_text(b->memory, memory), "a step of rank 0", "calls", "ms", "share",
           "GFLOP/s", "GB/s");
    for (int i = 0; i < b->rows; i++) {
        const Row *r = &b->row[i];
        double rate = r->seconds > 0 ? 1e-9 / r->seconds : 0;
        printf("%-28s %7.0f %11.3f %6.1f%% %9.1f %9.1f\n", r->name, r->calls, 1e3 * r->seconds, 100 * r->seconds / b->median, r->flops * rate,
               r->bytes * rate);
    }
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    Bench b = {.options = call->options, .comm = call->comm};
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_dist_agree(b.comm, open_data(&b, call)));
    LS_TRY_CLEANUP(ls_job_peak(b.comm, &b.peak_gflops));
    LS_TRY_CLEANUP(ls_trainer_new(b.config, b.comm, b.training, NULL, &(LsTrainOptions){.profile = true}, &b.trainer));
    LS_TRY_CLEANUP(measure(&b));
    collect_rows(&b);
    if (b.comm->rank == 0)
        status = b.options->json ? print_json(&b) : print_text(&b);
    status = ls_dist_agree(b.comm, status);
cleanup:
    ls_trainer_free(b.trainer);
    ls_source_free(b.training);
    ls_source_free(b.validation);
    ls_config_free(b.config);
    ls_free(b.seconds);
    return status;
}

const LsCommand ls_command_bench = {
    .name = "bench",
    .summary = "times training steps of a job: speed, share of the machine's peak, memory, each kind of op",
    .operands = "CONFIG.yaml [key=value ...]",
    .least = 1,
    .most = -1,
    .description = "Nothing is written. Rows of the table are of one step of rank 0; with --json, too: seconds a step, gflops and gbytes a "
                   "second.",
    .example = "lockstep bench jobs/shakespeare-mamba.yaml --synthetic --steps 20\n"
               "mpirun -np 2 lockstep bench jobs/gpt2-124m.yaml --synthetic --json train.batch=4 train.sequence=256",
    .launch = LS_PARALLEL,
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
