/* The trainer at 1 to 4 ranks, against a world of one inside the same process. */
#include "base/bfloat16.h"
#include "harness_mpi.h"
#include "toy_model.h"
#include "train/outliers.h"

enum { MAX_STEPS = 64 };

/* The values that the hooks of one run were called with. */
typedef struct Log {
    double loss[MAX_STEPS], norm[MAX_STEPS], validation[MAX_STEPS];
    int rows, saves;
    int64_t stop_at, saved_step;
    LsTrainer *trainer;
} Log;

static LsStatus on_row(void *self, const LsMetrics *metrics)
{
    Log *log = self;
    log->loss[log->rows] = metrics->loss;
    log->norm[log->rows] = metrics->grad_norm;
    log->validation[log->rows] = metrics->validation_loss;
    CU_ASSERT_EQUAL(metrics->step, log->rows + 1);
    log->rows++;
    return LS_OK;
}

static LsStatus on_save(void *self, const LsTrainer *trainer)
{
    Log *log = self;
    log->saves++;
    log->saved_step = trainer->progress.step;
    return LS_OK;
}

static bool on_stop(void *self)
{
    const Log *log = self;
    return log->stop_at >= 0 && log->trainer->progress.step >= log->stop_at;
}

/* A trainer with these hooks; the rows' hook is called on rank 0 only. */
static LsTrainer *begin(const LsConfig *config, const LsComm *world, ToySource *source, ToySource *validation,
                        bool no_overlap, Log *log)
{
    LsTrainer *trainer = NULL;
    *log = (Log){.stop_at = -1, .saved_step = -1};
    ASSERT_OK(ls_trainer_new(config, world, &source->source, validation ? &validation->source : NULL,
                             &(LsTrainOptions){.no_overlap = no_overlap}, &trainer));
    trainer->hooks = (LsTrainHooks){.self = log, .save = on_save, .stop_requested = on_stop, .row = on_row};
    log->trainer = trainer;
    return trainer;
}

static void share_log(Log *log) { ASSERT_OK(comm->broadcast(comm, log, sizeof *log, 0)); }

static double relative(double a, double b) { return fabs(a - b) / fabs(b); }

/* Parameters, moments and average. */
static bool same_bits(const LsTrainer *a, const LsTrainer *b)
{
    size_t bytes = (size_t)a->params->total * sizeof(float);
    bool same = memcmp(a->params->value, b->params->value, bytes) == 0;
    for (int i = 0; i < a->optimizer->moments; i++)
        same &= memcmp(a->moment[i].value, b->moment[i].value, (size_t)a->moment[i].layout->total * sizeof(float)) == 0;
    return same && (!a->average || memcmp(a->average, b->average, bytes) == 0);
}

/* Copies the content of a checkpoint of `from` into `to`: rank 0 alone. */
static void copy_saved(LsTrainer *from, LsTrainer *to)
{
    LsSaved old[LS_MAX_SAVED], new[LS_MAX_SAVED];
    int count = ls_trainer_saved(from, old);
    CU_ASSERT_EQUAL(ls_trainer_saved(to, new), count);
    memcpy(to->params->value, from->params->value, (size_t)to->params->total * sizeof(float));
    for (int i = 0; i < count; i++) {
        int64_t numbers = old[i].layout ? old[i].layout->total : old[i].dim[0];
        CU_ASSERT_FATAL(old[i].layout || old[i].rank == 1);
        memcpy(new[i].value, old[i].value, (size_t)numbers * sizeof(float));
    }
    to->progress = from->progress;
}

