#include "train/train.h"

#include "base/pieces.h"
#include "gemm/gemm.h"
#include "train/groups.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of a thread's stack, and of the allocator's own room for it. */
#define THREAD_BYTES ((int64_t)256 << 10)
/* Tokens of which a segment that the plan chooses is made. */
#define MIN_SEGMENT ((int64_t)512)
/* Tokens at once, of all streams, whose activations the caches hold. */
#define CARRY_TOKENS ((int64_t)2048)
/* Of HDF5 and of the check that follows a save, measured. */
#define SAVING_BYTES ((int64_t)6 << 20)
/* Of HDF5's own code and tables, measured: where no data set was read before memory is looked at, they come with the
 * first save. */
#define HDF5_BYTES ((int64_t)3 << 20)

/* Whose plan is made: the same through all functions below. */
typedef struct PlanRequest {
    const LsConfig *config;
    int ranks;
    bool evaluates;
    const LsTrainLimit *limit; /* may be NULL: none */
} PlanRequest;

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
        used += (size_t)snprintf(text + used, room - used, "%s%lld",
                                 i == 0           ? ""
                                 : i == count - 1 ? " or "
                                                  : ", ",
                                 (long long)divisor[i]);
}

/* Samples without steps are sequences of one; so are those of which nobody has said how long they are yet. */
static LsStatus read_sequence(const LsConfig *config, LsTrainPlan *plan)
{
    LsFields fields;
    *plan = (LsTrainPlan){.sequence = 1, .lengths = 1, .carries = config->train.carry};
    LS_TRY(ls_config_fields(config, &fields));
    if (ls_fields_have_steps(&fields) && ls_config_sequence(config) > 0)
        plan->sequence = ls_config_sequence(config);
    return LS_OK;
}

/* Segments of at most `longest` tokens, 0: any, of sequences that `ranks` share. */
static void cut_sequence(LsTrainPlan *plan, int64_t ranks, int64_t longest)
{
    int64_t share = ls_ceil_div(plan->sequence, ranks);
    plan->sequence_ranks = (int)ranks;
    plan->segment = longest > 0 && longest < share ? longest : share;
    plan->segments = ls_ceil_div(plan->sequence, ranks * plan->segment);
}

/* Where states are only carried forward, few tokens at once: a divisor of the segment, of whole chunks of the scan so
 * that states come out the same. Ranks that share the segment go through it together: it cannot be divided for each. */
static void cut_segment(const LsConfig *config, LsTrainPlan *plan)
{
    plan->carry_steps = plan->segment;
    if (config->model->keeps_segments)
        return;
    for (int64_t steps = CARRY_TOKENS / plan->micro_batch / 32 * 32;
         steps * plan->micro_batch >= CARRY_TOKENS / 4 && plan->sequence_ranks == 1; steps -= 32)
        if (steps < plan->segment && plan->segment % steps == 0) {
            plan->carry_steps = steps;
            return;
        }
}

LsStatus ls_train_eval_shapes(const LsConfig *config, LsTrainPlan *plan)
{
    const LsTrainSettings *train = &config->train;
    LS_TRY(read_sequence(config, plan));
    cut_sequence(plan, train->sequence_ranks > 1 ? train->sequence_ranks : 1, train->segment);
    cut_sequence(plan, 1, plan->segment);
    return LS_OK;
}

