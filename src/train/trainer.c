#include "train/streams.h"

#include <math.h>
#include <string.h>

/* A graph of `steps` tokens at once, built but not planned. The first one declares the parameters. */
static LsStatus build_graph(LsTrainer *t, LsMode mode, int64_t steps, LsGraph **graph)
{
    LsGraph *g = *graph =
        ls_graph_new(t->params, &(LsGraphOptions){.mode = mode,
                                                  .precision = ls_train_precision(t->config),
                                                  .profile = t->options.profile,
                                                  .single_pass = ls_train_single_pass(&t->plan),
                                                  .arena_limit = mode == LS_TRAIN ? t->plan.arena_limit : 0,
                                                  .arena_room = mode == LS_TRAIN ? t->plan.arena_room : 0,
                                                  .comm = t->comm,
                                                  .segmented = ls_train_carries(&t->plan)});
    if (!g)
        return ls_message_status();
    ls_config_build(t->config, g, t->plan.micro_batch, steps, LS_WANT_LOSS);
    return LS_OK;
}

/* What each rank does for itself before the gradients' array is made together. */
static LsStatus prepare(LsTrainer *t, const LsTrainLimit *limit)
{
    LS_TRY(ls_train_plan(t->config, t->comm->size, t->validation != NULL, limit, &t->plan));
    t->optimizer = ls_optimizer_find(t->config->train.optimizer);
    t->params = ls_params_new();
    if (!t->params)
        return LS_RESOURCE;
    LS_TRY(build_graph(t, LS_TRAIN, t->plan.segment, &t->train_graph));
    if (t->plan.segments > 1)
        LS_TRY(build_graph(t, LS_EVAL, t->plan.carry_steps, &t->carry_graph));
    if (t->validation)
        LS_TRY(build_graph(t, LS_EVAL, t->plan.segment, &t->eval_graph));
    return ls_params_allocate(t->params, (uint64_t)t->config->train.seed, false);
}

/* Sums of gradients; parameters and moments go to where the ranks of the node have them once, if they can.
 * Collective. */
static LsStatus share_work(LsTrainer *t, int64_t bucket_bytes)
{
    bool shadowed = ls_train_precision(t->config) == LS_BFLOAT16;
    t->buckets = ls_buckets_new(t->comm, t->params,
                                &(LsBucketOptions){.bytes = bucket_bytes,
                                                   .overlap = t->config->train.overlap && !t->options.no_overlap,
                                                   .bfloat16 = strcmp(t->config->train.wire, "bfloat16") == 0,
                                                   .arrays = 1 + t->optimizer->moments,
                                                   .shadow = shadowed});
    if (!t->buckets)
        return ls_message_status();
    t->sharded = ls_buckets_sharing(t->buckets) > 1;
    if (!t->sharded)
        return LS_OK;
    float *value = ls_buckets_array(t->buckets, 0);
    if (ls_buckets_leads(t->buckets))
        memcpy(value, t->params->value, (size_t)t->params->total * sizeof(float));
    ls_free(t->params->value);
    t->params->value = value;
    t->params->shadow = ls_buckets_shadow(t->buckets);
    for (int i = 0; i < t->optimizer->moments; i++)
        t->moment[i] = ls_buckets_array(t->buckets, 1 + i);
    t->shard.ranges = ls_buckets_owned(t->buckets, &t->shard.range);
    return t->comm->barrier(t->comm); /* a graph rounds parameters when it is planned */
}

static LsStatus complete(LsTrainer *t)
{
    for (int i = 0; i < t->optimizer->moments && !t->sharded; i++)
        if (!(t->moment[i] = ls_alloc_array(t->params->total, sizeof(float))))
            return LS_RESOURCE;
    LS_TRY(ls_graph_plan(t->train_graph));
    if (t->plan.segments > 1 &&
        !(t->borders = ls_alloc_array(t->plan.segments - 1, (size_t)ls_carries_bytes(t->train_graph))))
        return LS_RESOURCE;
    LS_TRY(ls_streams_make(t));
    LsGraph *others[] = {t->carry_graph, t->eval_graph};
    for (size_t i = 0; i < LS_COUNT_OF(others); i++)
        if (others[i]) {
            LS_TRY(ls_graph_share_arena(others[i], t->train_graph)); /* never two at once */
            LS_TRY(ls_graph_plan(others[i]));
        }
    return LS_OK;
}

