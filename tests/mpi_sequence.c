/* Sequences shared by the ranks, and cut into segments, against whole sequences on one rank inside the same process: a
 * small Mamba. */
#include "config/config.h"
#include "harness_mpi.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 29, SEQUENCE = 203, STEPS = 24, FEW_STEPS = 8 }; /* no number of ranks but 1 divides 203 */

/* ---- A job ------------------------------------------------------------------------------------------------------- */

/* Token t is the one 40 before it, so that a part needs what came long before it; some are noise, some are not asked
 * for. */
static int32_t token_at(int64_t sample, int64_t t)
{
    uint64_t key = ls_key(3, "sequence");
    while (t >= 40 && ls_uniform_at(key, (uint64_t)sample, (uint64_t)t) < 0.9f)
        t -= 40;
    return (int32_t)(ls_uniform_at(key, (uint64_t)(1000 + sample), (uint64_t)t) * VOCABULARY);
}

typedef struct Source {
    LsSource source;
    int64_t fail_from; /* samples at or after this one cannot be read past their beginning; -1: none */
} Source;

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    const Source *own = (const Source *)source;
    int64_t length = 0, first = batch->first, count = batch->count, from = batch->step;
    LS_TRY(ls_source_check(g, count, SEQUENCE, &length));
    if (own->fail_from >= 0 && first + count > own->fail_from && (from > 0 || length == SEQUENCE))
        return ls_fail(LS_DATA, "sample %lld cannot be read", (long long)own->fail_from);
    LsTensor *ids = ls_graph_find(g, "ids"), *wanted = ls_graph_find(g, "targets"); /* (B, length) */
    for (int64_t i = 0; i < ids->count; i++) {
        int64_t sample = (first + i / length) % source->samples, t = from + i % length;
        bool there = i / length < count && t < SEQUENCE, asked = there && (sample + t) % 11 != 0;
        ((int32_t *)ids->data)[i] = there ? token_at(sample, t) : 0;
        ((int32_t *)wanted->data)[i] = asked ? token_at(sample, t + 1) : LS_IGNORE;
    }
    return LS_OK;
}

static Source make_source(int64_t samples)
{
    return (Source){.source = {.samples = samples, .fields = ls_language_fields(VOCABULARY), .fill = fill},
                    .fail_from = -1};
}

static int steps = STEPS; /* of the trainings that follow */

static LsConfig *job(const char *model, int ranks, int segment, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "model: {kind: %s, vocabulary: %d, layers: 2, width: 24%s}\ndata: {path: none.h5}\n"
             "train: {steps: %d, batch: 4, sequence: %d, learning_rate: 1e-2, warmup: 2, evaluate_every: 8, "
             "evaluate_batches: 2, "
             "bucket_bytes: 4096, sequence_ranks: %d, segment: %d}\n",
             model, VOCABULARY, more, steps, SEQUENCE, ranks, segment);
    LsConfig *config = ls_config_parse("job", text, 0, NULL);
    if (!config)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    return config;
}

typedef struct Log {
    double loss[STEPS], norm[STEPS], validation[STEPS];
    int rows;
    int64_t stop_at;
    LsTrainer *trainer;
} Log;

static LsStatus on_row(void *self, const LsMetrics *metrics)
{
    Log *log = self;
    log->loss[log->rows] = metrics->loss;
    log->norm[log->rows] = metrics->grad_norm;
    log->validation[log->rows++] = metrics->validation_loss;
    return LS_OK;
}

static LsStatus on_save(void *self, const LsTrainer *trainer)
{
    (void)self, (void)trainer;
    return LS_OK;
}

static bool on_stop(void *self)
{
    const Log *log = self;
    return log->stop_at >= 0 && log->trainer->progress.step >= log->stop_at;
}

static Source training, validation;

static LsTrainer *begin(const LsConfig *config, const LsComm *world, Log *log)
{
    LsTrainer *trainer = NULL;
    training = make_source(12);
    validation = make_source(7);
    *log = (Log){.stop_at = -1};
    ASSERT_OK(ls_trainer_new(config, world, &training.source, &validation.source, NULL, &trainer));
    trainer->hooks = (LsTrainHooks){.self = log, .save = on_save, .stop_requested = on_stop, .row = on_row};
    log->trainer = trainer;
    return trainer;
}

