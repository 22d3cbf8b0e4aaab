/* States that go on from step to step (train.carry): windows of one stream, step after step, say what the whole
 * sequence says at once; ranks, micro-batches and a checkpoint in between change nothing. */
#include "config/config.h"
#include "harness_mpi.h"
#include "resumed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VOCABULARY = 13, WINDOW = 8, WINDOWS = 6, STREAMS = 12 };

static int32_t token_at(int64_t stream, int64_t t)
{
    return (int32_t)(ls_uniform_at(ls_key(5, "carry"), (uint64_t)stream, (uint64_t)t) * VOCABULARY);
}

/* Sample n is window n / STREAMS of stream n % STREAMS; of `sequence` tokens, WINDOW or all at once. */
static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    LsTensor *ids = ls_graph_find(g, "ids"), *wanted = ls_graph_find(g, "targets"); /* (B, T) */
    int64_t length = ids->dim[1];
    for (int64_t i = 0; i < ids->count; i++) {
        int64_t sample = (batch->first + i / length) % source->samples;
        int64_t t = sample / STREAMS * length + i % length;
        ((int32_t *)ids->data)[i] = token_at(sample % STREAMS, t);
        ((int32_t *)wanted->data)[i] = token_at(sample % STREAMS, t + 1);
    }
    return LS_OK;
}

static LsSource source_of(int64_t windows)
{
    return (LsSource){
        .samples = windows * STREAMS, .streams = STREAMS, .fields = ls_language_fields(VOCABULARY), .fill = fill};
}

/* One that is recurrent, and one that remembers what its layers were given. */
static const char *const models[] = {"kind: mamba, state: 4", "kind: transformer_xl, memory: 40, heads: 2, dropout: 0"};
enum { MODELS = 2 };

static LsConfig *job(int model, int sequence, int micro_batch, const char *precision, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "model: {%s, vocabulary: %d, layers: 2, width: 12}\n"
             "train: {steps: 100, batch: %d, micro_batch: %d, sequence: %d, warmup: 0, precision: %s, %s}\n",
             models[model], VOCABULARY, STREAMS, micro_batch, sequence, precision, more);
    LsConfig *config = ls_config_parse("job", text, 0, NULL);
    if (!config)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    return config;
}

static LsTrainer *begin(const LsConfig *config, const LsComm *world, LsSource *source)
{
    LsTrainer *trainer = NULL;
    ASSERT_OK(ls_trainer_new(config, world, source, source, NULL, &trainer));
    return trainer;
}

/* So does evaluation, whatever ranks and rows: each time from zero, and with the state of the training untouched. */
static void check_evaluation(LsTrainer *trainer, double loss, double allowed)
{
    for (int time = 0; time < 2; time++) {
        LsEvaluation evaluation;
        ASSERT_OK(ls_trainer_evaluate(trainer, &evaluation));
        CU_ASSERT_EQUAL(evaluation.targets, STREAMS * WINDOW * WINDOWS);
        ASSERT_AT_MOST(fabs(evaluation.loss - loss), allowed * loss);
    }
}

/* With parameters that do not move, the mean over the windows' losses is the whole sequence's. */
static void test_whole(void)
{
    const char *precisions[] = {"float", "bfloat16"};
    for (int i = 0; i < 2 * MODELS; i++) {
        int p = i % 2, model = i / 2;
        LsConfig *config = job(model, WINDOW, 1, precisions[p], "carry: true, learning_rate: 1e-30"),
                 *whole = job(model, WINDOW * WINDOWS, 0, precisions[p], "learning_rate: 1e-30");
        LsSource windows = source_of(WINDOWS), sequences = source_of(1);
        LsTrainer *trainer = begin(config, comm, &windows), *reference = begin(whole, ls_comm_self(), &sequences);
        LsStepResult result, all;
        double sum = 0, first = 0;
        ASSERT_OK(ls_trainer_step(reference, false, &all));
        for (int n = 0; n < 2 * WINDOWS; n++) { /* the second epoch begins with zero again */
            ASSERT_OK(ls_trainer_step(trainer, false, &result));
            sum += result.loss / WINDOWS;
            check_evaluation(trainer, all.loss, p ? 2e-3 : 2e-6);
            first = n == 0 ? result.loss : first;
            if (n == WINDOWS - 1 || n == 2 * WINDOWS - 1) {
                ASSERT_AT_MOST(fabs(sum - all.loss), p ? 2e-3 * all.loss : 2e-6 * all.loss);
                sum = 0;
            }
            if (n == WINDOWS)
                CU_ASSERT_EQUAL(result.loss, first);
        }
        ls_trainer_free(trainer);
        ls_trainer_free(reference);
        ls_config_free(config);
        ls_config_free(whole);
    }
}

/* Saved in the middle of an epoch by its list, and gone on from: the same bits; other ranks and micro-batches: the same
 * to rounding. */
static void resume(int model)
{
    LsConfig *config = job(model, WINDOW, 0, "float", "carry: true, learning_rate: 1e-2"),
             *small = job(model, WINDOW, 1, "float", "carry: true, learning_rate: 1e-2");
    LsSource source = source_of(WINDOWS);
    LsTrainer *straight = begin(config, comm, &source), *resumed = begin(config, comm, &source),
              *alone = begin(small, ls_comm_self(), &source);
    LsSaved saved[LS_MAX_SAVED];
    LsStepResult a, b, c;
    for (int i = 0; i < 4; i++) {
        ASSERT_OK(ls_trainer_step(straight, false, &a));
        ASSERT_OK(ls_trainer_step(alone, false, &c));
        ASSERT_AT_MOST(fabs(a.loss - c.loss), 1e-5);
    }
    int count = resume_from(resumed, straight, saved);
    CU_ASSERT_STRING_EQUAL(saved[count - 1].group, "streams");
    CU_ASSERT(saved[count - 1].rank == 2 && saved[count - 1].dim[0] == STREAMS);
    for (int i = 0; i < 5; i++) {
        ASSERT_OK(ls_trainer_step(straight, false, &a));
        ASSERT_OK(ls_trainer_step(resumed, false, &b));
        CU_ASSERT_EQUAL(a.loss, b.loss);
        CU_ASSERT_EQUAL(a.grad_norm, b.grad_norm);
    }
    ls_trainer_free(straight);
    ls_trainer_free(resumed);
    ls_trainer_free(alone);
    ls_config_free(config);
    ls_config_free(small);
}

static void test_resume(void)
{
    for (int model = 0; model < MODELS; model++)
        resume(model);
}

static void test_refusals(void)
{
    LsTrainer *trainer = NULL;
    LsSource source = source_of(WINDOWS);
    LsConfig *config = job(0, WINDOW, 0, "float", "carry: true, segment: 2");
    ASSERT_FAILS(ls_trainer_new(config, comm, &source, NULL, NULL, &trainer), LS_USAGE, "train.carry goes with whole");
    ls_config_free(config);
    config = ls_config_parse("job",
                             "model: {kind: gpt, vocabulary: 13, layers: 1, width: 8, heads: 1, context: 8}\n"
                             "train: {batch: 12, carry: true}",
                             0, NULL);
    ASSERT_FAILS(ls_trainer_new(config, comm, &source, NULL, NULL, &trainer), LS_USAGE, "needs whole sequences");
    ls_config_free(config);
}

static const HarnessTest tests[] = {{"windows of a stream say what the whole says", test_whole},
                                    {"resumption in the middle of an epoch", test_resume},
                                    {"what cannot be carried", test_refusals},
                                    {0}};

int main(int argc, char **argv) { return harness_run_mpi(argc, argv, "carry", tests); }
