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

static void test_ranks(void)
{
    int seen = 0;
    for (Listed listed = {0}; listed_next(&listed, ""); seen++) {
        Job alone = open_job(&listed, ls_comm_self(), "float", 0);
        /* statistics of a batch are over the ranks, but not over micro-batches */
        Job all = open_job(&listed, comm, "float", alone.trainer->params->running ? 0 : 1);
        for (int i = 0; i < STEPS; i++) {
            double expected = step(&alone), loss = step(&all);
            if (!(fabs(loss - expected) <= 1e-5 * fabs(expected)))
                fprintf(stderr, "%s: step %d: %.9g on all ranks, %.9g on one\n", listed.name, i + 1, loss, expected);
            CU_ASSERT(fabs(loss - expected) <= 1e-5 * fabs(expected));
        }
        close_job(&alone);
        close_job(&all);
    }
    CU_ASSERT(seen >= 10);
}

/* What the list of a checkpoint's content says is all there is. */
static void test_resume(void)
{
    for (Listed listed = {0}; listed_next(&listed, "");) {
        Job straight = open_job(&listed, comm, "float", 0), resumed = open_job(&listed, comm, "float", 0);
        LsSaved saved[LS_MAX_SAVED];
        step(&straight);
        step(&straight);
        resume_from(resumed.trainer, straight.trainer, saved);
        for (int i = 0; i < 2; i++)
            CU_ASSERT_EQUAL(step(&straight), step(&resumed));
        CU_ASSERT_EQUAL(memcmp(straight.trainer->params->value, resumed.trainer->params->value,
                               (size_t)straight.trainer->params->total * sizeof(float)),
                        0);
        close_job(&straight);
        close_job(&resumed);
    }
}

static void test_bfloat16(void)
{
    for (Listed listed = {0}; listed_next(&listed, "");) {
        Job narrow = open_job(&listed, comm, "bfloat16", 0), wide = open_job(&listed, comm, "float", 0);
        for (int i = 0; i < 2; i++) {
            double loss = step(&narrow), expected = step(&wide);
            if (!(fabs(loss - expected) <= 0.03 * fabs(expected)))
                fprintf(stderr, "%s: step %d: %.9g in bfloat16, %.9g in float\n", listed.name, i + 1, loss, expected);
            CU_ASSERT(fabs(loss - expected) <= 0.03 * fabs(expected));
        }
        close_job(&narrow);
        close_job(&wide);
    }
}

static const HarnessTest tests[] = {{"ranks and micro-batches", test_ranks},
                                    {"going on from what is saved", test_resume},
                                    {"bfloat16 beside float", test_bfloat16},
                                    {0}};

int main(int argc, char **argv) { return harness_run_mpi(argc, argv, "models on ranks", tests); }
