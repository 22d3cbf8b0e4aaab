/* Batches of samples that are about as long as each other (train.length_step): every sample once an epoch, as a
 * function of seed and number, with little padding; graphs as long as a batch needs train as one of all steps does, on
 * any number of ranks, and go on from a checkpoint to the bit. */
#include "harness_mpi.h"
#include "resumed.h"
#include "sample_files.h"

enum { SAMPLES = 1003, BATCH = 12, LONGEST = 11 };

/* 1 .. LONGEST - 1 words. */
static int64_t words_of(int64_t sample)
{
    return 1 + (int64_t)(ls_uniform_at(ls_key(3, "words"), 0, (uint64_t)sample) * (LONGEST - 1));
}

/* Samples of a kind, the first word of each found in no other: a path. */
static char *make_data(const char *kind)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int64_t i = 0; i < SAMPLES; i++) {
        bool columns = strcmp(kind, "columns") == 0, pairs = strcmp(kind, "pairs") == 0;
        if (strcmp(kind, "lines") == 0)
            fprintf(file, "%s\t", i % 2 ? "odd" : "even");
        for (int64_t j = 0; j < words_of(i); j++)
            fprintf(file, j == 0 ? "n%lld" : " w%lld", (long long)(j == 0 ? i : (i + j) % 7)),
                fputs(columns ? i % 3 ? " O\n" : " B-x\n" : "", file);
        for (int64_t j = 0; pairs && j < words_of(i); j++)
            fprintf(file, j == 0 ? "\tv%lld" : " v%lld", (long long)((i + 2 * j) % 7));
        fputc('\n', file);
    }
    fclose(file);
    char *source = write_text("samples.txt", text);
    free(text);
    char *name = ls_format("%s.h5", kind), *path = path_of(name);
    ls_free(name);
    ASSERT_OK(prepare_kind(kind, "validation=0", SOURCES(source), path));
    return path;
}

static LsSource *open_alike(const char *kind, const char *path, int64_t alike)
{
    const LsDataKind *of = ls_data_kind(kind);
    LsSource *source = NULL;
    void *settings = of->use_settings ? ls_alloc(of->use_settings_bytes) : NULL;
    if (settings)
        ASSERT_OK(ls_settings_defaults(of->use_settings, settings));
    ASSERT_OK(of->open(&(LsDataOpen){.path = path, .split = "train", .seed = 5, .alike = alike, .settings = settings},
                       &source));
    if (settings)
        ls_settings_free(of->use_settings, settings);
    ls_free(settings);
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    return source;
}

/* The first id of a sample, which tells it from all others. */
static int32_t first_id(const char *kind, LsSource *source, const Inputs *inputs, int64_t at)
{
    ASSERT_OK(source->fill(source, inputs->g, &(LsBatch){at, 1, 0}));
    const LsTensor *ids = ls_graph_find(inputs->g, strcmp(kind, "pairs") == 0 ? "source" : "ids");
    return *(const int32_t *)ids->data;
}

/* The share of padding in an epoch from place `first` on, as each batch is as long as its longest sample. */
static double padding(LsSource *source, int64_t first)
{
    int64_t all = 0, real = 0, least = source->sequence, most = 0;
    for (int64_t at = first; at + BATCH <= first + SAMPLES; at += BATCH) {
        int64_t longest = source->longest(source, &(LsBatch){at, BATCH, 0});
        all += BATCH * longest;
        for (int64_t i = 0; i < BATCH; i++)
            real += source->longest(source, &(LsBatch){at + i, 1, 0});
        least = longest < least ? longest : least;
        most = longest > most ? longest : most;
    }
    CU_ASSERT(least < most);
    return 1 - (double)real / (double)all;
}

static void check_order(const char *kind)
{
    const char *path = make_data(kind);
    LsSource *source = open_alike(kind, path, BATCH), *plain = open_alike(kind, path, 0);
    Inputs inputs = inputs_new(source, 1, source->sequence), others = inputs_new(plain, 1, plain->sequence);
    int32_t *order = ls_alloc_array(3 * SAMPLES, sizeof *order);
    bool *seen = ls_alloc_array(3 * 4096, sizeof *seen);
    int same = 0;
    for (int64_t at = 0; at < 3 * SAMPLES; at++) {
        int32_t id = order[at] = first_id(kind, source, &inputs, at);
        bool *mark = seen + at / SAMPLES * 4096 + id;
        CU_ASSERT_FATAL(id >= 0 && id < 4096 && !*mark); /* once an epoch */
        *mark = true;
        same += at >= SAMPLES && id == order[at - SAMPLES];
        same += id == first_id(kind, plain, &others, at);
    }
    CU_ASSERT(same < SAMPLES / 20);     /* epochs differ, and from what they are without */
    for (int64_t i = 0; i < 200; i++) { /* in whatever order they are asked for */
        int64_t at = i * 787 % (3 * SAMPLES);
        CU_ASSERT_EQUAL(first_id(kind, source, &inputs, at), order[at]);
    }
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        int64_t first = (epoch * SAMPLES + BATCH - 1) / BATCH * BATCH;
        ASSERT_AT_MOST(padding(source, first), 0.05);
        CU_ASSERT(padding(plain, first) > 0.3);
    }
    inputs_free(&inputs);
    inputs_free(&others);
    ls_free(order);
    ls_free(seen);
    ls_source_free(source);
    ls_source_free(plain);
}

