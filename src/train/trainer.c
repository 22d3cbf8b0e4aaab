#include "store/model_folder.h"
#include "train/average.h"
#include "train/outliers.h"
#include "train/players.h"
#include "train/streams.h"

#include <math.h>
#include <string.h>

/* A graph of `steps` tokens at once for evaluation, built but not planned. */
static LsStatus build_graph(LsTrainer *t, int64_t steps, LsGraph **graph)
{
    LsGraph *g = *graph = ls_graph_new(t->params, &(LsGraphOptions){.mode = LS_EVAL,
                                                                    .precision = ls_train_precision(t->config),
                                                                    .profile = t->options.profile,
                                                                    .single_pass = ls_train_single_pass(&t->plan),
                                                                    .comm = t->comm,
                                                                    .segmented = ls_train_carries(&t->plan)});
    if (!g)
        return ls_message_status();
    ls_config_build(t->config, g, t->plan.micro_batch, steps, LS_WANT_LOSS);
    return LS_OK;
}

/* Each rank by itself, before the gradients' array is made together. */
static LsStatus plan_and_build(LsTrainer *t, const LsTrainLimit *limit)
{
    LS_TRY(ls_train_plan(t->config, t->comm->size, t->validation != NULL, limit, &t->plan));
    t->optimizer = ls_optimizer_find(t->config->train.optimizer);
    t->params = ls_params_new();
    if (!t->params)
        return LS_RESOURCE;
    LS_TRY(ls_groups_new(&t->config->train, &t->groups));
    LS_TRY(ls_players_build(t));
    ls_groups_warn(t->groups, t->config, t->params);
    ls_groups_mark(t->groups, t->params);
    if (t->plan.segments > 1)
        LS_TRY(build_graph(t, t->plan.carry_steps, &t->carry_graph));
    if (t->validation)
        LS_TRY(build_graph(t, t->plan.segment, &t->eval_graph));
    LS_TRY(ls_moments_new(t->optimizer, t->params, ls_groups_learns, t->groups, t->moment));
    return ls_params_allocate(t->params, (uint64_t)t->config->train.seed, false);
}

/* Makes the buckets of gradients, and moves parameters and moments into memory that the ranks of the node share, where
 * it can be had. Collective. */
static LsStatus share_arrays(LsTrainer *t, int64_t bucket_bytes)
{
    bool shadowed = ls_train_precision(t->config) == LS_BFLOAT16, averages = t->config->train.average > 0;
    int64_t total = t->params->total;
    t->buckets = ls_buckets_new(t->comm, t->params,
                                &(LsBucketOptions){.bytes = bucket_bytes,
                                                   .overlap = t->config->train.overlap && !t->options.no_overlap,
                                                   .bfloat16 = strcmp(t->config->train.wire, "bfloat16") == 0,
                                                   .floats = (averages ? 2 : 1) * total + ls_moments_floats(t->moment),
                                                   .shadow = shadowed});
    if (!t->buckets)
        return ls_message_status();
    t->sharded = ls_buckets_sharing_ranks(t->buckets) > 1;
    if (!t->sharded)
        return LS_OK;
    float *value = ls_buckets_floats(t->buckets), *next = value + total;
    if (ls_buckets_is_leader(t->buckets))
        memcpy(value, t->params->value, (size_t)total * sizeof(float));
    ls_free(t->params->value);
    t->params->value = value;
    t->params->shadow = ls_buckets_shadow(t->buckets);
    for (int i = 0; i < t->optimizer->moments; i++) {
        t->moment[i].value = next;
        next += t->moment[i].layout->total;
    }
    t->average = averages ? next : NULL;
    return t->comm->barrier(t->comm); /* a graph rounds parameters when it is planned */
}

/* Allocates the arrays that are not in the node's shared memory. */
static LsStatus allocate_arrays(LsTrainer *t)
{
    int64_t total = t->params->total, work = t->optimizer->work ? t->optimizer->work(t->params) : 0;
    for (int i = 0; i < t->optimizer->moments && !t->sharded; i++)
        if (!(t->moment[i].value = ls_alloc_array(t->moment[i].layout->total, sizeof(float))))
            return LS_RESOURCE;
    if (t->config->train.average > 0 && !t->sharded && !(t->average = ls_alloc_array(total, sizeof(float))))
        return LS_RESOURCE;
    if (work > 0 && !(t->work = ls_alloc_array(work, sizeof(float))))
        return LS_RESOURCE;
    return ls_outliers_allocate(t);
}

