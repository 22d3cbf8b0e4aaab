/* Models of transformers against ours: tiny random ones are imported; logits, loss and the gradients of all
 * parameters must be those that PyTorch computed (tests/fixtures/hf.py, llama_hf.py). */
#include "harness.h"
#include "config/config.h"
#include "store/checkpoint.h"
#include "store/hf_internal.h"
#include "store/model_folder.h"
#include "store/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 256 };

/* The content of tokens.txt. */
typedef struct Tokens {
    int64_t batch, sequence, count, targets_count;
    int32_t ids[MAX_TOKENS], targets[MAX_TOKENS];
    double loss; /* summed over targets */
} Tokens;

typedef struct Imported {
    Tokens tokens;
    LsConfig *config;
    LsParams *params;
    LsSafetensors *expected;
} Imported;

static void read_row(FILE *file, const char *label, int64_t count, int32_t *to)
{
    char word[32];
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "%31s", word), 1);
    CU_ASSERT_STRING_EQUAL_FATAL(word, label);
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(fscanf(file, "%d", &to[i]), 1);
}

static Tokens read_tokens(const char *folder)
{
    Tokens t = {0};
    char path[600];
    snprintf(path, sizeof path, "%s/tokens.txt", folder);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "batch %ld sequence %ld", &t.batch, &t.sequence), 2);
    t.count = t.batch * t.sequence;
    CU_ASSERT_FATAL(t.count > 0 && t.count <= MAX_TOKENS);
    read_row(file, "ids", t.count, t.ids);
    read_row(file, "targets", t.count, t.targets);
    CU_ASSERT_EQUAL_FATAL(fscanf(file, " loss %lf count %ld", &t.loss, &t.targets_count), 2);
    fclose(file);
    return t;
}

static Imported import(const char *fixture)
{
    Imported m = {0};
    char folder[512], path[600], run[64];
    LsCheckpoint *checkpoint = NULL;
    static int serial;
    snprintf(folder, sizeof folder, "%s/fixtures/%s", TESTS_FOLDER, fixture);
    m.tokens = read_tokens(folder);
    snprintf(run, sizeof run, "run-%d", serial++);
    const char *run_path = harness_path(run);
    ASSERT_OK(ls_model_import(folder, run_path));
    ASSERT_OK(ls_checkpoint_newest(run_path, &checkpoint));
    CU_ASSERT_PTR_NOT_NULL_FATAL(checkpoint);
    m.config = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m.config);

    /* parameters are declared by a first graph, then filled from the file */
    m.params = ls_params_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(m.params);
    LsGraph *g = ls_graph_new(m.params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(m.config, g, m.tokens.batch, m.tokens.sequence, LS_WANT_LOSS);
    ASSERT_OK(ls_graph_plan_dry(g));
    ls_graph_free(g);
    ASSERT_OK(ls_params_allocate(m.params, 0, true));
    ASSERT_OK(ls_checkpoint_read(checkpoint, m.params, 0, NULL));

    snprintf(path, sizeof path, "%s/expected.safetensors", folder);
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &m.expected));
    ls_checkpoint_close(checkpoint);
    return m;
}

static void drop(Imported *m)
{
    ls_params_free(m->params);
    ls_config_free(m->config);
    ls_safetensors_close(m->expected);
}

static LsGraph *build(Imported *m, LsMode mode, LsWant want)
{
    LsGraph *g = ls_graph_new(m->params, &(LsGraphOptions){.mode = mode});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(m->config, g, m->tokens.batch, m->tokens.sequence, want);
    ASSERT_OK(ls_graph_plan(g));
    ls_graph_refresh(g);
    memcpy(ls_graph_find(g, "ids")->data, m->tokens.ids, sizeof(int32_t) * (size_t)m->tokens.count);
    return g;
}

static float *read_expected(const Imported *m, const char *name, int64_t count)
{
    const LsSafeTensor *tensor = ls_safetensors_find(m->expected, name);
    if (!tensor)
        fprintf(stderr, "expected.safetensors has no %s\n", name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tensor);
    CU_ASSERT_EQUAL_FATAL(tensor->count, count);
    float *values = ls_alloc_array(count, sizeof *values);
    CU_ASSERT_PTR_NOT_NULL_FATAL(values);
    ASSERT_OK(ls_safetensors_read(m->expected, tensor, values));
    return values;
}

/* Largest difference over the largest magnitude. NaN stays NaN and fails every bound. */
static double relative(const float *ours, const float *theirs, int64_t count)
{
    double difference = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)ours[i] - (double)theirs[i]);
        difference = d > difference || isnan(d) ? d : difference;
        largest = fmax(largest, fabs((double)theirs[i]));
    }
    return difference / largest;
}

static void check_logits(Imported *m)
{
    LsGraph *g = build(m, LS_EVAL, LS_WANT_OUTPUT);
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    const LsTensor *output = ls_graph_find(g, "output");
    float *ours = ls_alloc_array(output->count, sizeof *ours), *theirs = read_expected(m, "logits", output->count);
    ls_tensor_get(g, output, ours);
    ASSERT_AT_MOST(relative(ours, theirs, output->count), 1e-4);
    ls_free(ours);
    ls_free(theirs);
    ls_graph_free(g);
}

