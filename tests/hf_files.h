/* Shared by the tests of the Hugging Face layout: folders made from fixtures, and the outputs of their models. */
#ifndef HF_FILES_H
#define HF_FILES_H

#include "damage.h"
#include "config/config.h"
#include "data/tokenizer.h"
#include "store/checkpoint.h"
#include "store/model_folder.h"
#include "store/hf_internal.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define GPT2 TESTS_FOLDER "/fixtures/gpt2-tiny"
#define MAMBA TESTS_FOLDER "/fixtures/mamba-tiny"
#define MAMBA2 TESTS_FOLDER "/fixtures/mamba2-tiny"

/* ---- Helpers ---------------------------------------------------------------------------------------------------- */

typedef struct Path {
    char text[512];
} Path;

static inline Path in_tests(const char *name)
{
    Path path;
    snprintf(path.text, sizeof path.text, "%s", harness_path(name));
    return path;
}

static inline void copy_file(const char *from, const char *to)
{
    Bytes bytes = damage_read(from);
    damage_write(to, bytes.at, bytes.count);
    ls_free(bytes.at);
}

/* A copy of a fixture in which `key` of config.json has this value (JSON; NULL: it is removed). */
static inline Path with_key(const char *fixture, const char *key, const char *value)
{
    static int serial;
    char name[64], file[600], source[600];
    snprintf(name, sizeof name, "with-%d", serial++);
    Path folder = in_tests(name);
    ASSERT_OK(ls_make_folders(folder.text));
    snprintf(source, sizeof source, "%s/config.json", fixture);
    json_t *keys = NULL;
    ASSERT_OK(ls_json_load(source, LS_DATA, &keys));
    if (value)
        CU_ASSERT_EQUAL(json_object_set_new(keys, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0)
    else
        json_object_del(keys, key);
    snprintf(file, sizeof file, "%s/config.json", folder.text);
    CU_ASSERT_EQUAL(json_dump_file(keys, file, 0), 0);
    json_decref(keys);
    snprintf(source, sizeof source, "%s/model.safetensors", fixture);
    snprintf(file, sizeof file, "%s/model.safetensors", folder.text);
    copy_file(source, file);
    return folder;
}

/* The run's configuration and parameters. */
static inline LsConfig *load_run(const char *run, LsParams **params)
{
    LsCheckpoint *checkpoint = NULL;
    ASSERT_OK(ls_checkpoint_newest(run, &checkpoint));
    CU_ASSERT_PTR_NOT_NULL_FATAL(checkpoint);
    CU_ASSERT(checkpoint->progress.step == 0 && checkpoint->progress.best_step == -1);
    LsConfig *config = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_STRING_EQUAL(config->output.path, run);
    ASSERT_OK(ls_model_params(config, params));
    ASSERT_OK(ls_checkpoint_read(checkpoint, *params, 0, NULL));
    ls_checkpoint_close(checkpoint);
    return config;
}

/* The largest difference between this run's logits of the fixture's tokens and the expected ones, relative to their
 * largest. */
static inline double logits_error(const char *run, const char *fixture)
{
    char path[600];
    int batch = 0, sequence = 0, read = 0;
    LsParams *params = NULL;
    LsConfig *config = load_run(run, &params);
    snprintf(path, sizeof path, "%s/tokens.txt", fixture);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "batch %d sequence %d ids", &batch, &sequence), 2);
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_config_build(config, g, batch, sequence, LS_WANT_OUTPUT);
    ASSERT_OK(ls_graph_plan(g));
    int32_t *ids = ls_graph_find(g, "ids")->data;
    for (int i = 0; i < batch * sequence; i++)
        read += fscanf(file, "%d", &ids[i]);
    CU_ASSERT_EQUAL(read, batch * sequence);
    fclose(file);
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    const LsTensor *output = ls_graph_find(g, "output");
    snprintf(path, sizeof path, "%s/expected.safetensors", fixture);
    LsSafetensors *expected = NULL;
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &expected));
    const LsSafeTensor *logits = ls_safetensors_find(expected, "logits");
    CU_ASSERT_FATAL(logits && logits->count == output->count);
    float *want = ls_alloc_array(logits->count, sizeof *want), *got = ls_alloc_array(logits->count, sizeof *got);
    ASSERT_OK(ls_safetensors_read(expected, logits, want));
    ls_tensor_get(g, output, got);
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < logits->count; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        worst = error <= worst ? worst : error; /* NaN stays */
        largest = fmax(largest, fabs((double)want[i]));
    }
    ls_free(want);
    ls_free(got);
    ls_safetensors_close(expected);
    ls_graph_free(g);
    ls_params_free(params);
    ls_config_free(config);
    return worst / largest;
}

/* Writes the fixture's tensors to folder/model.safetensors: names that begin with `from` (NULL: none) begin with `to`
 * instead, and one may be added at the end. */
typedef struct Rewrite {
    const LsSafetensors *from;
    float *values;
    const float *extra;
} Rewrite;

static inline const float *give(void *self, int i)
{
    Rewrite *r = self;
    if (i == r->from->count)
        return r->extra;
    return ls_safetensors_read(r->from, &r->from->list[i], r->values) == LS_OK ? r->values : NULL;
}

static inline Path rewritten(const char *fixture, const char *from_start, const char *to_start, const char *extra_name,
                             int extra_rank, const int64_t *extra_dim, const float *extra)
{
    Path folder = with_key(fixture, "use_cache", "true");
    char path[600];
    LsSafetensors *from = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors", fixture);
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &from));
    LsSafeOut list[64] = {0};
    CU_ASSERT_FATAL(from->count < 63);
    float values[20000];
    char name[64][96];
    for (int i = 0; i < from->count; i++) {
        const LsSafeTensor *t = &from->list[i];
        bool renamed = from_start && strncmp(t->name, from_start, strlen(from_start)) == 0;
        snprintf(name[i], sizeof name[i], "%s%s", renamed ? to_start : "",
                 t->name + (renamed ? strlen(from_start) : 0));
        list[i] = (LsSafeOut){.name = name[i], .rank = t->rank};
        memcpy(list[i].dim, t->dim, sizeof t->dim);
        CU_ASSERT_FATAL(t->count <= 20000);
    }
    int count = from->count;
    if (extra_name) {
        list[count] = (LsSafeOut){.name = extra_name, .rank = extra_rank};
        memcpy(list[count++].dim, extra_dim, sizeof(int64_t) * (size_t)extra_rank);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder.text);
    ASSERT_OK(ls_safetensors_write(path, count, list, give, &(Rewrite){from, values, extra}));
    ls_safetensors_close(from);
    return folder;
}

static inline void refused(Path folder, const char *message)
{
    Path run = in_tests("refused");
    ASSERT_FAILS(ls_model_import(folder.text, run.text), LS_DATA, message);
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), folder.text));
    CU_ASSERT_FALSE(ls_file_exists(run.text)); /* nothing half-written */
}

#endif