static LsStatus plan_graphs(LsTrainer *t)
{
    LS_TRY(allocate_arrays(t));
    LS_TRY(ls_players_plan(t));
    LsGraph *first = t->player[0].graph;
    if (t->plan.segments > 1 && !(t->borders = ls_alloc_array(t->plan.segments - 1, (size_t)ls_carries_bytes(first))))
        return LS_RESOURCE;
    LS_TRY(ls_streams_allocate(t));
    LsGraph *others[] = {t->carry_graph, t->eval_graph};
    for (size_t i = 0; i < LS_COUNT_OF(others); i++)
        if (others[i]) {
            LS_TRY(ls_graph_share_arena(others[i], first)); /* never two at once */
            LS_TRY(ls_graph_plan(others[i]));
        }
    return LS_OK;
}

/* Collective stages: a rank that failed alone ends the others at the next one. */
static LsStatus open_trainer(LsTrainer *t)
{
    LsTrainLimit limit;
    LS_TRY(ls_train_limit(t->config, t->comm, &limit));
    LS_TRY(ls_dist_agree(t->comm, plan_and_build(t, &limit)));
    LS_TRY(ls_dist_group(t->comm, t->plan.sequence_ranks, &t->sequence));
    int64_t bucket_bytes = t->config->train.bucket_bytes;
    if (bucket_bytes == 0 && t->comm->size > 1) {
        LS_TRY(ls_link_measure(t->comm, &t->link));
        bucket_bytes = ls_link_bucket_bytes(&t->link);
    }
    LS_TRY(share_arrays(t, bucket_bytes));
    LS_TRY(ls_dist_agree(t->comm, plan_graphs(t)));
    const LsProcedure *procedure = ls_config_procedure(t->config);
    return procedure->open ? ls_dist_agree(t->comm, procedure->open(t, t->self)) : LS_OK;
}

LsStatus ls_trainer_new(const LsConfig *config, const LsComm *comm, LsSource *training, LsSource *validation,
                        const LsTrainOptions *options, LsTrainer **trainer)
{
    *trainer = NULL;
    LsTrainer *t = ls_alloc(sizeof *t);
    LsStatus status = ls_dist_agree(comm, t ? LS_OK : LS_RESOURCE);
    if (status != LS_OK) {
        ls_free(t);
        return status;
    }
    *t = (LsTrainer){.procedure = ls_config_procedure(config),
                     .config = config,
                     .comm = comm,
                     .training = training,
                     .validation = validation};
    t->progress = (LsProgress){.seed = (uint64_t)config->train.seed, .best_score = HUGE_VAL, .best_step = -1};
    if (options)
        t->options = *options;
    status = open_trainer(t);
    if (status != LS_OK) {
        ls_trainer_free(t);
        return status;
    }
    *trainer = t;
    return LS_OK;
}

const char *ls_trainer_info(const LsTrainer *trainer)
{
    return trainer->info ? trainer->info : trainer->training->info;
}

LsStatus ls_trainer_join_info(LsTrainer *trainer, const char *info)
{
    char *joined = NULL;
    LS_TRY(ls_hf_tokens_carry(info, ls_trainer_info(trainer), &joined));
    if (joined) {
        ls_free(trainer->info);
        trainer->info = joined;
    }
    return LS_OK;
}

void ls_trainer_free(LsTrainer *trainer)
{
    if (!trainer)
        return;
    if (trainer->procedure->close && trainer->self)
        trainer->procedure->close(trainer->self);
    ls_free(trainer->self);
    ls_graph_free(trainer->eval_graph);
    ls_graph_free(trainer->carry_graph);
    ls_players_free(trainer); /* whose arena the others have */
    if (trainer->sharded) {   /* the buckets own these */
        trainer->params->value = trainer->average = NULL;
        trainer->params->shadow = NULL;
        for (int i = 0; i < LS_MAX_MOMENTS; i++)
            trainer->moment[i].value = NULL;
    }
    ls_buckets_free(trainer->buckets);
    for (int i = 0; i < LS_MAX_MOMENTS; i++)
        ls_free(trainer->moment[i].value);
    ls_moments_free(trainer->params, trainer->moment);
    ls_free(trainer->info);
    ls_free(trainer->average);
    ls_free(trainer->work);
    ls_free(trainer->outliers);
    ls_free(trainer->borders);
    ls_free(trainer->streams);
    ls_dist_group_free(trainer->sequence);
    ls_groups_free(trainer->groups);
    ls_params_free(trainer->params);
    ls_free(trainer);
}