LsStatus ls_train_shapes(const LsConfig *config, int ranks, LsTrainPlan *plan)
{
    const LsTrainSettings *train = &config->train;
    int64_t sharing = train->sequence_ranks > 1 ? train->sequence_ranks : 1, groups = ranks / sharing;
    LS_TRY(read_sequence(config, plan));
    if (ranks % sharing != 0)
        return ls_fail(LS_USAGE,
                       "train.sequence_ranks=%lld: %d rank%s cannot be put into groups of %lld: start %lld, %lld, ... "
                       "ranks, or set "
                       "train.sequence_ranks to a divisor of %d",
                       (long long)sharing, ranks, ranks == 1 ? "" : "s", (long long)sharing, (long long)sharing,
                       2 * (long long)sharing, ranks);
    if (train->batch % groups != 0) {
        char divisors[512], among[64] = "";
        list_divisors(train->batch, sharing, divisors, sizeof divisors);
        if (sharing > 1)
            snprintf(among, sizeof among, "%lld groups of %lld of ", (long long)groups, (long long)sharing);
        return ls_fail(
            LS_USAGE,
            "train.batch=%lld cannot be divided among %s%d ranks: start %s ranks, or set train.batch to %lld or %lld",
            (long long)train->batch, among, ranks, divisors,
            (long long)(train->batch / groups + (train->batch < groups)) * groups,
            (long long)(train->batch / groups + 1 + (train->batch < groups)) * groups);
    }
    if (train->carry && (sharing > 1 || (train->segment > 0 && train->segment < plan->sequence)))
        return ls_fail(LS_USAGE, "train.carry goes with whole windows: set train.segment to 0 and train.sequence_ranks "
                                 "to 1, and train.sequence to the tokens of a step");
    plan->groups = (int)groups;
    cut_sequence(plan, sharing, train->segment);
    if (train->length_step > 0 && ls_train_carries(plan))
        return ls_fail(LS_USAGE, "train.length_step goes with whole samples: set train.segment to 0, "
                                 "train.sequence_ranks to 1 and train.carry to false");
    plan->lengths = train->length_step > 0 ? ls_ceil_div(plan->sequence, train->length_step) : 1;
    const LsProcedure *procedure = ls_config_procedure(config);
    if (ls_procedure_phases(procedure) > 1 && ls_train_carries(plan))
        return ls_fail(LS_USAGE,
                       "train.procedure %s computes whole samples: set train.segment to 0, train.sequence_ranks to 1 "
                       "and train.carry to false",
                       procedure->name);
    if (ls_procedure_phases(procedure) > 1 && train->skip_outliers > 0)
        return ls_fail(LS_USAGE,
                       "train.skip_outliers: a step of train.procedure %s has several losses: leave skip_outliers out",
                       procedure->name);
    plan->rank_batch = train->batch / groups;
    plan->micro_batch = plan->rank_batch;
    if (train->micro_batch > 0 && train->micro_batch < plan->rank_batch) {
        plan->micro_batch = train->micro_batch;
        while (plan->rank_batch % plan->micro_batch != 0)
            plan->micro_batch--;
    }
    plan->micro_batches = plan->rank_batch / plan->micro_batch;
    cut_segment(config, plan);
    return LS_OK;
}

int64_t ls_phase_repeats(const LsConfig *config, const LsPhase *phase)
{
    const LsProcedure *procedure = ls_config_procedure(config);
    const LsSetting *setting = phase->repeats ? ls_settings_find(procedure->settings, phase->repeats) : NULL;
    return setting && setting->type == LS_SETTING_TYPE_INT
               ? *(const int64_t *)((const char *)config->procedure_config + setting->offset)
               : 1;
}

/* Of `steps` tokens at once, in mode LS_TRAIN for this phase, options.arena_limit and arena_room as given; *memory
 * and *flops get what a dry plan says. */
static LsStatus plan_graph(const LsConfig *config, LsParams *params, const LsTrainPlan *plan, int64_t steps,
                           const LsPhase *phase, LsGraphOptions options, LsMemory *memory, double *flops,
                           LsRecomputed *recomputed)
{
    LsGroups *groups = NULL;
    options.learns = phase ? phase->learns : NULL;
    options.precision = ls_train_precision(config);
    options.segmented = ls_train_carries(plan);
    LS_TRY(ls_groups_new(&config->train, &groups));
    LsGraph *g = ls_graph_new(params, &options);
    if (!g) {
        ls_groups_free(groups);
        return ls_message_status();
    }
    ls_groups_freeze(groups, g);
    ls_config_build_shape(
        config, g,
        &(LsShape){
            .batch = plan->micro_batch, .sequence = steps, .want = LS_WANT_LOSS, .phase = phase ? phase->name : NULL});
    LsStatus status = ls_groups_check_learns(groups, config, params, options.learns, ls_graph_plan_dry(g));
    if (status == LS_OK && options.mode == LS_TRAIN)
        status = ls_groups_check(groups, config, params);
    ls_groups_free(groups);
    if (status == LS_OK) {
        *memory = ls_graph_memory(g);
        memory->states += options.mode == LS_TRAIN ? (plan->segments - 1) * ls_carries_bytes(g) : 0;
        if (options.mode == LS_TRAIN && plan->carries)
            memory->states += config->train.batch * ls_carries_stream_numbers(g) * (int64_t)sizeof(float);
        *flops = ls_graph_cost(g).flops;
        *recomputed = ls_graph_recomputed(g);
    }
    ls_graph_free(g);
    return status;
}

