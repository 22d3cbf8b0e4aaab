/* lockstep bench: timed training steps, and where the time goes. */
#include "base/trace.h"
#include "cli/bench.h"
#include "cli/dry_run.h"
#include "cli/trace_file.h"
#include "data/data.h"
#include "train/init.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Steps without overlap, to show what it gains. */
#define PLAIN_STEPS 5

static const LsOption options[] = {
    {.setting = LS_SETTING_BOOL(LsBenchOptions, synthetic, "false", "made-up samples; no data set is needed")},
    {.setting = LS_SETTING_INT(LsBenchOptions, steps, "10", 1, 1e6, "steps to time"), .argument = "N"},
    {.setting = LS_SETTING_INT(LsBenchOptions, warmup, "2", 0, 1e6, "steps before them that are not timed"),
     .argument = "N"},
    {.setting = LS_SETTING_BOOL(
         LsBenchOptions, products, "false",
         "time the step's dense products alone too: the limit that they set, and the share of it reached"),
     .without = "generate"},
    {.setting = LS_SETTING_BOOL(LsBenchOptions, generate, "false",
                                "time generation instead, of a model that was not trained: tokens one by one")},
    {.setting = LS_SETTING_INT(LsBenchOptions, streams, "1", 1, 4096, "with --generate: samples at once"),
     .argument = "B",
     .with = "generate"},
    {.setting = LS_SETTING_INT(LsBenchOptions, prompt, "0", 0, 1e9,
                               "with --generate: tokens before the first that is timed; 0: 100, or as many as the "
                               "model's context holds beside those"),
     .argument = "N",
     .with = "generate"},
    {.setting = LS_SETTING_CHOICE(LsBenchOptions, weights, "run", "run|float|bfloat16|int8",
                                  "with --generate: what weights are read in; run: as train.precision says"),
     .argument = "P",
     .with = "generate"},
    {.setting = LS_SETTING_STRING(LsBenchOptions, trace, NULL, LS_TRACE_HELP),
     .argument = "FILE",
     .without = "generate"},
    {.setting = LS_SETTING_BOOL(LsBenchOptions, json, "false", "one JSON object on stdout")},
    {{0}}};

static LsStatus open_data(LsBench *b)
{
    b->config->train.length_step = 0; /* one graph is timed, of all steps */
    if (b->options->synthetic)
        return ls_train_open_synthetic(b->config, LS_SYNTHETIC_VOCABULARY, &b->training);
    return ls_train_open(b->config, b->comm->size, &b->training, &b->validation);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *seconds, int64_t count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    return (seconds[(count - 1) / 2] + seconds[count / 2]) / 2;
}

static double processor_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return NAN;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* `steps` steps, each one's seconds to `seconds` (may be NULL). */
static LsStatus run_steps(LsBench *b, int64_t steps, double *seconds)
{
    LsStepResult result;
    for (int64_t i = 0; i < steps; i++) {
        double start = ls_seconds();
        LS_TRY(ls_trainer_step(b->trainer, false, &result));
        if (seconds)
            seconds[i] = ls_seconds() - start;
        ls_trace_flush();
    }
    return LS_OK;
}

/* Times a step, and its waiting for sums, where the sums over ranks start only after backward. */
static LsStatus measure_plain(LsBench *b)
{
    double seconds[PLAIN_STEPS];
    int64_t steps = b->options->steps < PLAIN_STEPS ? b->options->steps : PLAIN_STEPS;
    ls_buckets_set_overlap(b->trainer->buckets, false);
    LS_TRY(run_steps(b, 1, NULL));
    LsTrainTimes before = b->trainer->times;
    LS_TRY(run_steps(b, steps, seconds));
    b->plain_median = median_of(seconds, steps);
    double waited = (b->trainer->times.sums - before.sums) / (double)steps;
    int64_t nanoseconds = -(int64_t)(waited * 1e9); /* the least over the ranks is what even the slowest waits */
    LS_TRY(b->comm->allreduce_max(b->comm, &nanoseconds, 1));
    b->plain_waited = -1e-9 * (double)nanoseconds;
    ls_buckets_set_overlap(b->trainer->buckets, true);
    return LS_OK;
}