void ls_trainer_times_reset(LsTrainer *trainer)
{
    trainer->times = (LsTrainTimes){0};
    ls_buckets_times_reset(trainer->buckets);
}

int ls_trainer_saved(const LsTrainer *trainer, LsSaved list[LS_MAX_SAVED])
{
    int count = 0;
    count += ls_moments_saved(trainer->optimizer, trainer->moment, list);
    if (trainer->average)
        list[count++] = (LsSaved){
            .group = "optimizer/average", .layout = trainer->params, .value = trainer->average, .begins_as_zero = true};
    if (trainer->outliers)
        list[count++] = ls_outliers_saved(trainer);
    if (trainer->params->running)
        list[count++] = ls_saved_running(trainer->params);
    if (trainer->streams)
        list[count++] = (LsSaved){.group = "streams",
                                  .value = trainer->streams,
                                  .rank = 2,
                                  .dim = {trainer->config->train.batch, trainer->stream_numbers},
                                  .begins_as_zero = true};
    const LsProcedure *procedure = ls_config_procedure(trainer->config);
    if (procedure->saved)
        count += procedure->saved((LsTrainer *)trainer, trainer->self, list + count);
    return count;
}

/* The arrays that the procedure saves, from rank 0 to all. */
static LsStatus broadcast_saved(LsTrainer *t)
{
    LsSaved list[LS_MAX_PROCEDURE_SAVED];
    const LsProcedure *procedure = ls_config_procedure(t->config);
    int count = procedure->saved ? procedure->saved(t, t->self, list) : 0;
    for (int i = 0; i < count; i++) {
        int64_t numbers = 1;
        for (int j = 0; j < list[i].rank; j++)
            numbers *= list[i].dim[j];
        numbers = list[i].layout ? list[i].layout->total : numbers;
        LS_TRY(t->comm->broadcast(t->comm, list[i].value, numbers * (int64_t)sizeof(float), 0));
    }
    return LS_OK;
}

LsStatus ls_trainer_broadcast(LsTrainer *trainer)
{
    const LsComm *comm = trainer->comm;
    int64_t bytes = trainer->params->total * (int64_t)sizeof(float);
    LS_TRY(comm->broadcast(comm, &trainer->progress, sizeof trainer->progress, 0));
    LS_TRY(ls_streams_broadcast(trainer));
    const LsParams *running = trainer->params->running;
    if (running)
        LS_TRY(comm->broadcast(comm, running->value, running->total * (int64_t)sizeof(float), 0));
    const LsParams *base = ls_params_base(trainer->params);
    if (base)
        LS_TRY(comm->broadcast(comm, base->value, base->total * (int64_t)sizeof(float), 0));
    LS_TRY(broadcast_saved(trainer));
    if (trainer->outliers)
        LS_TRY(comm->broadcast(comm, trainer->outliers, ls_outliers_saved(trainer).dim[0] * (int64_t)sizeof(float), 0));
    if (trainer->sharded)
        LS_TRY(ls_buckets_broadcast(trainer->buckets));
    else {
        LS_TRY(comm->broadcast(comm, trainer->params->value, bytes, 0));
        for (int i = 0; i < trainer->optimizer->moments; i++)
            LS_TRY(comm->broadcast(comm, trainer->moment[i].value,
                                   trainer->moment[i].layout->total * (int64_t)sizeof(float), 0));
        if (trainer->average)
            LS_TRY(comm->broadcast(comm, trainer->average, bytes, 0));
    }
    LS_TRY(ls_average_begin(trainer));
    ls_graph_refresh(trainer->player[0].graph);
    return LS_OK;
}

LsParams *ls_trainer_params(LsTrainer *trainer) { return trainer->params; }
const LsComm *ls_trainer_comm(const LsTrainer *trainer) { return trainer->comm; }
const void *ls_trainer_settings(const LsTrainer *trainer) { return trainer->config->procedure_config; }
LsStatus ls_trainer_write(LsTrainer *trainer, const char *name, const void *bytes, int64_t count)
{
    const LsTrainHooks *hooks = &trainer->hooks;
    return trainer->comm->rank == 0 && hooks->write ? hooks->write(hooks->self, name, bytes, count) : LS_OK;
}

int64_t ls_trainer_steps(const LsTrainer *trainer) { return trainer->progress.step; }
