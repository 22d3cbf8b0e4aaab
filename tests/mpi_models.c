/* Every model of the list with every task that fits it, tiny: a few training steps on all ranks and in micro-batches
 * against one rank; going on from what a checkpoint holds, to the bit; bfloat16 beside float. */
#include "harness_mpi.h"
#include "models_list.h"
#include "resumed.h"

#include <math.h>

enum { STEPS = 4, BATCH = 12, SEQUENCE = 7 };

#define TRAIN                                                                                                          \
    "train: {steps: 4, batch: 12, sequence: 7, learning_rate: 1e-3, warmup: 0, precision: %s, micro_batch: %d}\n"

typedef struct Job {
    LsConfig *config;
    LsSource *source;
    LsTrainer *trainer;
} Job;

/* The listed combination again, since every trainer needs a configuration of its own. */
static Job open_job(const Listed *listed, const LsComm *world, const char *precision, int micro_batch)
{
    Job job = {0};
    char more[256];
    snprintf(more, sizeof more, TRAIN, precision, micro_batch);
    job.config = listed_config(listed->model, listed->variant, listed->task, more);
    ASSERT_OK(ls_train_open_synthetic(job.config, LISTED_VOCABULARY, &job.source));
    ASSERT_OK(ls_trainer_new(job.config, world, job.source, NULL, NULL, &job.trainer));
    return job;
}

static void close_job(Job *job)
{
    ls_trainer_free(job->trainer);
    ls_source_free(job->source);
    ls_config_free(job->config);
}

static double step(Job *job)
{
    LsStepResult result = {0};
    ASSERT_OK(ls_trainer_step(job->trainer, false, &result));
    return result.loss;
}

static void expect_close(const Listed *listed, const char *what, int at, double loss, double expected, double allowed)
{
    if (!(fabs(loss - expected) <= allowed * fabs(expected)))
        fprintf(stderr, "%s: step %d: %.9g %s, %.9g alone in float\n", listed->name, at, loss, what, expected);
    CU_ASSERT(fabs(loss - expected) <= allowed * fabs(expected));
}

/* One training of each: all ranks in micro-batches beside one rank with everything at once, bfloat16 beside both, and
 * half-way another trainer that goes on from what is saved. What the list of a checkpoint's content says is all there
 * is. */
static void check_trainings(const Listed *listed)
{
    Job alone = open_job(listed, ls_comm_self(), "float", 0), narrow = open_job(listed, comm, "bfloat16", 0);
    /* statistics of a batch are over the ranks, but not over micro-batches */
    int micro_batch = alone.trainer->params->running ? 0 : 1;
    Job all = open_job(listed, comm, "float", micro_batch), resumed = open_job(listed, comm, "float", micro_batch);
    LsSaved saved[LS_MAX_SAVED];
    for (int i = 0; i < STEPS; i++) {
        double expected = step(&alone), loss = step(&all);
        expect_close(listed, "on all ranks", i + 1, loss, expected, 1e-5);
        if (i < STEPS / 2)
            expect_close(listed, "in bfloat16", i + 1, step(&narrow), expected, 0.03);
        else
            CU_ASSERT_EQUAL(loss, step(&resumed));
        if (i == STEPS / 2 - 1)
            resume_from(resumed.trainer, all.trainer, saved);
    }
    CU_ASSERT_EQUAL(memcmp(all.trainer->params->value, resumed.trainer->params->value,
                           (size_t)all.trainer->params->total * sizeof(float)),
                    0);
    close_job(&alone);
    close_job(&narrow);
    close_job(&all);
    close_job(&resumed);
}

#ifndef ALL_COMBINATIONS /* mpi_models_long.c: on any number of ranks */
#define ALL_COMBINATIONS false
#endif

/* On several ranks every task with a model's first variant, and every other variant with the first task that fits it: a
 * head goes over the ranks in the same way whatever variant it stands on. */
static void test_trainings(void)
{
    int seen = 0, variant = -1;
    const LsModel *model = NULL;
    for (Listed listed = {0}; listed_next(&listed, "");) {
        bool first_task = listed.variant != variant || listed.model != model;
        variant = listed.variant, model = listed.model;
        if (!ALL_COMBINATIONS && comm->size > 1 && variant > 0 && !first_task)
            continue;
        check_trainings(&listed);
        seen++;
    }
    CU_ASSERT(seen >= 10);
}

static const HarnessTest tests[] = {{"ranks and micro-batches, bfloat16, going on", test_trainings}, {0}};

int main(int argc, char **argv) { return harness_run_mpi(argc, argv, "models on ranks", tests); }