/* The same losses on any number of ranks; overlap on and off give the same bits. */
static void check_ranks(const char *precision, double tolerance)
{
    LsConfig config = toy_config();
    config.train.precision = (char *)(uintptr_t)precision;
    config.train.evaluate_every = 10;
    ToySource source = toy_source(500), validation = toy_source(37);
    Log alone, on, off;
    LsTrainer *reference = begin(&config, ls_comm_self(), &source, &validation, false, &alone);
    ASSERT_OK(ls_trainer_run(reference));
    LsTrainer *overlapped = begin(&config, comm, &source, &validation, false, &on);
    ASSERT_OK(ls_trainer_run(overlapped));
    LsTrainer *plain = begin(&config, comm, &source, &validation, true, &off);
    ASSERT_OK(ls_trainer_run(plain));
    CU_ASSERT(same_bits(overlapped, plain));
    CU_ASSERT_EQUAL(overlapped->sharded, comm->size > 1);
    CU_ASSERT_EQUAL(ls_buckets_count(overlapped->buckets) > 1, comm->size > 1);
    share_log(&on);
    share_log(&off);
    CU_ASSERT_EQUAL(alone.rows, 50);
    CU_ASSERT_EQUAL(on.rows, 50);
    for (int i = 0; i < 50; i++) {
        ASSERT_AT_MOST(relative(on.loss[i], alone.loss[i]), tolerance);
        ASSERT_AT_MOST(relative(on.norm[i], alone.norm[i]), 10 * tolerance);
        CU_ASSERT_EQUAL(on.loss[i], off.loss[i]);
        CU_ASSERT_EQUAL(isnan(on.validation[i]), (i + 1) % 10 != 0);
        if ((i + 1) % 10 == 0)
            ASSERT_AT_MOST(relative(on.validation[i], alone.validation[i]), tolerance);
    }
    CU_ASSERT(on.loss[49] < 0.7 * on.loss[0]); /* and it learns */
    CU_ASSERT_EQUAL(on.saves, 1);
    CU_ASSERT_EQUAL(overlapped->progress.samples, 600);
    CU_ASSERT_EQUAL(overlapped->progress.tokens, reference->progress.tokens);
    CU_ASSERT_EQUAL(overlapped->progress.best_step, 50);
    ls_trainer_free(reference);
    ls_trainer_free(overlapped);
    ls_trainer_free(plain);
}

static void test_ranks(void) { check_ranks("float", 1e-5); }

/* Gradients' sums differ in the last bits of a float, 2^-24; where that moves a parameter over the border between two
 * bfloat16 numbers its shadow moves by 2^-8, which happens to some 2^-16 of the thousand parameters each step: a few of
 * them in 50 steps, each a part of the thousandth part of what the loss depends on. From then on the activations that
 * it touches round otherwise too, and the losses go on to part slowly: some tens of thousandths of 2^-8 (6e-5 at the
 * instruction sets without products of pairs). */
static void test_ranks_bfloat16(void) { check_ranks("bfloat16", 0x1p-8 * 4e-2); }