/* Of the products that weights (out, in) take part in: y = x w^T sums over `in`; dx = dy w over `out`, and dw = dy^T x
 * over the rows of x, an array among `activations` bytes. A convolution's x are windows, which lie in no array. */
static int64_t products_bytes(const LsParam *param, int64_t activations, LsGemmType type)
{
    int64_t out = param->dim[0], in = param->count / out;
    int64_t size = type == LS_GEMM_FLOAT32 ? (int64_t)sizeof(float) : (int64_t)sizeof(uint16_t);
    int64_t rows = param->rank == 2 ? activations / (in * size) : INT64_MAX;
    int64_t forward = ls_gemm_workspace_most(out, in, type);
    int64_t backward = ls_gemm_workspace_most(in, rows > out ? rows : out, type);
    return forward > backward ? forward : backward;
}

/* Work space of the products and what the threads and HDF5 take. */
static int64_t library_bytes(const LsConfig *config, const LsParams *params, const LsMemory *memory)
{
    LsGemmType type = ls_train_precision(config) == LS_FLOAT32 ? LS_GEMM_FLOAT32 : LS_GEMM_BFLOAT16;
    int64_t products = 0;
    for (const LsParams *store = params; store; store = ls_params_base(store))
        for (int i = 0; i < store->count; i++) {
            const LsParam *param = &store->list[i];
            int64_t bytes = param->rank > 1 ? products_bytes(param, memory->activations + memory->inputs, type) : 0;
            products = bytes > products ? bytes : products;
        }
    int64_t first_use = config->data_kind && !config->data_kind->prepare ? HDF5_BYTES : 0;
    return products + ls_threads() * THREAD_BYTES + SAVING_BYTES + first_use;
}

/* A graph that runs in the first training graph's arena: forward only, or (phase not NULL) a training graph of another
 * phase. *all gets the largest arena, and what each has for itself. */
static LsStatus plan_other_graph(const LsConfig *config, LsParams *params, const LsTrainPlan *plan, int64_t steps,
                                 const LsPhase *phase, LsMemory *all, double *flops)
{
    LsRecomputed none;
    LsMemory memory = {0};
    LsGraphOptions options = {.mode = phase ? LS_TRAIN : LS_EVAL, .single_pass = phase && ls_train_single_pass(plan)};
    LS_TRY(plan_graph(config, params, plan, steps, phase, options, &memory, flops, &none));
    all->states += memory.states;
    all->inputs += memory.inputs;
    if (memory.activations + memory.scratch > all->activations + all->scratch) {
        all->activations = memory.activations;
        all->scratch = memory.scratch;
    }
    return LS_OK;
}

/* Plans the optimiser's moments, which are kept from step to step. */
static LsStatus plan_optimizer(const LsConfig *config, const LsParams *params, LsTrainPlan *plan)
{
    const LsOptimizer *optimizer = ls_optimizer_find(config->train.optimizer);
    const int64_t bytes = (int64_t)sizeof(float);
    LsMoment moment[LS_MAX_MOMENTS];
    LsGroups *groups = NULL;
    LS_TRY(ls_groups_new(&config->train, &groups));
    LsStatus status = ls_moments_new(optimizer, params, ls_groups_learns, groups, moment);
    ls_groups_free(groups);
    LS_TRY(status);
    plan->moment_bytes = ls_ceil_div(ls_moments_floats(moment) * bytes, plan->sharing_ranks);
    plan->average_bytes = config->train.average > 0 ? ls_ceil_div(params->total * bytes, plan->sharing_ranks) : 0;
    plan->work_bytes = optimizer->work ? optimizer->work(params) * bytes : 0;
    ls_moments_free(params, moment);
    return LS_OK;
}

/* The first phase's training graph with this limit of its arena (0: none), and sums; others: the other graphs', whose
 * work is other_flops. */
