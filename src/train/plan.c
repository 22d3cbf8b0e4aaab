#include "train/train.h"

#include <stdio.h>
#include <string.h>

LsPrecision ls_train_precision(const LsConfig *config)
{
    return strcmp(config->train.precision, "bfloat16") == 0 ? LS_BFLOAT16 : LS_FLOAT32;
}

/* "1, 2, 3, 4, 6 or 12": the divisors of batch, each times `ranks`. */
static void list_divisors(int64_t batch, int64_t ranks, char *text, size_t room)
{
    int64_t divisor[64];
    int count = 0;
    for (int64_t i = 1; i <= batch && count < (int)LS_COUNT_OF(divisor); i++)
        if (batch % i == 0)
            divisor[count++] = i * ranks;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%lld", i == 0 ? "" : i == count - 1 ? " or " : ", ",
                                 (long long)divisor[i]);
}

static LsStatus sequence_of(const LsConfig *config, LsTrainPlan *plan)
{
    *plan = (LsTrainPlan){.sequence = config->train.sequence};
    if (plan->sequence == 0 && !ls_config_model_int(config, "context", &plan->sequence))
        return ls_fail(LS_USAGE, "train.sequence: must be set, since model %s has no context to take it from", config->model->name);
    return LS_OK;
}

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Parts of at most `longest` tokens, 0: any, of sequences that `ranks` share. */
static void cut_sequence(LsTrainPlan *plan, int64_t ranks, int64_t longest)
{
    int64_t share = divide_up(plan->sequence, ranks);
    plan->sequence_ranks = (int)ranks;
    plan->segment = longest > 0 && longest < share ? longest : share;
    plan->segments = divide_up(plan->sequence, ranks * plan->segment);
}

LsStatus ls_train_eval_shapes(const LsConfig *config, LsTrainPlan *plan)
{
    const LsTrainSettings *train = &config->train;
    LS_TRY(sequence_of(config, plan));
    cut_sequence(plan, train->sequence_ranks > 1 ? train->sequence_ranks : 1, train->segment);
    cut_sequence(plan, 1, plan->segment);
    return LS_OK;
}

LsStatus ls_train_shapes(const LsConfig *config, int ranks, LsTrainPlan *plan)
{
    const LsTrainSettings *train = &config->train;
    int64_t sharing = train->sequence_ranks > 1 ? train->sequence_ranks : 1, groups = ranks / sharing;
    LS_TRY(sequence_of(config, plan));
    if (ranks % sharing != 0)
        return ls_fail(LS_USAGE, "train.sequence_ranks=%lld: %d rank%s cannot be put into groups of %lld: start %lld, %lld, ... ranks, or set "
                                 "train.sequence_ranks to a divisor of %d",
                       (long long)sharing, ranks, ranks == 1 ? "" : "s", (long long)sharing, (long long)sharing, 2 * (long long)sharing, ranks);
    if (train->batch % groups != 0) {
        char divisors[512], among[64] = "";
        list_divisors(train->batch, sharing, divisors, sizeof divisors);
        if (sharing > 1)
            snprintf(among, sizeof among, "%lld groups of %lld of ", (long long)groups, (long long)sharing);
        return ls_fail(LS_USAGE, "train.batch=%lld cannot be divided among %s%d ranks: start %s ranks, or set train.batch to %lld or %lld",
                       (long long)train->batch, among, ranks, divisors, (long long)(train->batch / groups + (train->batch < groups)) * groups,
                       (long long)(train->batch / groups + 1 + (train->batch < groups)) * groups);
    }
    plan->groups = (int)groups;
    cut_sequence(plan, sharing, train->segment);
    plan->rank_batch = train->batch / groups;
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
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = mode,
                                                       .precision = ls_train_precision(config),
                                                       .parts = ls_train_parts(plan)});
    if (!g)
        return ls_message_status();
    config->model->build(g, config->model_config, &(LsShape){plan->micro_batch, plan->segment, LS_WANT_LOSS});
    LsStatus status = ls_graph_plan_dry(g);
    if (status == LS_OK) {
        LsMemory m = ls_graph_memory(g);
        if (mode == LS_TRAIN) {
            plan->memory = m;
            plan->memory.states += (plan->segments - 1) * ls_carries_bytes(g);
            plan->flops = ls_graph_cost(g).flops * (double)plan->micro_batches * (double)plan->segments;
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