static void test_order(void)
{
    check_order("pairs");
    check_order("lines");
    check_order("columns");
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct Job {
    LsConfig *config;
    LsSource *source;
    LsTrainer *trainer;
} Job;

static Job open_job(const char *path, int length_step, const LsComm *world)
{
    Job job = {NULL};
    LsSource *validation = NULL;
    char *yaml = ls_format("model: {kind: seq2seq, width: 7, attention: additive}\n"
                           "task: {kind: pairs, label_smoothing: 0.1}\n"
                           "data: {kind: pairs, path: %s}\n"
                           "train: {batch: %d, micro_batch: 3, warmup: 0, learning_rate: 1e-2, length_step: %d}\n",
                           path, BATCH, length_step);
    job.config = ls_config_parse("job", yaml, 0, NULL);
    ls_free(yaml);
    CU_ASSERT_PTR_NOT_NULL_FATAL(job.config);
    ASSERT_OK(ls_train_open(job.config, world->size, &job.source, &validation));
    ls_source_free(validation);
    ASSERT_OK(ls_trainer_new(job.config, world, job.source, NULL, NULL, &job.trainer));
    return job;
}

static void close_job(Job *job)
{
    ls_trainer_free(job->trainer);
    ls_source_free(job->source);
    ls_config_free(job->config);
}

static LsStepResult step(Job *job)
{
    LsStepResult result = {0};
    ASSERT_OK(ls_trainer_step(job->trainer, false, &result));
    return result;
}

static void test_training(void)
{
    const char *path = make_data("pairs");
    Job lengths = open_job(path, 2, comm), whole = open_job(path, 2 * LONGEST, comm),
        alone = open_job(path, 2, ls_comm_self()), resumed = open_job(path, 2, comm);
    LsSaved list[LS_MAX_SAVED];
    CU_ASSERT_EQUAL(lengths.trainer->plan.lengths, (LONGEST + 1) / 2);
    CU_ASSERT_EQUAL(whole.trainer->plan.lengths, 1);
    for (int i = 0; i < 24; i++) {
        if (i == 9)
            resume_from(resumed.trainer, lengths.trainer, list);
        LsStepResult a = step(&lengths), b = step(&whole), c = step(&alone);
        CU_ASSERT_EQUAL(a.targets, b.targets);
        CU_ASSERT_EQUAL(a.targets, c.targets);
        ASSERT_AT_MOST(fabs(a.loss - b.loss), 1e-5 * b.loss);
        ASSERT_AT_MOST(fabs(a.loss - c.loss), 1e-5 * c.loss);
        ASSERT_AT_MOST(fabs(a.grad_norm - b.grad_norm), 1e-4 * b.grad_norm);
        if (i >= 9)
            CU_ASSERT_EQUAL(step(&resumed).loss, a.loss);
    }
    /* what the short graphs have saved of the work */
    double done = 24 * lengths.trainer->plan.flops;
    CU_ASSERT(lengths.trainer->times.saved_flops > 0.2 * done && lengths.trainer->times.saved_flops < 0.8 * done);
    CU_ASSERT_EQUAL(whole.trainer->times.saved_flops, 0);
    ASSERT_OK(comm->barrier(comm));
    const LsParams *params = lengths.trainer->params;
    CU_ASSERT(memcmp(params->value, resumed.trainer->params->value, (size_t)params->total * sizeof(float)) == 0);
    ASSERT_OK(comm->barrier(comm));
    close_job(&resumed);
    close_job(&alone);
    close_job(&whole);
    close_job(&lengths);
}

static void test_refused(void)
{
    LsSource *training = NULL, *validation = NULL;
    char *sine = write_text("sine.csv", "value\n1\n2\n3\n4\n5\n6\n7\n8\n9\n8\n7\n6\n"), *path = path_of("sine.h5");
    ASSERT_OK(prepare_kind("series", "columns=value;window=3;horizon=1", SOURCES(sine), path));
    char *yaml = ls_format("model: {kind: rnn}\ntask: {kind: regression}\ndata: {kind: series, path: %s}\n"
                           "train: {batch: 12, length_step: 2}\n",
                           path);
    LsConfig *config = ls_config_parse("job", yaml, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ASSERT_FAILS(ls_train_open(config, comm->size, &training, &validation), LS_USAGE, "have as many steps");
    ls_source_free(training);
    ls_source_free(validation);
    config->train.carry = true;
    ASSERT_FAILS(ls_train_open(config, comm->size, &training, &validation), LS_USAGE, "goes with whole samples");
    ls_config_free(config);
    ls_free(yaml);
}

int main(int argc, char **argv)
{
    return harness_run_mpi(argc, argv, "lengths",
                           (HarnessTest[]){{"an epoch's order", test_order},
                                           {"graphs of several lengths against one", test_training},
                                           {"what does not go together", test_refused},
                                           {0}});
}