static LsStatus plan_training(const PlanRequest *request, LsParams *params, const LsMemory *others, double other_flops,
                              int64_t limit, LsTrainPlan *plan)
{
    const LsConfig *config = request->config;
    const LsPhase *phase = ls_config_procedure(config)->phases;
    LsMemory *m = &plan->memory;
    double flops = 0;
    plan->arena_limit = limit;
    plan->arena_room = others->activations + others->scratch;
    LsGraphOptions options = {.mode = LS_TRAIN,
                              .single_pass = ls_train_single_pass(plan),
                              .arena_limit = limit,
                              .arena_room = plan->arena_room};
    LS_TRY(plan_graph(config, params, plan, plan->segment, phase, options, m, &flops, &plan->recomputed));
    m->states += others->states;
    m->inputs += m->inputs * (plan->lengths - 1) / 2 + others->inputs; /* of 1, 2, ... lengths-ths of the steps */
    plan->flops = (flops * (double)ls_phase_repeats(config, phase) + other_flops) * (double)plan->micro_batches *
                  (double)plan->segments * request->ranks;
    plan->parameters = params->elements;
    plan->base_parameters = ls_params_base(params) ? ls_params_base(params)->elements : 0;
    plan->library_bytes = library_bytes(config, params, m);
    LS_TRY(plan_optimizer(config, params, plan));
    /* what adapters stand on is of each rank its own */
    int64_t own = ls_params_base(params) ? ls_params_base(params)->total * (int64_t)sizeof(float) : 0;
    m->parameters = ls_ceil_div(m->parameters - own, plan->sharing_ranks) + own;
    own = m->shadows > 0 ? own / 2 : 0;
    m->shadows = ls_ceil_div(m->shadows - own, plan->sharing_ranks) + own;
    plan->message_bytes = request->ranks > plan->sharing_ranks ? ls_buckets_message_bytes(params) : 0;
    const LsProcedure *procedure = ls_config_procedure(config);
    plan->procedure_bytes = procedure->memory ? procedure->memory(config, plan->micro_batch, params->total) : 0;
    plan->total_bytes = plan->procedure_bytes + plan->sample_bytes + plan->base_bytes + plan->library_bytes +
                        plan->moment_bytes + plan->average_bytes + plan->work_bytes + plan->message_bytes;
    plan->total_bytes +=
        m->parameters + m->shadows + m->gradients + m->activations + m->scratch + m->states + m->inputs;
    return LS_OK;
}

#define SAMPLE_TOKENS ((int64_t)512) /* of a prompt that are read at once, at most */

/* Bytes for generating a text during training: graphs of a prompt and of single tokens. */
static LsStatus plan_samples(const LsConfig *config, LsParams *params, int64_t *bytes)
{
    int64_t context = 0, longest = SAMPLE_TOKENS;
    *bytes = 0;
    if (config->train.sample_every == 0 || !ls_config_task(config)->streams_ids)
        return LS_OK;
    if (ls_config_model_int(config, "context", &context) && context > 0 && context < longest)
        longest = context;
    for (int i = 0; i < 2; i++) {
        LsGraph *g =
            ls_graph_new(params, &(LsGraphOptions){.mode = LS_DECODE, .precision = ls_train_precision(config)});
        if (!g)
            return ls_message_status();
        LsShape shape = {.batch = 1, .sequence = i == 0 ? 1 : longest, .want = LS_WANT_LAST, .at_once = longest};
        ls_config_build_shape(config, g, &shape);
        LsStatus status = ls_graph_plan_dry(g);
        LsMemory memory = ls_graph_memory(g);
        ls_graph_free(g);
        LS_TRY(status);
        *bytes += memory.activations + memory.scratch + memory.inputs + (i == 0 ? memory.states : 0);
    }
    return LS_OK;
}

