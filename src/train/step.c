/* What one step of supervised training computes: sums over micro-batches and ranks, clipping, the optimiser; and
 * evaluation. */
#include "train/clock.h"
#include "train/streams.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

/* What the ranks tell each other once a step, in one reduction. */
enum { SUM_LOSS, SUM_TARGETS, SUM_FAILED, SUM_STOP, SUM_NOT_FINITE, SUM_SQUARES, SUMS };

/* All micro-batches of this rank: losses and gradients of the sum over targets. */
static LsStatus passes(LsTrainer *t, double *sum)
{
    LsPass pass = {.g = t->train_graph,
                   .source = t->training,
                   .config = t->config,
                   .plan = &t->plan,
                   .count = t->plan.micro_batch,
                   .borders = t->borders};
    pass.carry_graph = t->carry_graph;
    pass.run = (LsRun){
        .seed = t->progress.seed, .step = t->progress.step, .training = true, .comm = t->comm, .sequence = t->sequence};
    pass.loss = &sum[SUM_LOSS];
    pass.targets = &sum[SUM_TARGETS];
    pass.times = &t->times;
    ls_streams_begin(t);
    for (int64_t i = 0; i < t->plan.micro_batches; i++) {
        int64_t group = t->comm->rank / t->plan.sequence_ranks;
        pass.run.sample = t->progress.samples + group * t->plan.rank_batch + i * t->plan.micro_batch;
        bool last = i == t->plan.micro_batches - 1;
        pass.streams = ls_streams_of(t, i);
        LS_TRY(ls_pass_train(&pass, i > 0, last ? ls_buckets_hooks(t->buckets) : NULL));
    }
    return LS_OK;
}

/* The first bad tensor, by a rank whose own loss was bad, where there is one: the sum has carried its gradients to
 * all. */
static LsStatus name_divergence(const LsComm *comm, LsGraph *g, bool own, int64_t step, const char *what)
{
    LsStatus found = own ? ls_graph_check_finite(g) : LS_OK;
    if (found != LS_OK)
        ls_fail_in(LS_DIVERGED, "step %lld: %s is not finite", (long long)step, what);
    LS_TRY(ls_dist_agree(comm, found));
    return ls_fail(LS_DIVERGED, "step %lld: %s is not finite; parameters and inputs are", (long long)step, what);
}

static LsStatus learn(LsTrainer *t, double norm, double targets, LsStepResult *result, double *clock)
{
    const LsTrainSettings *settings = &t->config->train;
    double scale = 1 / targets;
    if (settings->clip > 0 && norm > settings->clip)
        scale *= settings->clip / norm;
    int64_t step = t->progress.step + 1;
    result->learning_rate = ls_schedule(settings, step);
    t->optimizer->update(settings, t->params, t->moment, t->sharded ? &t->shard : NULL, step, result->learning_rate,
                         scale);
    ls_charge(clock, &t->times.update, "optimizer", t->optimizer->name);
    LS_TRY(ls_running_update(t->train_graph, t->comm, t->plan.micro_batches));
    if (t->sharded) { /* nobody reads parameters that a neighbour has not written yet */
        LS_TRY(ls_buckets_updated(t->buckets));
        ls_charge(clock, &t->times.agree, "communication", "waiting for optimizers");
    }
    return LS_OK;
}

static LsStatus one_step(LsTrainer *t, bool stop, LsStepResult *result)
{
    int64_t step = t->progress.step + 1;
    double sum[SUMS] = {0};
    double begin = ls_seconds();
    LsStatus status = passes(t, sum);
    double clock = ls_seconds();
    /* after a failure too: the others wait for this rank's part of the sums */
    LsStatus summed = ls_buckets_finish(t->buckets);
    if (status == LS_OK)
        status = summed;
    ls_charge(&clock, &t->times.sums, NULL, NULL);
    bool own = !isfinite(sum[SUM_LOSS]);
    sum[SUM_FAILED] = status != LS_OK;
    sum[SUM_STOP] = stop;
    sum[SUM_NOT_FINITE] = own;
    /* every rank knows it, but ranks on unlike processors are to clip alike */
    if (status == LS_OK && t->comm->rank == 0)
        sum[SUM_SQUARES] = ls_buckets_squares(t->buckets);
    ls_charge(&clock, &t->times.norm, "optimizer", "gradient norm");
    LS_TRY(t->comm->allreduce_double(t->comm, sum, SUMS));
    if (sum[SUM_FAILED] > 0)
        return ls_dist_agree(t->comm, status);
    if (sum[SUM_TARGETS] <= 0)
        return ls_fail(LS_DATA, "step %lld: no sample of the batch has a target", (long long)step);

    ls_charge(&clock, &t->times.agree, "communication", "agreeing on the loss");
    double norm = sqrt(sum[SUM_SQUARES]) / sum[SUM_TARGETS];
    if (!isfinite(sum[SUM_LOSS]))
        return name_divergence(t->comm, t->train_graph, own || sum[SUM_NOT_FINITE] == 0, step, "the loss");
    if (!isfinite(norm))
        return name_divergence(t->comm, t->train_graph, true, step, "the gradient");

    *result = (LsStepResult){.loss = sum[SUM_LOSS] / sum[SUM_TARGETS],
                             .grad_norm = norm,
                             .targets = (int64_t)sum[SUM_TARGETS],
                             .stop = sum[SUM_STOP] > 0};
    LS_TRY(learn(t, norm, sum[SUM_TARGETS], result, &clock));
    t->times.steps++;
    t->times.total += clock - begin;
    if (ls_trace_on()) {
        char name[32];
        snprintf(name, sizeof name, "step %lld", (long long)step);
        ls_trace_event(LS_TRACE_STEP, "step", name, begin, clock);
    }
    t->progress.step = step;
    t->progress.samples += t->config->train.batch;
    t->progress.tokens += result->targets;
    return LS_OK;
}