/* Collective stages: a rank that failed alone ends the others at the next one. */
static LsStatus fill_trainer(LsTrainer *t)
{
    LsTrainLimit limit;
    LS_TRY(ls_train_limit(t->config, t->comm, &limit));
    LS_TRY(ls_dist_agree(t->comm, prepare(t, &limit)));
    LS_TRY(ls_dist_group(t->comm, t->plan.sequence_ranks, &t->sequence));
    int64_t bucket_bytes = t->config->train.bucket_bytes;
    if (bucket_bytes == 0 && t->comm->size > 1) {
        LS_TRY(ls_link(t->comm, &t->link));
        bucket_bytes = ls_link_bucket_bytes(&t->link);
    }
    LS_TRY(share_work(t, bucket_bytes));
    return ls_dist_agree(t->comm, complete(t));
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
    *t = (LsTrainer){.config = config, .comm = comm, .training = training, .validation = validation};
    t->progress = (LsProgress){.seed = (uint64_t)config->train.seed, .best_score = HUGE_VAL, .best_step = -1};
    if (options)
        t->options = *options;
    status = fill_trainer(t);
    if (status != LS_OK) {
        ls_trainer_free(t);
        return status;
    }
    *trainer = t;
    return LS_OK;
}

void ls_trainer_free(LsTrainer *trainer)
{
    if (!trainer)
        return;
    ls_graph_free(trainer->train_graph);
    ls_graph_free(trainer->eval_graph);
    ls_graph_free(trainer->carry_graph);
    if (trainer->sharded) { /* these go with the buckets */
        trainer->params->value = trainer->moment[0] = trainer->moment[1] = NULL;
        trainer->params->shadow = NULL;
    }
    ls_buckets_free(trainer->buckets);
    for (int i = 0; i < LS_MAX_MOMENTS; i++)
        ls_free(trainer->moment[i]);
    ls_free(trainer->borders);
    ls_free(trainer->streams);
    ls_dist_group_free(trainer->sequence);
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
    for (int i = 0; i < trainer->optimizer->moments; i++)
        list[count++] = (LsSaved){.group = trainer->optimizer->moment_group[i],
                                  .layout = trainer->params,
                                  .value = trainer->moment[i],
                                  .begins_as_zero = true};
    if (trainer->params->running)
        list[count++] = ls_saved_running(trainer->params);
    if (trainer->streams)
        list[count++] = (LsSaved){.group = "streams",
                                  .value = trainer->streams,
                                  .rank = 2,
                                  .dim = {trainer->config->train.batch, trainer->stream_numbers},
                                  .begins_as_zero = true};
    return count;
}

LsStatus ls_trainer_share(LsTrainer *trainer)
{
    const LsComm *comm = trainer->comm;
    int64_t bytes = trainer->params->total * (int64_t)sizeof(float);
    LS_TRY(comm->broadcast(comm, &trainer->progress, sizeof trainer->progress, 0));
    LS_TRY(ls_streams_share(trainer));
    const LsParams *running = trainer->params->running;
    if (running)
        LS_TRY(comm->broadcast(comm, running->value, running->total * (int64_t)sizeof(float), 0));
    if (trainer->sharded)
        LS_TRY(ls_buckets_spread(trainer->buckets));
    else {
        LS_TRY(comm->broadcast(comm, trainer->params->value, bytes, 0));
        for (int i = 0; i < trainer->optimizer->moments; i++)
            LS_TRY(comm->broadcast(comm, trainer->moment[i], bytes, 0));
    }
    ls_graph_refresh(trainer->train_graph);
    return LS_OK;
}