/* Parameters are the same bits on all ranks, and so are their shadows. */
static void test_ranks_agree(void)
{
    LsConfig config = toy_config();
    config.train.precision = "bfloat16";
    ToySource source = toy_source(500);
    Log log;
    LsTrainer *trainer = begin(&config, comm, &source, NULL, false, &log);
    ASSERT_OK(ls_trainer_run(trainer));
    size_t bytes = (size_t)trainer->params->total * sizeof(float);
    float *first = ls_alloc(bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    memcpy(first, trainer->params->value, bytes);
    ASSERT_OK(comm->broadcast(comm, first, (int64_t)bytes, 0));
    CU_ASSERT_EQUAL(memcmp(first, trainer->params->value, bytes), 0);
    int wrong = 0;
    for (int64_t i = 0; i < trainer->params->total; i++)
        wrong += trainer->params->shadow[i] != ls_bfloat16_from_float(trainer->params->value[i]).bits;
    CU_ASSERT_EQUAL(wrong, 0);
    ls_free(first);
    ls_trainer_free(trainer);
}

static void test_micro_batches(void)
{
    LsConfig config = toy_config();
    ToySource source = toy_source(500);
    Log whole, parts;
    LsTrainer *trainer = begin(&config, comm, &source, NULL, false, &whole);
    CU_ASSERT_EQUAL(trainer->plan.micro_batches, 1);
    ASSERT_OK(ls_trainer_run(trainer));
    ls_trainer_free(trainer);
    config.train.micro_batch = 2;
    trainer = begin(&config, comm, &source, NULL, false, &parts);
    CU_ASSERT_EQUAL(trainer->plan.micro_batch, comm->size == 4 ? 1 : 2); /* a share of 3 is done one by one */
    ASSERT_OK(ls_trainer_run(trainer));
    ls_trainer_free(trainer);
    share_log(&whole);
    share_log(&parts);
    for (int i = 0; i < 50; i++)
        ASSERT_AT_MOST(relative(parts.loss[i], whole.loss[i]), 1e-5);
}

static void test_batch_that_ranks_do_not_divide(void)
{
    LsConfig config = toy_config();
    config.train.batch = 12 * comm->size + 1;
    ToySource source = toy_source(500);
    LsTrainer *trainer = NULL;
    LsStatus status = ls_trainer_new(&config, comm, &source.source, NULL, NULL, &trainer);
    if (comm->size == 1) {
        CU_ASSERT_EQUAL(status, LS_OK);
        ls_trainer_free(trainer);
        return;
    }
    ASSERT_FAILS(status, LS_USAGE, "cannot be divided among");
    char text[64];
    snprintf(text, sizeof text, "train.batch to %d or %d", 12 * comm->size, 13 * comm->size);
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), text));
    CU_ASSERT_PTR_NULL(trainer);
}

/* A rank that fails alone takes the others with it, none hangs. */
static void test_failing_rank(void)
{
    LsConfig config = toy_config();
    ToySource source = toy_source(500);
    Log log;
    LsTrainer *trainer = begin(&config, comm, &source, NULL, false, &log);
    if (comm->rank == comm->size - 1)
        source.fail_from = 12 * 5;
    ASSERT_FAILS(ls_trainer_run(trainer), LS_DATA, "sample 60 cannot be read");
    CU_ASSERT_EQUAL(trainer->progress.step, 5);
    CU_ASSERT_EQUAL(log.saves, 0);
    ls_trainer_free(trainer);
}

/* A value that is not a number on one rank ends all with its name; nothing is saved. */
static void test_divergence(void)
{
    LsConfig config = toy_config();
    ToySource source = toy_source(500);
    Log log;
    LsTrainer *trainer = begin(&config, comm, &source, NULL, false, &log);
    LsStepResult result;
    for (int i = 0; i < 3; i++)
        ASSERT_OK(ls_trainer_step(trainer, false, &result));
    if (comm->rank == comm->size - 1) {
        int hidden = ls_params_find(trainer->params, "hidden_w");
        CU_ASSERT_FATAL(hidden >= 0);
        trainer->params->value[trainer->params->list[hidden].offset + 5] = NAN;
    }
    ASSERT_FAILS(ls_trainer_run(trainer), LS_DIVERGED, "step 4: the loss is not finite: parameter hidden_w");
    CU_ASSERT_EQUAL(trainer->progress.step, 3);
    CU_ASSERT_EQUAL(log.saves, 0);
    CU_ASSERT_EQUAL(log.rows, 0);
    ls_trainer_free(trainer);
}