/* A rank that cannot reach the others cannot agree with them either: they would wait for it for ever. */
LsStatus ls_trainer_step(LsTrainer *t, bool stop, LsStepResult *result)
{
    LsStatus status = one_step(t, stop, result);
    if (status != LS_LAUNCH || t->comm->size == 1)
        return status;
    ls_log_error("rank %d: step %lld: %s; the job is ended on all ranks", t->comm->rank,
                 (long long)t->progress.step + 1, ls_message());
    t->comm->abort(t->comm, status);
    return status;
}

static LsStatus evaluate_share(const LsComm *comm, LsGraph *g, LsSource *source, const LsEvaluation *evaluation,
                               const json_t *info, double *sum)
{
    LsPass pass = {.g = g,
                   .source = source,
                   .config = evaluation->config,
                   .plan = evaluation->plan,
                   .loss = &sum[SUM_LOSS],
                   .targets = &sum[SUM_TARGETS],
                   .info = info,
                   .metric = sum + SUMS};
    pass.run = (LsRun){.step = evaluation->step, .comm = comm, .sequence = evaluation->sequence};
    int64_t rows = evaluation->rows, samples = evaluation->samples,
            sharing = evaluation->sequence ? evaluation->sequence->size : 1;
    for (int64_t first = comm->rank / sharing * rows; first < samples; first += comm->size / sharing * rows) {
        pass.run.sample = first;
        pass.count = samples - first < rows ? samples - first : rows;
        LS_TRY(ls_pass_forward(&pass));
    }
    return LS_OK;
}

/* sum: (LS_MAX_METRICS, LS_MAX_METRIC_SUMS) */
static void value_metrics(const LsSource *source, const double *sum, LsEvaluation *evaluation)
{
    const LsMetric *metric = ls_config_task(evaluation->config)->metrics;
    LsScore score = {
        .loss = evaluation->loss, .targets = (double)evaluation->targets, .bytes_per_token = source->bytes_per_token};
    for (int i = 0; metric && metric[i].name && i < LS_MAX_METRICS; i++) {
        score.sum = sum + (int64_t)i * LS_MAX_METRIC_SUMS;
        evaluation->metric[i] = metric[i].value(&score);
    }
}

double ls_evaluation_score(const LsEvaluation *evaluation)
{
    const LsTask *task = ls_config_task(evaluation->config);
    const LsMetric *best = task->best ? ls_task_metric(task, task->best) : NULL;
    if (!best)
        return evaluation->loss;
    double value = evaluation->metric[best - task->metrics];
    if (isnan(value)) /* the data have nothing to tell it by */
        return evaluation->loss;
    return best->higher_is_better ? -value : value;
}

LsStatus ls_evaluate(const LsComm *comm, LsGraph *g, LsSource *source, LsEvaluation *evaluation)
{
    double sum[SUMS + LS_MAX_METRICS * LS_MAX_METRIC_SUMS] = {0};
    if (evaluation->samples <= 0 || evaluation->samples > source->samples)
        evaluation->samples = source->samples;
    ls_graph_refresh(g);
    json_t *info = source->info ? json_loads(source->info, 0, NULL) : NULL;
    LsStatus status = evaluate_share(comm, g, source, evaluation, info, sum);
    json_decref(info);
    bool own = !isfinite(sum[SUM_LOSS]);
    sum[SUM_FAILED] = status != LS_OK;
    sum[SUM_NOT_FINITE] = own;
    LS_TRY(comm->allreduce_double(comm, sum, LS_COUNT_OF(sum)));
    if (sum[SUM_FAILED] > 0)
        return ls_dist_agree(comm, status);
    if (sum[SUM_TARGETS] <= 0)
        return ls_fail(LS_DATA, "evaluation: no sample has a target");
    if (!isfinite(sum[SUM_LOSS]))
        return name_divergence(comm, g, own || sum[SUM_NOT_FINITE] == 0, evaluation->step, "the validation loss");
    evaluation->loss = sum[SUM_LOSS] / sum[SUM_TARGETS];
    evaluation->targets = (int64_t)sum[SUM_TARGETS];
    value_metrics(source, sum + SUMS, evaluation);
    return LS_OK;
}