/* For one micro-batch, which the plan has. */
static LsStatus plan_shape(const PlanRequest *request, LsTrainPlan *plan)
{
    const LsConfig *config = request->config;
    const LsTrainLimit *limit = request->limit;
    if (!ls_optimizer_find(config->train.optimizer))
        return ls_fail(LS_USAGE, "train.optimizer: there is no %s", config->train.optimizer);
    LsParams *params = ls_params_new();
    if (!params)
        return LS_RESOURCE;
    LsMemory others = {0};
    double none = 0, flops = 0, all_flops = 0; /* of the other phases */
    LsStatus status = LS_OK;
    if (plan->segments > 1)
        LS_TRY_CLEANUP(plan_other_graph(config, params, plan, plan->carry_steps, NULL, &others, &none));
    if (request->evaluates)
        LS_TRY_CLEANUP(plan_other_graph(config, params, plan, plan->segment, NULL, &others, &none));
    for (const LsPhase *phase = ls_config_procedure(config)->phases + 1; phase->name; phase++) {
        LS_TRY_CLEANUP(plan_other_graph(config, params, plan, plan->segment, phase, &others, &flops));
        all_flops += flops * (double)ls_phase_repeats(config, phase);
    }
    LS_TRY_CLEANUP(plan_samples(config, params, &plan->sample_bytes));
    plan->base_bytes = limit ? limit->base : 0;
    plan->sharing_ranks = limit && limit->sharing_ranks > 1 ? limit->sharing_ranks : 1;
    LS_TRY_CLEANUP(plan_training(request, params, &others, all_flops, 0, plan));
    if (limit && limit->bytes > 0 && plan->total_bytes > limit->bytes) {
        int64_t arena = plan->memory.activations + plan->memory.scratch, rest = plan->total_bytes - arena;
        status = limit->bytes - rest <= plan->arena_room
                     ? ls_fail(LS_RESOURCE, "all but activations takes %.0f MiB",
                               (double)(rest + plan->arena_room) / 1048576)
                     : plan_training(request, params, &others, all_flops, limit->bytes - rest, plan);
    }
cleanup:
    ls_params_free(params);
    return status;
}

/* The largest number of sequences at once, below the plan's, with which the limit can be kept to; 0: none. */
static int64_t find_micro_batch(const PlanRequest *request, const LsTrainPlan *plan)
{
    for (int64_t rows = plan->micro_batch - 1; rows >= 1; rows--) {
        LsTrainPlan other = *plan;
        other.micro_batch = rows;
        other.micro_batches = plan->rank_batch / rows;
        cut_segment(request->config, &other);
        if (plan->rank_batch % rows == 0 && plan_shape(request, &other) == LS_OK)
            return rows;
    }
    return 0;
}

/* The share of forward that is done twice: all but the last segment, and what backward recomputes. */
static double recomputed_share(const LsTrainPlan *plan)
{
    return 1 - 1 / (double)plan->segments + plan->recomputed.share;
}

/* Cuts sequences that are too long for the limit so that least is computed twice. False where no cut fits: it is no
 * recurrent model, or the limit is too low. */
static bool choose_segments(const PlanRequest *request, LsTrainPlan *plan)
{
    double smallest = HUGE_VAL;
    LsTrainPlan best;
    for (int64_t segments = 2; plan->sequence / segments >= MIN_SEGMENT * plan->sequence_ranks;
         segments += segments < 4 ? 1 : segments / 4) {
        LsTrainPlan other = *plan;
        int64_t tokens = ls_ceil_div(plan->sequence, segments * plan->sequence_ranks);
        cut_sequence(&other, plan->sequence_ranks, ls_ceil_div(tokens, MIN_SEGMENT) * MIN_SEGMENT);
        cut_segment(request->config, &other);
        LsStatus status = plan_shape(request, &other);
        if (status != LS_OK && status != LS_RESOURCE)
            return false;
        if (status == LS_OK && recomputed_share(&other) < smallest) {
            smallest = recomputed_share(&other);
            best = other;
        }
        if (status == LS_OK && other.recomputed.nodes == 0)
            break; /* more of them ask for more */
    }
    if (smallest < HUGE_VAL)
        *plan = best;
    return smallest < HUGE_VAL;
}

LsStatus ls_train_plan(const LsConfig *config, int ranks, bool evaluation, const LsTrainLimit *limit, LsTrainPlan *plan)
{
    LS_TRY(ls_train_shapes(config, ranks, plan));
    const PlanRequest request = {config, ranks, evaluation, limit};
    LsStatus status = plan_shape(&request, plan);
    if (status != LS_RESOURCE || !limit || limit->bytes == 0)
        return status;
    char reason[512],
        cure[128] =
            "a smaller model, train.sequence or optimizer takes less, and so does train.segment (recurrent models)";
    snprintf(reason, sizeof reason, "%s", ls_message());
    bool may_cut = config->train.segment == 0 && !plan->carries && plan->lengths == 1 && !config->model->keeps_segments;
    if (may_cut && choose_segments(&request, plan))
        return LS_OK;
    int64_t rows = find_micro_batch(&request, plan);
    if (rows > 0)
        snprintf(cure, sizeof cure, "train.micro_batch=%lld fits", (long long)rows);
    return ls_fail(LS_RESOURCE, "a rank does not fit into the %.0f MiB that %s: %s; %s", (double)limit->bytes / 1048576,
                   limit->source, reason, cure);
}