/* The gradients, written as parameters are exported: every one has its place in their file, and its numbers. */
static void compare_gradients(Imported *m)
{
    LsHfForm form;
    LsSafetensors *ours = NULL;
    const char *path = harness_path("gradients.safetensors");
    float *value = m->params->value;
    ASSERT_OK(ls_hf_find_for(m->config, &form));
    m->params->value = m->params->grad;
    ASSERT_OK(ls_hf_tensors_out(&form, m->config->model_config, m->params, path));
    m->params->value = value;
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &ours));
    CU_ASSERT(ours->count >= m->params->count);
    CU_ASSERT_EQUAL(ours->count, m->expected->count - 1); /* and the logits */
    for (int i = 0; i < ours->count; i++) {
        const LsSafeTensor *tensor = &ours->list[i];
        char name[200];
        snprintf(name, sizeof name, "grad.%s", tensor->name);
        float *expected = read_expected(m, name, tensor->count), *got = ls_alloc_array(tensor->count, sizeof *got);
        ASSERT_OK(ls_safetensors_read(ours, tensor, got));
        double error = relative(got, expected, tensor->count);
        if (!(error <= 1e-3))
            fprintf(stderr, "gradient of %s: off by %g of its largest\n", tensor->name, error);
        CU_ASSERT(error <= 1e-3);
        ls_free(expected);
        ls_free(got);
    }
    ls_safetensors_close(ours);
}

static void check_gradients(Imported *m)
{
    LsGraph *g = build(m, LS_TRAIN, LS_WANT_LOSS);
    memcpy(ls_graph_find(g, "targets")->data, m->tokens.targets, sizeof(int32_t) * (size_t)m->tokens.count);
    LsRun run = {.training = true, .comm = ls_comm_self()};
    ASSERT_OK(ls_graph_forward(g, &run));
    float loss;
    ls_tensor_get(g, ls_graph_find(g, "loss"), &loss);
    ASSERT_AT_MOST(fabs((double)loss - m->tokens.loss) / m->tokens.loss, 1e-5);
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));

    compare_gradients(m);
    ls_graph_free(g);
}

static void check_model(const char *fixture, const char *kind)
{
    Imported m = import(fixture);
    CU_ASSERT_STRING_EQUAL(m.config->model->name, kind);
    check_logits(&m);
    check_gradients(&m);
    setenv("LOCKSTEP_ISA", "baseline", 1); /* the slowest build says the same */
    check_logits(&m);
    check_gradients(&m);
    unsetenv("LOCKSTEP_ISA");
    drop(&m);
}

static void test_gpt2(void) { check_model("gpt2-tiny", "gpt"); }
static void test_mamba(void) { check_model("mamba-tiny", "mamba"); }

static void test_mamba2(void) { check_model("mamba2-tiny", "mamba2"); }

static void test_llama(void)
{
    check_model("llama-tiny/llama", "llama");
    check_model("llama-tiny/llama-biases", "llama");
}
static void test_relatives(void)
{
    check_model("llama-tiny/mistral", "llama");
    check_model("llama-tiny/qwen2", "llama");
    check_model("llama-tiny/qwen3", "llama");
}
static void test_neox(void)
{
    check_model("llama-tiny/neox", "gpt_neox");
    check_model("llama-tiny/neox-sequential", "gpt_neox");
}

/* Expected numbers are of tests/fixtures/rwkv.py: the papers' formulas in PyTorch. */
static void test_rwkv4(void) { check_model("rwkv4-tiny", "rwkv4"); }
static void test_rwkv5(void) { check_model("rwkv5-tiny", "rwkv5"); }
static void test_rwkv6(void) { check_model("rwkv6-tiny", "rwkv6"); }
static void test_rwkv7(void) { check_model("rwkv7-tiny", "rwkv7"); }

/* The author's names, without config.json, are the same model. */
static void test_rwkv4_author(void)
{
    Imported m = import("rwkv4-author");
    CU_ASSERT_STRING_EQUAL(m.config->model->name, "rwkv4");
    check_logits(&m);
    drop(&m);
}

int main(void)
{
    return harness_run("hf_models", (HarnessTest[]){{"GPT-2", test_gpt2},
                                                    {"Mamba", test_mamba},
                                                    {"Mamba-2", test_mamba2},
                                                    {"Llama", test_llama},
                                                    {"Mistral, Qwen 2 and 3", test_relatives},
                                                    {"GPT-NeoX", test_neox},
                                                    {"RWKV-4", test_rwkv4},
                                                    {"RWKV-4 under the author's names", test_rwkv4_author},
                                                    {"RWKV-5", test_rwkv5},
                                                    {"RWKV-6", test_rwkv6},
                                                    {"RWKV-7", test_rwkv7},
                                                    {0}});
}