/* One rank's flag stops all after a save; going on from there gives the bits of a run that was never stopped. */
static void check_resumed(const LsConfig *with)
{
    LsConfig config = *with;
    ToySource source = toy_source(500);
    Log straight, first, second;
    LsTrainer *whole = begin(&config, comm, &source, NULL, false, &straight);
    ASSERT_OK(ls_trainer_run(whole));
    LsTrainer *stopped = begin(&config, comm, &source, NULL, false, &first);
    if (comm->rank == comm->size - 1)
        first.stop_at = 20;
    ASSERT_FAILS(ls_trainer_run(stopped), LS_STOPPED, "after step 21 of 50");
    CU_ASSERT_EQUAL(first.saves, comm->rank == 0);
    LsTrainer *resumed = begin(&config, comm, &source, NULL, false, &second);
    if (comm->rank == 0) {
        copy_saved(stopped, resumed);
        second.rows = 21;
    }
    ASSERT_OK(ls_trainer_broadcast(resumed));
    ASSERT_OK(ls_trainer_run(resumed));
    CU_ASSERT(same_bits(whole, resumed));
    if (comm->rank == 0)
        for (int i = 0; i < 50; i++)
            CU_ASSERT_EQUAL(i < 21 ? first.loss[i] : second.loss[i], straight.loss[i]);
    ls_trainer_free(whole);
    ls_trainer_free(stopped);
    ls_trainer_free(resumed);
}

static void test_stop_and_resume(void)
{
    LsConfig config = toy_config();
    check_resumed(&config);
}

/* Every optimiser, with an average and a window of outliers: a resumed training is the same to the bit. */
static void test_resumed_optimizers(void)
{
#define OPTIMIZER(name) #name,
    static const char *const names[] = {
#include "config/optimizers.def"
    };
#undef OPTIMIZER
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        LsConfig config = toy_config();
        config.train.optimizer = (char *)(uintptr_t)names[i];
        config.train.average = 0.9;
        config.train.skip_outliers = 1.5;
        config.train.skip_window = 8;
        check_resumed(&config);
    }
}

/* Every optimiser gives the same bits however ranks share its work: what is taken as a whole, by whichever rank. */
static void test_shared_optimizers(void)
{
#define OPTIMIZER(name) #name,
    static const char *const names[] = {
#include "config/optimizers.def"
    };
#undef OPTIMIZER
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        LsConfig config = toy_config();
        config.train.optimizer = (char *)(uintptr_t)names[i];
        config.train.learning_rate = strcmp(names[i], "sgd") == 0         ? 1
                                     : strcmp(names[i], "adafactor") == 0 ? 1e-1
                                                                          : 1e-2;
        config.train.weight_decay = 1e-3; /* SGD adds it to the gradient */
        config.train.average = 0.9;
        config.train.steps = 20;
        config.train.evaluate_every = 5;
        ToySource source = toy_source(500), validation = toy_source(37);
        Log shared, messages;
        LsTrainer *one = begin(&config, comm, &source, &validation, false, &shared);
        ASSERT_OK(ls_trainer_run(one));
        setenv("LOCKSTEP_SHARED", "off", 1);
        LsTrainer *other = begin(&config, comm, &source, &validation, false, &messages);
        unsetenv("LOCKSTEP_SHARED");
        CU_ASSERT_EQUAL(other->sharded, false);
        ASSERT_OK(ls_trainer_run(other));
        CU_ASSERT(same_bits(one, other));
        share_log(&shared);
        CU_ASSERT(shared.loss[19] < 0.9 * shared.loss[0]);
        share_log(&messages);
        CU_ASSERT_EQUAL(shared.validation[19], messages.validation[19]);
        ls_trainer_free(one);
        ls_trainer_free(other);
    }
}

