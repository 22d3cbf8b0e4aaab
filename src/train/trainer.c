#include "train/train.h"

/* A planned graph of the trainer's shapes. The first one declares the parameters, which are drawn before it is planned. */
static LsStatus make_graph(LsTrainer *t, LsMode mode, LsGraph **graph)
{
    LsGraph *g = *graph = ls_graph_new(t->params, &(LsGraphOptions){.mode = mode,
                                                                    .precision = ls_train_precision(t->config),
                                                                    .profile = t->options.profile,
                                                                    .comm = t->comm});
    if (!g)
        return LS_RESOURCE;
    t->config->model->build(g, t->config->model_config, &(LsShape){t->plan.micro_batch, t->plan.sequence, LS_WANT_LOSS});
    if (!t->params->sealed)
        LS_TRY(ls_params_allocate(t->params, (uint64_t)t->config->train.seed, true));
    return ls_graph_plan(g);
}

static LsStatus fill_trainer(LsTrainer *t)
{
    LS_TRY(ls_train_shapes(t->config, t->comm->size, &t->plan));
    t->optimizer = ls_optimizer_find(t->config->train.optimizer);
    if (!t->optimizer)
        return ls_fail(LS_USAGE, "train.optimizer: there is no %s", t->config->train.optimizer);
    LS_TRY(ls_train_plan(t->config, t->comm->size, t->validation != NULL, &t->plan));
    t->params = ls_params_new();
    if (!t->params)
        return LS_RESOURCE;
    LS_TRY(make_graph(t, LS_TRAIN, &t->train_graph));
    if (t->validation)
        LS_TRY(make_graph(t, LS_EVAL, &t->eval_graph));
    for (int i = 0; i < t->optimizer->moments; i++)
        if (!(t->moment[i] = ls_alloc_array(t->params->total, sizeof(float))))
            return LS_RESOURCE;
    t->buckets = ls_buckets_new(t->comm, t->params, t->config->train.bucket_bytes, !t->options.no_overlap);
    return t->buckets ? LS_OK : LS_RESOURCE;
}

LsStatus ls_trainer_new(const LsConfig *config, const LsComm *comm, LsSource *training, LsSource *validation,
                        const LsTrainOptions *options, LsTrainer **trainer)
{
    LsTrainer *t = *trainer = ls_alloc(sizeof *t);
    LsStatus status = t ? LS_OK : LS_RESOURCE;
    if (t) {
        *t = (LsTrainer){.config = config, .comm = comm, .training = training, .validation = validation};
        t->progress = (LsProgress){.seed = (uint64_t)config->train.seed, .best_loss = __builtin_huge_val(), .best_step = -1};
        if (options)
            t->options = *options;
        status = fill_trainer(t);
    }
    status = ls_dist_agree(comm, status);
    if (status != LS_OK) {
        ls_trainer_free(t);
        *trainer = NULL;
    }
    return status;
}

void ls_trainer_free(LsTrainer *trainer)
{
    if (!trainer)
        return;
    ls_buckets_free(trainer->buckets);
    ls_graph_free(trainer->train_graph);
    ls_graph_free(trainer->eval_graph);
    for (int i = 0; i < LS_MAX_MOMENTS; i++)
        ls_free(trainer->moment[i]);
    ls_params_free(trainer->params);
    ls_free(trainer);
}

LsStatus ls_trainer_share(LsTrainer *trainer)
{
    const LsComm *comm = trainer->comm;
    int64_t bytes = trainer->params->total * (int64_t)sizeof(float);
    LS_TRY(comm->broadcast(comm, &trainer->progress, sizeof trainer->progress, 0));
    LS_TRY(comm->broadcast(comm, trainer->params->value, bytes, 0));
    for (int i = 0; i < trainer->optimizer->moments; i++)
        LS_TRY(comm->broadcast(comm, trainer->moment[i], bytes, 0));
    ls_graph_refresh(trainer->train_graph);
    return LS_OK;
}