/* A kept peak that a kind of op exceeds was measured on a busy machine: measured again, on all ranks. */
static LsStatus mend_peak(LsBench *b)
{
    int64_t exceeded = 0;
    LsPeak measured;
    for (int i = 0; i < b->rows; i++) {
        double peak = ls_job_products(&b->peak, ls_train_precision(b->config)) / b->comm->size * 1e9;
        const LsBenchRow *r = &b->row[i];
        exceeded |= peak > 0 &&
                    (r->forward.flops > peak * r->forward.seconds || r->backward.flops > peak * r->backward.seconds);
    }
    LS_TRY(b->comm->allreduce_max(b->comm, &exceeded, 1));
    if (!exceeded)
        return LS_OK;
    LS_TRY(ls_dist_agree(b->comm,
                         ls_peak_measure(LS_PEAK_ALL, ls_job_room(b->config->train.memory), false, &measured, NULL)));
    ls_peak_raise(&measured);
    LS_TRY(ls_job_peak(b->comm, LS_PEAK_ALL, b->config->train.memory, &b->peak));
    return ls_bench_rows(b);
}

static LsStatus measure(LsBench *b)
{
    int64_t steps = b->options->steps;
    b->seconds = ls_alloc_array(steps, sizeof(double));
    b->rank = ls_alloc_array(b->comm->size, sizeof *b->rank);
    LS_TRY(ls_dist_agree(b->comm, b->seconds && b->rank ? LS_OK : LS_RESOURCE));
    LS_TRY(run_steps(b, b->options->warmup, NULL));
    for (int i = 0; i < b->trainer->players; i++)
        ls_graph_profile_reset(b->trainer->player[i].graph);
    if (b->trainer->carry_graph)
        ls_graph_profile_reset(b->trainer->carry_graph);
    ls_trainer_times_reset(b->trainer);
    double start = ls_seconds(), used = processor_seconds();
    LS_TRY(run_steps(b, steps, b->seconds));
    LsBenchRank *own = &b->rank[b->comm->rank];
    own->processor_share = (processor_seconds() - used) / ((ls_seconds() - start) * ls_threads());
    own->resident = (double)ls_peak_resident_bytes();
    b->median = median_of(b->seconds, steps);
    b->least = b->seconds[0];
    LS_TRY(ls_bench_rows(b));
    LS_TRY(mend_peak(b));
    if (b->comm->size > 1)
        LS_TRY(measure_plain(b));
    if (!b->options->products)
        return LS_OK;
    ls_gemm_record_begin(b->shape, LS_BENCH_SHAPES);
    LsStatus status = run_steps(b, 1, NULL);
    int shapes = ls_gemm_record_end();
    LS_TRY(status);
    return ls_dist_agree(b->comm, ls_bench_products(b, shapes));
}

static LsStatus run(LsCall *call)
{
    const LsBenchOptions *o = call->options;
    LsBench b = {.options = o, .comm = call->comm};
    LsStatus status = LS_OK;
    if (o->generate)
        return ls_bench_generate(call);
    LS_TRY_CLEANUP(
        ls_train_config_load(call->operand[0], call->operands - 1, call->operand + 1, NULL, b.comm, &b.config));
    LS_TRY_CLEANUP(ls_dist_agree(b.comm, open_data(&b)));
    LS_TRY_CLEANUP(ls_job_peak(b.comm, LS_PEAK_ALL, b.config->train.memory, &b.peak));
    LS_TRY_CLEANUP(ls_trainer_new(b.config, b.comm, b.training, NULL, &(LsTrainOptions){.profile = true}, &b.trainer));
    LS_TRY_CLEANUP(ls_trace_file_open(b.comm, o->trace));
    LS_TRY_CLEANUP(ls_trace_file_close(b.comm, o->trace, measure(&b)));
    if (b.comm->rank == 0)
        status = o->json ? ls_bench_print_json(&b) : ls_bench_print(&b);
    status = ls_dist_agree(b.comm, status);
cleanup:
    ls_trainer_free(b.trainer);
    ls_source_free(b.training);
    ls_source_free(b.validation);
    ls_config_free(b.config);
    ls_free(b.seconds);
    ls_free(b.rank);
    return status;
}

const LsCommand ls_command_bench = {
    .name = "bench",
    .summary = "times training steps of a job: speed, share of the machine's peaks, memory, each kind of op",
    .operands = "CONFIG.yaml [key=value ...]",
    .least = 1,
    .most = -1,
    .description = "Nothing is written but the trace. Rows of the table are of one step of rank 0, and sum to it; "
                   "'roof' is the least time that "
                   "the machine's measured peaks allow, over the time taken (more than 100 % where the caches served). "
                   "'GB/s' counts what an op "
                   "must read and write. A second table has the graph's time by place in the model, blocks of a kind "
                   "together.",
    .example = "lockstep bench jobs/shakespeare-mamba.yaml --synthetic --steps 20\n"
               "mpirun -np 2 lockstep bench jobs/gpt2-124m.yaml --synthetic --json train.batch=4 train.sequence=256",
    .launch = LS_PARALLEL,
    .options = options,
    .options_bytes = sizeof(LsBenchOptions),
    .run = run,
};