/* Validation is that of the average: the same as of a trainer whose parameters it is. The parameters stay. */
static void test_average(void)
{
    LsConfig config = toy_config();
    config.train.average = 0.75;
    config.train.steps = 12;
    config.train.evaluate_every = 12;
    ToySource source = toy_source(500), validation = toy_source(37);
    Log log, none;
    LsTrainer *t = begin(&config, comm, &source, &validation, false, &log);
    int64_t total = t->params->total;
    float *expected = ls_alloc_array(total, sizeof(float)), *before = ls_alloc_array(total, sizeof(float));
    CU_ASSERT_FATAL(expected && before);
    for (int step = 1; step <= 12; step++) {
        LsStepResult result;
        ASSERT_OK(ls_trainer_step(t, false, &result));
        for (int64_t i = 0; i < total; i++)
            expected[i] = step == 1 ? t->params->value[i] : 0.75f * expected[i] + 0.25f * t->params->value[i];
    }
    for (int64_t i = 0; i < total; i++)
        ASSERT_AT_MOST(fabs((double)(t->average[i] - expected[i])), 12 * 0x1p-23);
    memcpy(before, t->params->value, (size_t)total * sizeof(float));
    LsEvaluation of_average, of_values;
    ASSERT_OK(ls_trainer_evaluate(t, &of_average));
    CU_ASSERT_EQUAL(memcmp(before, t->params->value, (size_t)total * sizeof(float)), 0);
    config.train.average = 0;
    LsTrainer *plain = begin(&config, comm, &source, &validation, false, &none);
    ASSERT_OK(comm->barrier(comm));
    if (!plain->sharded || comm->rank == 0)
        memcpy(plain->params->value, t->average, (size_t)total * sizeof(float));
    ASSERT_OK(comm->barrier(comm));
    ASSERT_OK(ls_trainer_evaluate(plain, &of_values));
    CU_ASSERT_EQUAL(of_average.loss, of_values.loss);
    ls_free(expected);
    ls_free(before);
    ls_trainer_free(t);
    ls_trainer_free(plain);
}

/* A step whose loss stands out leaves everything as it was, but the count. */
static void test_outliers(void)
{
    LsConfig config = toy_config();
    config.train.skip_outliers = 3;
    config.train.skip_window = 16;
    config.train.average = 0.9;
    config.train.schedule = "constant";
    config.train.learning_rate = 1e-3;
    ToySource source = toy_source(500);
    Log log;
    LsStepResult result;
    LsTrainer *t = begin(&config, comm, &source, NULL, false, &log);
    int64_t total = t->params->total;
    float *before = ls_alloc_array(3 * total, sizeof(float));
    CU_ASSERT_PTR_NOT_NULL_FATAL(before);
    for (int step = 0; step < 20; step++)
        ASSERT_OK(ls_trainer_step(t, false, &result));
    int64_t skipped = ls_outliers_skipped(t);
    CU_ASSERT(skipped < 4);
    source.wrong = true; /* targets that nothing has taught */
    float *arrays[] = {t->params->value, t->moment[0].value, t->average};
    for (int i = 0; i < 3; i++)
        memcpy(before + i * total, arrays[i], (size_t)total * sizeof(float));
    ASSERT_OK(comm->barrier(comm));
    ASSERT_OK(ls_trainer_step(t, false, &result));
    CU_ASSERT_EQUAL(ls_outliers_skipped(t), skipped + 1);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(memcmp(before + i * total, arrays[i], (size_t)total * sizeof(float)), 0);
    CU_ASSERT_EQUAL(t->progress.step, 21);
    for (int step = 0; step < 20; step++) /* a level that stays is learnt from */
        ASSERT_OK(ls_trainer_step(t, false, &result));
    CU_ASSERT(ls_outliers_skipped(t) < skipped + 10);
    ls_free(before);
    ls_trainer_free(t);
}

static LsStatus failing_save(void *self, const LsTrainer *trainer)
{
    (void)self, (void)trainer;
    return ls_fail(LS_RESOURCE, "the disk is full");
}

/* By messages alone, without memory that ranks share, and as two nodes of two ranks: the same bits, whatever the
 * buckets. */