static LsTrainer *train(const LsConfig *config, const LsComm *world, Log *log)
{
    LsTrainer *trainer = begin(config, world, log);
    ASSERT_OK(ls_trainer_run(trainer));
    ASSERT_OK(world->broadcast(world, log, sizeof *log, 0));
    CU_ASSERT_EQUAL(log->rows, steps);
    return trainer;
}

static double relative(double a, double b) { return fabs(a - b) / fabs(b); }

/* Float sums in another order: after 24 steps of AdamW as much as another number of data-parallel ranks makes. */
static void expect_same(const Log *log, const Log *alone)
{
    for (int i = 0; i < steps; i++) {
        ASSERT_AT_MOST(relative(log->loss[i], alone->loss[i]), 1e-5);
        ASSERT_AT_MOST(relative(log->norm[i], alone->norm[i]), 2e-4);
        CU_ASSERT_EQUAL(isnan(log->validation[i]), (i + 1) % 8 != 0);
        if ((i + 1) % 8 == 0)
            ASSERT_AT_MOST(relative(log->validation[i], alone->validation[i]), 1e-5);
    }
}

static bool same_values(const LsTrainer *a, const LsTrainer *b)
{
    return memcmp(a->params->value, b->params->value, (size_t)a->params->total * sizeof(float)) == 0;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

/* Whole sequences on one rank; then shared by all ranks, in segments of these lengths up to -1, 0 for one. The last of
 * them twice: the same bits. */
static void check_ranks_and_segments(const char *model, const char *more, const int *segments)
{
    LsConfig *whole = job(model, 1, 0, more);
    Log alone, log, again;
    LsTrainer *reference = train(whole, ls_comm_self(), &alone);
    CU_ASSERT(alone.loss[steps - 1] < alone.loss[0]);
    for (int i = 0; segments[i] >= 0; i++) {
        int segment = segments[i];
        LsConfig *config = job(model, comm->size, segment, more);
        LsTrainer *trainer = train(config, comm, &log);
        int64_t share = (SEQUENCE + comm->size - 1) / comm->size,
                length = segment > 0 && segment < share ? segment : share;
        CU_ASSERT_EQUAL(trainer->plan.segment, length);
        CU_ASSERT_EQUAL(trainer->plan.segments, (SEQUENCE + comm->size * length - 1) / (comm->size * length));
        CU_ASSERT_EQUAL(trainer->progress.tokens, reference->progress.tokens);
        CU_ASSERT_EQUAL(trainer->progress.samples, reference->progress.samples);
        expect_same(&log, &alone);
        if (segments[i + 1] < 0) {
            LsTrainer *second = train(config, comm, &again);
            CU_ASSERT(same_values(trainer, second));
            CU_ASSERT_EQUAL(memcmp(log.loss, again.loss, sizeof log.loss), 0);
            ls_trainer_free(second);
        }
        ls_trainer_free(trainer);
        ls_config_free(config);
    }
    ls_trainer_free(reference);
    ls_config_free(whole);
}

/* The same in few steps, for what goes by the same ways as the first: it is what a model hands on that differs. */
static void check_shortly(const char *model, const char *more, const int *segments)
{
    steps = FEW_STEPS;
    check_ranks_and_segments(model, more, segments);
    steps = STEPS;
}

static void test_ranks_and_segments(void) { check_ranks_and_segments("mamba", "", (const int[]){0, 13, 39, -1}); }

/* Chunks of 64 steps are multiplied out: parts of the time are no multiples of them. */
static void test_state_space_dual(void)
{
    check_shortly("mamba2", ", head_dim: 12, groups: 2, state: 5", (const int[]){0, 13, 64, -1});
}

/* Recurrent layers: ranks wait for each other's states, and come to the same. */
static void test_recurrent_layers(void)
{
    check_shortly("rnn", ", cell: lstm", (const int[]){0, 39, -1});
    check_shortly("rnn", ", cell: gru", (const int[]){13, -1});
}

/* Recurrences whose summaries are chained: of a diagonal state space with complex decays. */
static void test_linear_recurrences(void)
{
    check_shortly("mingru", "", (const int[]){0, 39, -1});
    check_shortly("minlstm", ", conv: 0, mlp: 0", (const int[]){13, -1});
    check_shortly("s4d", ", state: 6", (const int[]){0, 13, -1});
}

static void test_rwkv(void)
{
    check_shortly("rwkv4", "", (const int[]){0, 39, -1});
    check_shortly("rwkv7", ", head: 8, decay_rank: 4, rate_rank: 4, value_rank: 4, gate_rank: 4",
                  (const int[]){13, -1});
}

/* In bfloat16. Cut up or whole, the states of the scan are floats and each token meets the same products; but a
 * gradient of the convolution's last rows is stored, then added to: 3 rows at each border, in bfloat16 off by 2^-9,
 * which are all rows in segments of 3 and a quarter of them in those of 13. So gradients, and what they have moved
 * parameters by, are off by less than 2^-9 and as much again for what rounds otherwise after a float's last bit has
 * moved; losses by that part of what has been learnt. Then shadows of parameters that moved otherwise round otherwise,
 * each by at most 2^-9 of itself, evenly spread and of random sign: with weights of 0.2 (root of the mean square) a
 * standard deviation of the loss of 0.2 2^-9 / sqrt(3) of the gradient's norm if all did, of which three are allowed.
 * In the first step parameters are the same: what is left are a few of 800 x 48 x 2 results that round otherwise. */
static void test_bfloat16(void)
{
    LsConfig *whole = job("mamba", 1, 0, "");
    ls_free(whole->train.precision);
    whole->train.precision = ls_strdup("bfloat16");
    Log alone, log;
    LsTrainer *reference = train(whole, ls_comm_self(), &alone);
    CU_ASSERT(alone.loss[STEPS - 1] < 0.95 * alone.loss[0]);
    for (int segment = 0; segment <= 64; segment += 13) {
        if (segment == 26 || segment == 52)
            continue;
        LsConfig *config = job("mamba", comm->size, segment, "");
        ls_free(config->train.precision);
        config->train.precision = ls_strdup("bfloat16");
        LsTrainer *trainer = train(config, comm, &log);
        for (int i = 0; i < STEPS; i++) {
            double learnt = fabs(alone.loss[0] - alone.loss[i]), shadows = i ? 0.35 * 0x1p-9 * alone.norm[i] : 0;
            ASSERT_AT_MOST(fabs(log.loss[i] - alone.loss[i]), 0x1p-8 * learnt + shadows + 1e-5 * alone.loss[i]);
            /* the norm follows the parameters by its slope */
            ASSERT_AT_MOST(relative(log.norm[i], alone.norm[i]), i == 0 ? 0x1p-8 : 0x1p-5);
        }
        ls_trainer_free(trainer);
        ls_config_free(config);
    }
    ls_trainer_free(reference);
    ls_config_free(whole);
}

/* Gradients themselves, of one step, in proportion to the largest of their parameter: SGD moves each by it. */
static void test_gradients(void)
{
    LsTrainer *trainer[2];
    LsConfig *config[2];
    LsStepResult result;
    Log log;
    for (int i = 0; i < 2; i++) {
        config[i] = job("mamba", i ? comm->size : 1, i ? 19 : 0, "");
        ls_free(config[i]->train.optimizer);
        config[i]->train.optimizer = ls_strdup("sgd");
        config[i]->train.clip = config[i]->train.momentum = config[i]->train.weight_decay = 0;
        config[i]->train.learning_rate = 1;
        config[i]->train.warmup = 0;
        trainer[i] = begin(config[i], i ? comm : ls_comm_self(), &log);
    }
    const LsParams *params = trainer[0]->params;
    float *before = ls_alloc_array(params->total, sizeof(float));
    memcpy(before, params->value, (size_t)params->total * sizeof(float));
    for (int i = 0; i < 2; i++)
        ASSERT_OK(ls_trainer_step(trainer[i], false, &result));
    for (int p = 0; p < params->count; p++) {
        const LsParam *param = &params->list[p];
        double largest = 0, most = 0, rounding = 0;
        for (int64_t i = param->offset; i < param->offset + param->count; i++) {
            double value = (double)trainer[0]->params->value[i];
            largest = fmax(largest, fabs(value - (double)before[i]));
            rounding = fmax(rounding, 0x1p-24 * fabs(value));
            most = fmax(most, fabs((double)trainer[1]->params->value[i] - value));
        }
        CU_ASSERT(largest > 0);
        ASSERT_AT_MOST(most, 2e-5 * largest + 2 * rounding);
    }
    for (int i = 0; i < 2; i++) {
        ls_trainer_free(trainer[i]);
        ls_config_free(config[i]);
    }
    ls_free(before);
}

/* Groups of two ranks that share sequences, and data parallel over the groups. */
static void test_groups(void)
{
    if (comm->size % 2 != 0)
        return;
    LsConfig *whole = job("mamba", 1, 0, ""), *config = job("mamba", 2, 50, "");
    config->train.micro_batch = 1;
    Log alone, log;
    LsTrainer *reference = train(whole, ls_comm_self(), &alone), *trainer = train(config, comm, &log);
    CU_ASSERT_EQUAL(trainer->plan.groups, comm->size / 2);
    CU_ASSERT_EQUAL(trainer->plan.micro_batches, 4 / (comm->size / 2));
    expect_same(&log, &alone);
    ls_trainer_free(trainer);
    ls_trainer_free(reference);
    ls_config_free(config);
    ls_config_free(whole);
}

/* A stop on one rank ends all; going on from there gives the bits of a run that was never stopped. */
static void test_stop_and_resume(void)
{
    LsConfig *config = job("mamba", comm->size, 30, "");
    Log straight, first, second;
    LsTrainer *whole = train(config, comm, &straight), *stopped = begin(config, comm, &first);
    if (comm->rank == comm->size - 1)
        first.stop_at = 9;
    ASSERT_FAILS(ls_trainer_run(stopped), LS_STOPPED, "after step 10 of 24");
    LsTrainer *resumed = begin(config, comm, &second);
    if (comm->rank == 0) {
        size_t bytes = (size_t)resumed->params->total * sizeof(float);
        memcpy(resumed->params->value, stopped->params->value, bytes);
        for (int i = 0; i < 2; i++)
            memcpy(resumed->moment[i].value, stopped->moment[i].value, bytes);
        resumed->progress = stopped->progress;
    }
    ASSERT_OK(ls_trainer_broadcast(resumed));
    ASSERT_OK(ls_trainer_run(resumed));
    CU_ASSERT(same_values(whole, resumed));
    ls_trainer_free(whole);
    ls_trainer_free(stopped);
    ls_trainer_free(resumed);
    ls_config_free(config);
}

/* A rank that cannot read its part ends the ranks that would wait for its states. */
static void test_failing_rank(void)
{
    LsConfig *config = job("mamba", comm->size, 30, "");
    Log log;
    LsTrainer *trainer = begin(config, comm, &log);
    training.fail_from = comm->rank == comm->size - 1 ? 4 * 3 : -1;
    ASSERT_FAILS(ls_trainer_run(trainer), LS_DATA, "sample 12 cannot be read");
    CU_ASSERT_EQUAL(trainer->progress.step, 3);
    ls_trainer_free(trainer);
    ls_config_free(config);
}

static void test_refusals(void)
{
    LsTrainer *trainer = NULL;
    training = make_source(12);
    LsConfig *config = job("gpt", comm->size, 50, ", heads: 2, context: 256");
    ASSERT_FAILS(ls_trainer_new(config, comm, &training.source, NULL, NULL, &trainer), LS_USAGE,
                 "needs whole sequences");
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "set train.segment to 0 and train.sequence_ranks to 1"));
    ls_config_free(config);
    config = job("mamba", 3 * comm->size, 0, "");
    ASSERT_FAILS(ls_trainer_new(config, comm, &training.source, NULL, NULL, &trainer), LS_USAGE,
                 "cannot be put into groups of");
    ls_config_free(config);
    config = job("mamba", comm->size, 2, "");
    ASSERT_FAILS(ls_trainer_new(config, comm, &training.source, NULL, NULL, &trainer), LS_USAGE,
                 "set a longer train.segment");
    ls_config_free(config);
}

static const HarnessTest tests[] = {
    {"ranks and segments", test_ranks_and_segments},
    {"state-space dual", test_state_space_dual},
    {"recurrent layers", test_recurrent_layers},
    {"linear recurrences", test_linear_recurrences},
    {"RWKV", test_rwkv},
    {"gradients", test_gradients},
    {"ranks and segments in bfloat16", test_bfloat16},
    {"groups", test_groups},
    {"stop and resume", test_stop_and_resume},
    {"a rank that fails", test_failing_rank},
    {"refusals", test_refusals},
    {0},
};

int main(int argc, char **argv) { return harness_run_mpi(argc, argv, "sequence", tests); }
