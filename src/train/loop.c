/* From step to step: when to evaluate, to write a row, to save, to stop. */
#include "base/trace.h"
#include "train/average.h"
#include "train/outliers.h"
#include "train/streams.h"

#include <math.h>
#include <string.h>

static bool is_due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

/* Saves on rank 0 unless the parameters would make a checkpoint that cannot be gone on from. */
static LsStatus save_checkpoint(LsTrainer *t)
{
    LsStatus status = LS_OK;
    if (!isfinite(ls_sum_of_squares(t->params->value, t->params->total)))
        for (int i = 0; i < t->players && status == LS_OK; i++)
            status = ls_graph_check_finite(t->player[i].graph);
    double begin = ls_seconds();
    LS_TRY(ls_streams_gather(t));
    if (status == LS_OK && t->comm->rank == 0 && t->hooks.save)
        status = t->hooks.save(t->hooks.self, t);
    if (status != LS_OK)
        ls_fail_in(status, "step %lld", (long long)t->progress.step);
    status = ls_dist_agree(t->comm, status);
    ls_trace_event(LS_TRACE_STEP, "checkpoint", "checkpoint", begin, ls_seconds());
    return status;
}

/* *score: by which the best checkpoint is chosen. */
static LsStatus evaluate_step(LsTrainer *t, LsMetrics *row, double *score)
{
    LsEvaluation evaluation;
    double begin = ls_seconds();
    LS_TRY(ls_trainer_evaluate(t, &evaluation));
    ls_trace_event(LS_TRACE_STEP, "evaluation", "evaluation", begin, ls_seconds());
    row->validation_loss = evaluation.loss;
    memcpy(row->validation_metric, evaluation.metric, sizeof row->validation_metric);
    *score = ls_evaluation_score(&evaluation);
    return LS_OK;
}

static void measure_speed(const LsTrainer *t, const LsTrainClock *clock, LsMetrics *row)
{
    row->seconds = ls_seconds() - clock->start;
    row->tokens_per_second = (double)clock->tokens / clock->step_seconds;
    LsBucketTimes sums = ls_buckets_times(t->buckets);
    sums.inside -= clock->sums.inside;
    sums.waited -= clock->sums.waited;
    sums.in_flight -= clock->sums.in_flight;
    row->communication_seconds = sums.waited;
    row->communication_hidden = t->comm->size > 1 ? ls_buckets_hidden_share(sums) : NAN;
    double flops = t->plan.flops * (double)clock->steps - (t->times.saved_flops - clock->saved_flops);
    double gflops = flops / clock->step_seconds * 1e-9;
    row->share_of_peak = t->options.peak_gflops > 0 ? gflops / t->options.peak_gflops : NAN;
}

/* Rank 0 writes texts, of the average where there is one, as `generate` would; the others wait, since the parameters
 * must stay as they are. */
static LsStatus draw_samples(LsTrainer *t, LsMetrics *row)
{
    double begin = ls_seconds();
    LS_TRY(ls_average_swap(t));
    LsStatus status = t->comm->rank == 0 ? t->hooks.sample(t->hooks.self, t, &row->samples) : LS_OK;
    LS_TRY(ls_dist_agree(t->comm, status));
    LS_TRY(ls_average_swap(t));
    ls_trace_event(LS_TRACE_STEP, "samples", "samples", begin, ls_seconds());
    return LS_OK;
}

static LsStatus write_row(LsTrainer *t, LsTrainClock *clock, const LsMetrics *row)
{
    LsStatus status = LS_OK;
    t->progress.metrics_rows++;
    if (t->comm->rank == 0 && t->hooks.row)
        status = t->hooks.row(t->hooks.self, row);
    clock->step_seconds = 0;
    clock->sums = ls_buckets_times(t->buckets);
    clock->saved_flops = t->times.saved_flops;
    clock->tokens = clock->steps = 0;
    return ls_dist_agree(t->comm, status);
}

LsStatus ls_trainer_advance(LsTrainer *t, bool *ended)
{
    const LsTrainSettings *train = &t->config->train;
    LsTrainClock *clock = &t->clock;
    LsStepResult result;
    *ended = false;
    if (clock->start == 0)
        *clock = (LsTrainClock){.start = ls_seconds(), .sums = ls_buckets_times(t->buckets)};
    double before = ls_seconds();
    LS_TRY(ls_trainer_step(t, t->hooks.stop_requested && t->hooks.stop_requested(t->hooks.self), &result));
    clock->step_seconds += ls_seconds() - before;
    clock->tokens += result.targets;
    clock->steps++;

    int64_t step = t->progress.step;
    bool last = step == train->steps;
    LsMetrics row = {.task = ls_config_task(t->config),
                     .step = step,
                     .loss = result.loss,
                     .learning_rate = result.learning_rate,
                     .grad_norm = result.grad_norm,
                     .procedure = ls_config_procedure(t->config),
                     .tokens = t->progress.tokens,
                     .skipped = t->outliers ? ls_outliers_skipped(t) : -1,
                     .validation_loss = NAN};
    memcpy(row.phase_loss, result.phase_loss, sizeof row.phase_loss);
    memcpy(row.phase_norm, result.phase_norm, sizeof row.phase_norm);
    bool evaluated = t->validation && (last || is_due(step, train->evaluate_every));
    measure_speed(t, clock, &row);
    if (t->comm->rank == 0 && t->hooks.step)
        t->hooks.step(t->hooks.self, &row);
    double score = HUGE_VAL;
    if (evaluated)
        LS_TRY(evaluate_step(t, &row, &score));
    bool sampled = t->hooks.sample && train->sample_every > 0 && (last || is_due(step, train->sample_every));
    if (sampled)
        LS_TRY(draw_samples(t, &row));
    /* no row for the sake of a stop: a run that was stopped writes the same rows as one that was not */
    if (evaluated || sampled || last || is_due(step, t->config->output.log_every))
        LS_TRY(write_row(t, clock, &row));

    bool saves = last || result.stop || is_due(step, t->config->output.save_every);
    if (saves && evaluated && score < t->progress.best_score) {
        t->progress.best_score = score;
        t->progress.best_step = step;
    }
    ls_trace_flush();
    *ended = result.stop && !last;
    return saves ? save_checkpoint(t) : LS_OK;
}

LsStatus ls_trainer_run(LsTrainer *t)
{
    while (t->progress.step < t->config->train.steps) {
        bool ended = false;
        LS_TRY(ls_trainer_advance(t, &ended));
        if (ended)
            return ls_fail(LS_STOPPED,
                           "stopped on a signal after step %lld of %lld, which is saved: run me again to go on",
                           (long long)t->progress.step, (long long)t->config->train.steps);
    }
    return LS_OK;
}