static void test_other_ways(void)
{
    static const char *const names[] = {"LOCKSTEP_SHARED", "LOCKSTEP_NODE_RANKS"}, *const values[] = {"off", "2"};
    LsConfig config = toy_config();
    ToySource source = toy_source(500);
    Log alone, log;
    LsTrainer *reference = begin(&config, comm, &source, NULL, false, &alone);
    CU_ASSERT_EQUAL(reference->sharded, comm->size > 1);
    ASSERT_OK(ls_trainer_run(reference));
    for (int way = 0; way < 2; way++) {
        setenv(names[way], values[way], 1);
        config.train.bucket_bytes = way == 0 ? 3000 : 1 << 20;
        LsTrainer *trainer = begin(&config, comm, &source, NULL, false, &log);
        CU_ASSERT_EQUAL(trainer->sharded, way == 1 && comm->size % 2 == 0);
        ASSERT_OK(ls_trainer_run(trainer));
        CU_ASSERT(same_bits(trainer, reference));
        if (comm->rank == 0)
            for (int i = 0; i < 50; i++)
                CU_ASSERT(log.loss[i] == alone.loss[i] && log.norm[i] == alone.norm[i]);
        ls_trainer_free(trainer);
        unsetenv(names[way]);
    }
    ls_trainer_free(reference);
}

/* Gradients that travel in bfloat16: each sum is off by at most 2^-8 of it and of the magnitudes it is made of, which
 * AdamW's division by the root of the mean square mostly takes out again; losses stay within some 2^-8 of those in
 * float, and the ranks agree to the bit. */
static void test_narrow_wire(void)
{
    LsConfig config = toy_config();
    ToySource source = toy_source(500);
    Log wide, narrow;
    setenv("LOCKSTEP_SHARED", "off", 1);
    LsTrainer *reference = begin(&config, comm, &source, NULL, false, &wide);
    ASSERT_OK(ls_trainer_run(reference));
    config.train.wire = "bfloat16";
    LsTrainer *trainer = begin(&config, comm, &source, NULL, false, &narrow);
    ASSERT_OK(ls_trainer_run(trainer));
    unsetenv("LOCKSTEP_SHARED");
    share_log(&wide);
    share_log(&narrow);
    for (int i = 0; i < 50; i++)
        ASSERT_AT_MOST(relative(narrow.loss[i], wide.loss[i]), 2 * 0x1p-8);
    CU_ASSERT_EQUAL(same_bits(trainer, reference), comm->size == 1);
    size_t bytes = (size_t)trainer->params->total * sizeof(float);
    float *first = ls_alloc(bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    memcpy(first, trainer->params->value, bytes);
    ASSERT_OK(comm->broadcast(comm, first, (int64_t)bytes, 0));
    CU_ASSERT_EQUAL(memcmp(first, trainer->params->value, bytes), 0);
    ls_free(first);
    ls_trainer_free(trainer);
    ls_trainer_free(reference);
}

static void test_failing_save(void)
{
    LsConfig config = toy_config();
    config.output.save_every = 7;
    ToySource source = toy_source(500);
    Log log;
    LsTrainer *trainer = begin(&config, comm, &source, NULL, false, &log);
    trainer->hooks.save = failing_save;
    ASSERT_FAILS(ls_trainer_run(trainer), LS_RESOURCE, "step 7: the disk is full");
    CU_ASSERT_EQUAL(trainer->progress.step, 7);
    ls_trainer_free(trainer);
}

static const HarnessTest tests[] = {
    {"the same losses on any number of ranks", test_ranks},
    {"the same on any number of ranks in bfloat16", test_ranks_bfloat16},
    {"ranks agree to the bit", test_ranks_agree},
    {"micro-batches", test_micro_batches},
    {"a batch that ranks do not divide", test_batch_that_ranks_do_not_divide},
    {"a rank that fails", test_failing_rank},
    {"divergence", test_divergence},
    {"stop and resume", test_stop_and_resume},
    {"every optimiser, resumed", test_resumed_optimizers},
    {"every optimiser, shared", test_shared_optimizers},
    {"the average of weights", test_average},
    {"outliers are skipped", test_outliers},
    {"messages alone, and two nodes", test_other_ways},
    {"gradients travel in bfloat16", test_narrow_wire},
    {"a save that fails", test_failing_save},
    {0},
};

int main(int argc, char **argv) { return harness_run_mpi(argc, argv, "train", tests); }
