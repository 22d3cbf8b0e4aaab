/* One step: each phase of the procedure with its sums over micro-batches and ranks, clipping and the optimiser. And
 * evaluation. */
#include "train/average.h"
#include "train/clock.h"
#include "train/outliers.h"
#include "train/players.h"
#include "train/streams.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The sums over ranks of a step, in one reduction. */
enum { SUM_LOSS, SUM_TARGETS, SUM_FAILED, SUM_STOP, SUM_NOT_FINITE, SUM_SQUARES, SUMS };

/* Forward and backward of all micro-batches of this rank: losses and gradients are sums over targets. */
static LsStatus run_micro_batches(LsTrainer *t, LsPlayer *player, double *sum)
{
    LsPass pass = {.source = player->source,
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
    ls_streams_begin_step(t);
    for (int64_t i = 0; i < t->plan.micro_batches; i++) {
        int64_t group = t->comm->rank / t->plan.sequence_ranks;
        pass.run.sample = t->progress.samples + group * t->plan.rank_batch + i * t->plan.micro_batch;
        bool last = i == t->plan.micro_batches - 1;
        pass.streams = ls_streams_rows(t, i);
        ls_player_choose(t, player, pass.run.sample);
        pass.g = player->graph;
        LS_TRY(ls_pass_train(&pass, i > 0, last ? ls_buckets_hooks(t->buckets) : NULL));
    }
    return LS_OK;
}

/* The first bad tensor, by a rank whose own loss was bad, where there is one: the sum has carried its gradients to
 * all. */
static LsStatus report_divergence(const LsComm *comm, LsGraph *g, bool own, int64_t step, const char *what)
{
    LsStatus found = own ? ls_graph_check_finite(g) : LS_OK;
    if (found != LS_OK)
        ls_fail_in(LS_DIVERGED, "step %lld: %s is not finite", (long long)step, what);
    LS_TRY(ls_dist_agree(comm, found));
    return ls_fail(LS_DIVERGED, "step %lld: %s is not finite; parameters and inputs are", (long long)step, what);
}

/* update: the number of this player's updates, this one included. */
static LsStatus apply_gradients(LsTrainer *t, const LsPlayer *player, int64_t update, double norm, double targets,
                                LsStepResult *result, double *clock)
{
    const LsTrainSettings *settings = &t->config->train;
    double scale = 1 / targets;
    if (settings->clip > 0 && norm > settings->clip)
        scale *= settings->clip / norm;
    ls_player_gather(t, player);
    const LsRate all = {.factor = 1}, *rate = player->rates.list ? player->rates.list : &all;
    LsStatus status = LS_OK;
    for (int i = 0; i < (player->rates.list ? player->rates.count : 1) && status == LS_OK; i++) {
        const LsShard *shard = player->rates.list ? &rate[i].shard : ls_player_shard(t, player);
        status = t->optimizer->update(&(LsUpdate){.settings = settings,
                                                  .params = t->params,
                                                  .moment = t->moment,
                                                  .shard = shard,
                                                  .work = t->work,
                                                  .step = update,
                                                  .learning_rate = result->learning_rate * rate[i].factor,
                                                  .scale = scale});
        ls_average_update(t, shard, update);
    }
    ls_charge_time(clock, &t->times.update, "optimizer", t->optimizer->name);
    LS_TRY(t->optimizer->whole ? ls_dist_agree(t->comm, status) : status); /* others cannot fail */
    LS_TRY(ls_running_update(player->graph, t->comm, t->plan.micro_batches));
    if (t->sharded) { /* nobody reads parameters that a neighbour has not written yet */
        LS_TRY(ls_buckets_wait_updates(t->buckets));
        ls_charge_time(clock, &t->times.agree, "communication", "waiting for optimizers");
    }
    return LS_OK;
}

/* The name of a number that is not finite, with its phase where there are several. */
static const char *name_in_phase(const LsTrainer *t, const LsPlayer *player, const char *what, char name[96])
{
    snprintf(name, 96, t->players > 1 ? "%s of the phase %s" : "%s", what, player->phase->name);
    return name;
}

/* Sums gradients, losses, targets and flags over the ranks. */
static LsStatus sum_over_ranks(LsTrainer *t, LsStatus status, bool stop, double *sum, double *clock)
{
    /* after a failure too: the others wait for this rank's contribution */
    LsStatus summed = ls_buckets_finish(t->buckets);
    if (status == LS_OK)
        status = summed;
    ls_charge_time(clock, &t->times.sums, NULL, NULL);
    sum[SUM_FAILED] = status != LS_OK;
    sum[SUM_STOP] = stop;
    sum[SUM_NOT_FINITE] = !isfinite(sum[SUM_LOSS]);
    /* every rank knows it, but ranks on unlike processors are to clip alike */
    if (status == LS_OK && t->comm->rank == 0)
        sum[SUM_SQUARES] = ls_buckets_squares(t->buckets);
    ls_charge_time(clock, &t->times.norm, "optimizer", "gradient norm");
    LS_TRY(t->comm->allreduce_double(t->comm, sum, SUMS));
    return sum[SUM_FAILED] > 0 ? ls_dist_agree(t->comm, status) : LS_OK;
}

/* Runs one phase of a step for the `time`-th time in it. */
static LsStatus run_phase(LsTrainer *t, LsPlayer *player, int64_t time, bool stop, LsStepResult *result, double *clock)
{
    int64_t step = t->progress.step + 1;
    int number = (int)(player - t->player);
    double sum[SUMS] = {0};
    char what[96];
    if (t->players > 1)
        ls_buckets_select(t->buckets, player->range.first, player->range.count);
    LsStatus status = run_micro_batches(t, player, sum);
    bool own = !isfinite(sum[SUM_LOSS]);
    *clock = ls_seconds();
    LS_TRY(sum_over_ranks(t, status, stop, sum, clock));
    if (sum[SUM_TARGETS] <= 0)
        return ls_fail(LS_DATA, "step %lld: no sample of the batch has a target", (long long)step);

    ls_charge_time(clock, &t->times.agree, "communication", "agreeing on the loss");
    double norm = sqrt(sum[SUM_SQUARES]) / sum[SUM_TARGETS], loss = sum[SUM_LOSS] / sum[SUM_TARGETS];
    if (!isfinite(sum[SUM_LOSS]))
        return report_divergence(t->comm, player->graph, own || sum[SUM_NOT_FINITE] == 0, step,
                                 name_in_phase(t, player, "the loss", what));
    if (!isfinite(norm))
        return report_divergence(t->comm, player->graph, true, step, name_in_phase(t, player, "the gradient", what));

    result->targets += (int64_t)sum[SUM_TARGETS];
    result->stop |= sum[SUM_STOP] > 0;
    result->phase_loss[number] = loss;
    result->phase_norm[number] = norm;
    result->learning_rate = ls_schedule(&t->config->train, step);
    int64_t updates = t->progress.step * player->repeats + time - ls_outliers_skipped(t); /* before this one */
    if (!ls_outliers_judge(t, loss, norm))
        LS_TRY(apply_gradients(t, player, updates + 1, norm, sum[SUM_TARGETS], result, clock));
    if (t->players > 1) /* other players' sums may cover the same buckets */
        memset(t->params->grad + player->range.first, 0, (size_t)player->range.count * sizeof(float));
    t->progress.samples += t->config->train.batch;
    return LS_OK;
}

static LsStatus run_step(LsTrainer *t, bool stop, LsStepResult *result)
{
    const LsProcedure *procedure = ls_config_procedure(t->config);
    int64_t step = t->progress.step + 1;
    double begin = ls_seconds(), clock = begin, squares = 0;
    *result = (LsStepResult){0};
    if (procedure->before_step)
        LS_TRY(ls_dist_agree(t->comm, procedure->before_step(t, t->self)));
    for (int i = 0; i < t->players; i++)
        for (int64_t time = 0; time < t->player[i].repeats; time++)
            LS_TRY(run_phase(t, &t->player[i], time, stop, result, &clock));
    for (int i = 0; i < t->players; i++) {
        result->loss += result->phase_loss[i];
        squares += result->phase_norm[i] * result->phase_norm[i];
    }
    result->grad_norm = t->players > 1 ? sqrt(squares) : result->phase_norm[0];
    t->times.steps++;
    t->times.total += clock - begin;
    if (ls_trace_on()) {
        char name[32];
        snprintf(name, sizeof name, "step %lld", (long long)step);
        ls_trace_event(LS_TRACE_STEP, "step", name, begin, clock);
    }
    t->progress.step = step;
    t->progress.tokens += result->targets;
    return procedure->after_step ? ls_dist_agree(t->comm, procedure->after_step(t, t->self)) : LS_OK;
}

/* A rank that cannot reach the others cannot agree with them either: they would wait for it for ever. */
LsStatus ls_trainer_step(LsTrainer *t, bool stop, LsStepResult *result)
{
    LsStatus status = run_step(t, stop, result);
    if (status != LS_LAUNCH || t->comm->size == 1)
        return status;
    ls_log_error("rank %d: step %lld: %s; the job is ended on all ranks", t->comm->rank,
                 (long long)t->progress.step + 1, ls_message());
    t->comm->abort(t->comm, status);
    return status;
}

/* pass->count samples from `first` on, and those that go on where they end. */
static LsStatus evaluate_rows(LsPass *pass, int64_t first, int64_t streams, int64_t samples)
{
    ls_carries_reset(pass->g);
    for (pass->run.sample = first; pass->run.sample < samples; pass->run.sample += streams) {
        int64_t left = samples - pass->run.sample;
        pass->count = left < pass->count ? left : pass->count;
        LS_TRY(ls_pass_forward(pass));
    }
    return LS_OK;
}

static LsStatus evaluate_own_samples(const LsComm *comm, LsGraph *g, LsSource *source, const LsEvaluation *evaluation,
                                     const json_t *info, double *sum)
{
    const LsProcedure *procedure = ls_config_procedure(evaluation->config);
    if (procedure->evaluate)
        return procedure->evaluate(&(LsEvaluated){.comm = comm,
                                                  .g = g,
                                                  .source = source,
                                                  .settings = evaluation->config->procedure_config,
                                                  .samples = evaluation->samples,
                                                  .rows = evaluation->rows,
                                                  .step = evaluation->step,
                                                  .loss = &sum[SUM_LOSS],
                                                  .targets = &sum[SUM_TARGETS],
                                                  .metric = sum + SUMS});
    LsPass pass = {.g = g,
                   .source = source,
                   .config = evaluation->config,
                   .plan = evaluation->plan,
                   .loss = &sum[SUM_LOSS],
                   .targets = &sum[SUM_TARGETS],
                   .info = info,
                   .metric = sum + SUMS};
    pass.run = (LsRun){.step = evaluation->step, .comm = comm, .sequence = evaluation->sequence};
    int64_t rows = evaluation->rows, sharing = evaluation->sequence ? evaluation->sequence->size : 1;
    int64_t streams = source->streams > 0 ? source->streams : evaluation->samples;
    for (int64_t first = comm->rank / sharing * rows; first < streams; first += comm->size / sharing * rows) {
        pass.count = streams - first < rows ? streams - first : rows;
        LS_TRY(evaluate_rows(&pass, first, streams, evaluation->samples));
    }
    return LS_OK;
}

static void compute_metrics(LsEvaluation *evaluation)
{
    const LsMetric *metric = ls_config_task(evaluation->config)->metrics;
    LsScore score = {.loss = evaluation->loss,
                     .targets = (double)evaluation->targets,
                     .bytes_per_token = evaluation->bytes_per_token};
    for (int i = 0; metric && metric[i].name && i < LS_MAX_METRICS; i++) {
        score.sum = evaluation->sum + (int64_t)i * LS_MAX_METRIC_SUMS;
        evaluation->metric[i] = metric[i].value(&score);
    }
}

void ls_evaluation_add(LsEvaluation *all, const LsEvaluation *other)
{
    double own = (double)all->targets, more = (double)other->targets;
    all->loss = (all->loss * own + other->loss * more) / (own + more);
    all->bytes_per_token = (all->bytes_per_token * own + other->bytes_per_token * more) / (own + more);
    all->targets += other->targets;
    all->samples += other->samples;
    for (size_t i = 0; i < LS_COUNT_OF(all->sum); i++)
        all->sum[i] += other->sum[i];
    compute_metrics(all);
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
    LsStatus status = evaluate_own_samples(comm, g, source, evaluation, info, sum);
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
        return report_divergence(comm, g, own || sum[SUM_NOT_FINITE] == 0, evaluation->step, "the validation loss");
    evaluation->loss = sum[SUM_LOSS] / sum[SUM_TARGETS];
    evaluation->targets = (int64_t)sum[SUM_TARGETS];
    evaluation->bytes_per_token = source->bytes_per_token;
    memcpy(evaluation->sum, sum + SUMS, sizeof evaluation->sum);
    compute_metrics(evaluation);
    return LS_OK;
}

LsStatus ls_trainer_evaluate(LsTrainer *t, LsEvaluation *evaluation)
{
    *evaluation = (LsEvaluation){.config = t->config,
                                 .samples = t->config->train.evaluate_batches * t->config->train.batch,
                                 .rows = t->plan.micro_batch,
                                 .plan = &t->plan,
                                 .sequence = t->sequence,
                                 .step = t->progress.step};
    LS_TRY(ls_average_swap(t));
    LsStatus status = ls_evaluate(t->comm, t->eval_graph, t->validation, evaluation);
    LS_TRY(ls_average_swap(t));
    return status;
}
