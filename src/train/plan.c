#include "train/train.h"

#include <stdio.h>
#include <string.h>

LsPrecision ls_train_precision(const LsConfig *config)
{
    return strcmp(config->train.precision, "bfloat16") == 0 ? LS_BFLOAT16 : LS_FLOAT32;
}

/* "1, 2, 3, 4, 6 or 12" */
static void list_divisors(int64_t batch, char *text, size_t room)
{
    int64_t divisor[64];
    int count = 0;
    for (int64_t i = 1; i <= batch && count < (int)LS_COUNT_OF(divisor); i++)
        if (batch % i == 0)
            divisor[count++] = i;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%lld", i == 0 ? "" : i == count - 1 ? " or " : ", ",
                                 (long long)divisor[i]);
}

LsStatus ls_train_shapes(const LsConfig *config, int ranks, LsTrainPlan *plan)
{
    const LsTrainSettings *train = &config->train;
    *plan = (LsTrainPlan){.sequence = train->sequence};
    if (plan->sequence == 0 && !ls_config_model_int(config, "context", &plan->sequence))
        return ls_fail(LS_USAGE, "train.sequence: must be set, since model %s has no context to take it from", config->model->name);
    if (train->batch % ranks != 0) {
        char divisors[512];
        list_divisors(train->batch, divisors, sizeof divisors);
        return ls_fail(LS_USAGE, "train.batch=%lld cannot be divided among %d ranks: start %s ranks, or set train.batch to %lld or %lld",
                       (long long)train->batch, ranks, divisors, (long long)(train->batch / ranks + (train->batch < ranks)) * ranks,
                       (long long)(train->batch / ranks + 1 + (train->batch < ranks)) * ranks);
    }
    plan->rank_batch = train->batch / ranks;
    plan->micro_batch = plan->rank_batch;
    if (train->micro_batch > 0 && train->micro_batch < plan->rank_batch) {
        plan->micro_batch = train->micro_batch;
        while (plan->rank_batch % plan->micro_batch != 0)
            plan->micro_batch--;
    }
    plan->micro_batches = plan->rank_batch / plan->micro_batch;
    return LS_OK;
}

static LsStatus plan_graph(const LsConfig *config, LsParams *params, LsMode mode, LsTrainPlan *plan)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = mode, .precision = ls_train_precision(config)});
    if (!g)
        return ls_message_status();
    config->model->build(g, config->model_config, &(LsShape){plan->micro_batch, plan->sequence, LS_WANT_LOSS});
    LsStatus status = ls_graph_plan_dry(g);
    if (status == LS_OK) {
        LsMemory m = ls_graph_memory(g);
        if (mode == LS_TRAIN) {
            plan->memory = m;
            plan->flops = ls_graph_cost(g).flops * (double)plan->micro_batches;
        } else {
            plan->memory.activations += m.activations;
            plan->memory.scratch += m.scratch;
            plan->memory.states += m.states;
            plan->memory.inputs += m.inputs;
        }
    }
    ls_graph_free(g);
    return status;
}

LsStatus ls_train_plan(const LsConfig *config, int ranks, bool evaluation, LsTrainPlan *plan)
{
    LS_TRY(ls_train_shapes(config, ranks, plan));
    const LsOptimizer *optimizer = ls_optimizer_find(config->train.optimizer);
    if (!optimizer)
        return ls_fail(LS_USAGE, "train.optimizer: there is no %s", config->train.optimizer);
    LsParams *params = ls_params_new();
    if (!params)
        return LS_RESOURCE;
    LsStatus status = plan_graph(config, params, LS_TRAIN, plan);
    if (status == LS_OK && evaluation)
        status = plan_graph(config, params, LS_EVAL, plan);
    plan->parameters = params->elements;
    plan->moment_bytes = optimizer->moments * params->total * (int64_t)sizeof(float);
    plan->flops *= ranks;
    const LsMemory *m = &plan->memory;
    plan->total_bytes = m->parameters + m->gradients + m->activations + m->scratch + m->states + m->inputs + plan->moment_bytes;
    ls_params_free(params);
    return status;
}
