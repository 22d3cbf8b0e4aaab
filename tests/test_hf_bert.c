/* BERT and Longformer in the layouts of transformers, with each head: small random models are imported, say what
 * transformers says (tests/fixtures/bert_hf.py, longformer_hf.py), and go out as they came in. */
#include "harness.h"
#include "config/config.h"
#include "io/file.h"
#include "store/checkpoint.h"
#include "io/json.h"
#include "store/model_folder.h"
#include "store/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 9, VOCABULARY = 30 };

static const int32_t lengths[B] = {9, 5};

/* Of BERT where the name has no folder. */
static const char *fixture(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/fixtures/%s%s", TESTS_FOLDER, strchr(name, '/') ? "" : "bert-tiny/", name);
    return path;
}

static void set_inputs(LsGraph *g)
{
    int32_t *ids = ls_graph_find(g, "ids")->data;
    LsTensor *types = ls_graph_find(g, "types"), *length = ls_graph_find(g, "length");
    for (int i = 0; i < B * T; i++) {
        int b = i / T, t = i % T;
        ids[i] = (7 * t + t * t + 3 * b) % VOCABULARY;
        if (types)
            ((int32_t *)types->data)[i] = t >= 4;
    }
    memcpy(length->data, lengths, sizeof lengths);
}

/* The output of a graph of these fields, as floats; the caller frees them. */
static float *output_of(const LsStoredModel *model, const char *fields, LsTensor *shape)
{
    LsFields list;
    ASSERT_OK(ls_fields_parse(fields, &list));
    ASSERT_OK(ls_config_set_fields(model->config, &list));
    LsGraph *g = ls_graph_new(model->params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(model->config, g, B, T, LS_WANT_OUTPUT);
    ASSERT_OK(ls_graph_plan(g));
    set_inputs(g);
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    *shape = *ls_graph_find(g, "output");
    float *value = ls_alloc_array(shape->count, sizeof *value);
    ls_tensor_get(g, ls_graph_find(g, "output"), value);
    ls_graph_free(g);
    return value;
}

/* Largest difference from the fixture's tensor, over tokens that are text. */
static double error_of(const char *name, const char *tensor, const LsStoredModel *model, const char *fields)
{
    char path[600];
    LsTensor shape;
    LsSafetensors *file = NULL;
    float *got = output_of(model, fields, &shape);
    snprintf(path, sizeof path, "%s/expected.safetensors", fixture(name));
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &file));
    const LsSafeTensor *t = ls_safetensors_find(file, tensor);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL_FATAL(t->count, shape.count);
    CU_ASSERT_EQUAL(t->rank, shape.rank);
    float *want = ls_alloc_array(t->count, sizeof *want);
    ASSERT_OK(ls_safetensors_read(file, t, want));
    double worst = 0;
    int64_t width = shape.dim[shape.rank - 1];
    for (int64_t i = 0; i < shape.count; i++) {
        int64_t row = i / width;
        if (shape.rank == 3 && row % T >= lengths[row / T])
            continue;
        double d = fabs((double)got[i] - (double)want[i]);
        worst = d <= worst ? worst : d; /* NaN is taken over */
    }
    ls_free(got);
    ls_free(want);
    ls_safetensors_close(file);
    return worst;
}

/* Every tensor of the fixture has the same bits in the other file, under the same name, and there is no other. */
static void compare_tensors(const char *name, const char *folder)
{
    char a[600], b[600];
    LsSafetensors *want = NULL, *have = NULL;
    snprintf(a, sizeof a, "%s/model.safetensors", fixture(name));
    snprintf(b, sizeof b, "%s/model.safetensors", folder);
    ASSERT_OK(ls_safetensors_open(a, LS_DATA, &want));
    ASSERT_OK(ls_safetensors_open(b, LS_DATA, &have));
    CU_ASSERT_EQUAL(want->count, have->count);
    for (int i = 0; i < want->count; i++) {
        const LsSafeTensor *t = &want->list[i], *u = ls_safetensors_find(have, t->name);
        bool same = u && u->rank == t->rank && memcmp(u->dim, t->dim, sizeof *t->dim * (size_t)t->rank) == 0;
        float *x = ls_alloc_array(t->count, sizeof *x), *y = ls_alloc_array(t->count, sizeof *y);
        if (same) {
            ASSERT_OK(ls_safetensors_read(want, t, x));
            ASSERT_OK(ls_safetensors_read(have, u, y));
            same = memcmp(x, y, sizeof *x * (size_t)t->count) == 0;
        }
        if (!same)
            fprintf(stderr, "tensor %s of %s differs\n", t->name, name);
        CU_ASSERT(same);
        ls_free(x);
        ls_free(y);
    }
    ls_safetensors_close(want);
    ls_safetensors_close(have);
}

static void compare_keys(const char *name, const char *folder)
{
    static const char *const keys[] = {
        "architectures",     "model_type",          "vocab_size",        "hidden_size",
        "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
        "type_vocab_size",   "hidden_act",          "id2label",          "label2id",
        "layer_norm_eps",    "attention_window"};
    char path[600];
    json_t *want = NULL, *have = NULL;
    snprintf(path, sizeof path, "%s/config.json", fixture(name));
    ASSERT_OK(ls_json_load(path, LS_DATA, &want));
    snprintf(path, sizeof path, "%s/config.json", folder);
    ASSERT_OK(ls_json_load(path, LS_DATA, &have));
    for (size_t i = 0; i < LS_COUNT_OF(keys); i++) {
        bool same = !json_object_get(want, keys[i]) ||
                    json_equal(json_object_get(want, keys[i]), json_object_get(have, keys[i]));
        if (!same)
            fprintf(stderr, "key %s of %s differs\n", keys[i], name);
        CU_ASSERT(same);
    }
    json_decref(want);
    json_decref(have);
}

/* Imports, compares with transformers at the best and the lowest level, exports, and imports that. */
static void there_and_back(const char *name, const char *task, const char *fields)
{
    char text[64];
    static int serial;
    LsStoredModel model = {0};
    snprintf(text, sizeof text, "run-%d", serial);
    char *run = ls_strdup(harness_path(text));
    snprintf(text, sizeof text, "out-%d", serial++);
    char *out = ls_strdup(harness_path(text));
    ASSERT_OK(ls_model_import(fixture(name), run));
    ASSERT_OK(ls_stored_model_of_run(run, 0, NULL, &model));
    CU_ASSERT_STRING_EQUAL(ls_config_task(model.config)->name, task);
    ASSERT_AT_MOST(error_of(name, "output", &model, fields), 1e-4);
    setenv("LOCKSTEP_ISA", "baseline", 1);
    ASSERT_AT_MOST(error_of(name, "output", &model, fields), 1e-4);
    unsetenv("LOCKSTEP_ISA");
    ls_stored_model_free(&model);
    ASSERT_OK(ls_model_export(run, 0, NULL, out, LS_LAYOUT_OF_MODEL, NULL));
    compare_tensors(name, out);
    compare_keys(name, out);
    ASSERT_OK(ls_stored_model_of_folder(out, NULL, &model));
    ASSERT_AT_MOST(error_of(name, "output", &model, fields), 1e-4);
    ls_stored_model_free(&model);
    ls_free(run);
    ls_free(out);
}

/* A copy of a fixture in which a key of config.json has another value (NULL: none). */
static const char *with_key(const char *name, const char *key, const char *value)
{
    static char folder[512];
    static int serial;
    char text[64], from[600], to[600];
    json_t *keys = NULL;
    snprintf(text, sizeof text, "with-%d", serial++);
    snprintf(folder, sizeof folder, "%s", harness_path(text));
    ASSERT_OK(ls_make_folders(folder));
    snprintf(from, sizeof from, "%s/config.json", fixture(name));
    ASSERT_OK(ls_json_load(from, LS_DATA, &keys));
    if (value)
        json_object_set_new(keys, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(keys, key);
    snprintf(to, sizeof to, "%s/config.json", folder);
    CU_ASSERT_EQUAL(json_dump_file(keys, to, 0), 0);
    json_decref(keys);
    snprintf(from, sizeof from, "%s/model.safetensors", fixture(name));
    snprintf(to, sizeof to, "%s/model.safetensors", folder);
    char *bytes = NULL;
    int64_t count = 0;
    ASSERT_OK(ls_file_read(from, LS_DATA, &bytes, &count));
    ASSERT_OK(ls_file_replace(to, bytes, count));
    ls_free(bytes);
    return folder;
}

static void refused(const char *name, const char *key, const char *value, const char *message)
{
    const char *run = harness_path("refused");
    ASSERT_FAILS(ls_model_import(with_key(name, key, value), run), LS_DATA, message);
    CU_ASSERT_FALSE(ls_file_exists(run));
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void test_masked(void) { there_and_back("masked", "masked_language", "ids T of 30, length int, types T of 2"); }

/* Samples say no types: all tokens are of the first kind. */
static void test_classes(void)
{
    LsStoredModel model = {0};
    there_and_back("classes", "classification", "ids T of 30, length int, label of 3");
    ASSERT_OK(ls_stored_model_of_folder(fixture("classes"), NULL, &model));
    CU_ASSERT_STRING_EQUAL(model.config->data.fields, "ids T of 30, length int, types T of 2, label of 3");
    CU_ASSERT_PTR_NOT_NULL_FATAL(model.info);
    CU_ASSERT_PTR_NOT_NULL(strstr(model.info, "[\"bad\",\"fair\",\"good\"]"));
    ls_stored_model_free(&model);
}

/* A head with a table of its own: tie_word_embeddings is false. */
static void test_untied(void)
{
    LsStoredModel model = {0};
    there_and_back("untied", "masked_language", "ids T of 30, length int, types T of 2");
    ASSERT_OK(ls_stored_model_of_folder(fixture("untied"), NULL, &model));
    CU_ASSERT(ls_params_find(model.params, "head.table") >= 0);
    ls_stored_model_free(&model);
    refused("masked", "tie_word_embeddings", "false", "cls.predictions.decoder.weight (30, 8) is missing");
    /* without that key the table would be a copy of the model's, which it is not */
    refused("untied", "tie_word_embeddings", "true", "cls.predictions.decoder.weight");
    ASSERT_OK(ls_stored_model_of_folder(with_key("tags", "tie_word_embeddings", "false"), NULL, &model));
    ls_stored_model_free(&model); /* which has no such table */
}

/* One label is a number, as transformers takes it, unless problem_type says a class. */
static void test_number(void)
{
    LsStoredModel model = {0};
    there_and_back("number", "regression", "ids T of 30, length int, types T of 2, target 1");
    ASSERT_OK(ls_stored_model_of_folder(fixture("number"), NULL, &model));
    CU_ASSERT_STRING_EQUAL(model.config->data.fields, "ids T of 30, length int, types T of 2, target 1");
    ls_stored_model_free(&model);
    ASSERT_OK(
        ls_stored_model_of_folder(with_key("number", "problem_type", "\"single_label_classification\""), NULL, &model));
    CU_ASSERT_STRING_EQUAL(ls_config_task(model.config)->name, "classification");
    ls_stored_model_free(&model);
    ASSERT_OK(ls_stored_model_of_folder(with_key("classes", "problem_type", "\"regression\""), NULL, &model));
    CU_ASSERT_STRING_EQUAL(model.config->data.fields, "ids T of 30, length int, types T of 2, target 3");
    ls_stored_model_free(&model);
    refused("classes", "problem_type", "\"multi_label_classification\"",
            "key problem_type: \"multi_label_classification\" is not supported");
}

static void test_tags(void) { there_and_back("tags", "tagging", "ids T of 30, length int, types T of 2, tags T of 5"); }

static void set_pool(const LsStoredModel *model, const char *pool)
{
    ASSERT_OK(ls_settings_set(ls_config_task(model->config)->settings, model->config->task_config, "pool", pool));
}

/* Without a head: the vector of each text, or of each token, by the task's setting. */
static void test_bare(void)
{
    LsStoredModel model = {0};
    const char *fields = "ids T of 30, length int, types T of 2";
    there_and_back("bare", "embedding", fields);
    ASSERT_OK(ls_stored_model_of_folder(fixture("pooled"), NULL, &model));
    CU_ASSERT_STRING_EQUAL(ls_config_task(model.config)->name, "embedding");
    ASSERT_AT_MOST(error_of("pooled", "pooled", &model, fields), 1e-4);
    set_pool(&model, "none");
    ASSERT_AT_MOST(error_of("pooled", "output", &model, fields), 1e-4);
    set_pool(&model, "mean");
    LsTensor shape;
    float *mean = output_of(&model, fields, &shape), sum = 0;
    set_pool(&model, "none");
    LsTensor steps_shape;
    float *steps = output_of(&model, fields, &steps_shape);
    for (int t = 0; t < lengths[1]; t++)
        sum += steps[(T + t) * 8 + 3] / (float)lengths[1];
    CU_ASSERT(shape.rank == 2 && fabsf(mean[8 + 3] - sum) < 1e-5f);
    ls_free(mean);
    ls_free(steps);
    LsGraph *g = ls_graph_new(model.params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_config_build(model.config, g, B, T, LS_WANT_LOSS);
    ASSERT_FAILS(ls_graph_plan(g), LS_USAGE, "task.kind embedding has no loss");
    ls_graph_free(g);
    ls_stored_model_free(&model);
}

static void test_pooled(void)
{
    char *run = ls_strdup(harness_path("pooled")), *out = ls_strdup(harness_path("pooled-out"));
    ASSERT_OK(ls_model_import(fixture("pooled"), run));
    ASSERT_OK(ls_model_export(run, 0, NULL, out, LS_LAYOUT_OF_MODEL, NULL));
    compare_tensors("pooled", out);
    compare_keys("pooled", out);
    ls_free(run);
    ls_free(out);
}

static void test_longformer(void)
{
    LsStoredModel model = {0};
    there_and_back("longformer-tiny/masked", "masked_language", "ids T of 30, length int");
    there_and_back("longformer-tiny/classes", "classification", "ids T of 30, length int, label of 3");
    there_and_back("longformer-tiny/tags", "tagging", "ids T of 30, length int, tags T of 5");
    ASSERT_OK(ls_stored_model_of_folder(fixture("longformer-tiny/pooled"), NULL, &model));
    const char *fields = "ids T of 30, length int";
    ASSERT_AT_MOST(error_of("longformer-tiny/pooled", "pooled", &model, fields), 1e-4);
    set_pool(&model, "none");
    ASSERT_AT_MOST(error_of("longformer-tiny/pooled", "output", &model, fields), 1e-4);
    ls_stored_model_free(&model);
}

static void test_refused(void)
{
    refused("masked", "architectures", "[\"BertForPreTraining\"]",
            "key architectures: [\"BertForPreTraining\"] is not known here; of model_type bert are BertForMaskedLM, "
            "BertForSequenceClassification, BertForTokenClassification, BertModel");
    refused("masked", "architectures", NULL, "key architectures: (missing)");
    refused("masked", "architectures", "[\"BertForSequenceClassification\"]",
            "bert.pooler.dense.weight (8, 8) is missing");
    refused("masked", "is_decoder", "true", "key is_decoder: true is not supported");
    refused("masked", "position_embedding_type", "\"relative_key\"", "key position_embedding_type");
    refused("masked", "hidden_act", "\"quick_gelu\"", "key hidden_act: 'quick_gelu' is not supported");
    refused("classes", "id2label", "{\"0\": \"a\", \"1\": \"b\"}",
            "classifier.weight has shape (3, 8), the settings ask for (2, 8)");
    refused("classes", "id2label", "{\"0\": \"a\", \"2\": \"b\"}", "key id2label: has no name for class 1");
    refused("classes", "intermediate_size", "16", "intermediate.dense.weight has shape (12, 8)");
    refused("tags", "num_attention_heads", "3", "not a multiple of model.heads");
}

/* A run of our own goes out: zeros for the kinds that it does not tell apart, 4 x width written out; what cannot be
 * held is said. */
static void export_of(const char *yaml, LsStatus expected, const char *message, const char *out)
{
    LsConfig *config = ls_config_parse("own", yaml, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    LsParams *params = NULL;
    ASSERT_OK(ls_model_params(config, &params));
    char *text = ls_config_yaml(config), *path = ls_strdup(harness_path("own.h5"));
    LsProgress progress = {.step = 1, .best_score = HUGE_VAL, .best_step = -1};
    ASSERT_OK(ls_checkpoint_save(path, params, 0, NULL, &progress, &(LsSavedTexts){.config = text}));
    LsStatus status = ls_model_export(path, 0, NULL, out, LS_LAYOUT_OF_MODEL, NULL);
    CU_ASSERT_EQUAL(status, expected);
    CU_ASSERT(status == LS_OK || strstr(ls_message(), message));
    if (status != expected || (status != LS_OK && !strstr(ls_message(), message)))
        fprintf(stderr, "%s\n", ls_message());
    ls_free(text);
    ls_free(path);
    ls_params_free(params);
    ls_config_free(config);
}

#define OWN "model: {kind: bert, vocabulary: 30, context: 16, layers: 1, heads: 2, width: 8"

static void test_own(void)
{
    char *out = ls_strdup(harness_path("own-out"));
    LsStoredModel model = {0};
    export_of(OWN "}\ntask: {kind: masked_language, epsilon: 1e-5}\n", LS_USAGE, "task.epsilon is 1e-05", out);
    export_of(OWN "}\ntask: {kind: masked_language, transform: false}\n", LS_USAGE, "task.transform is false", out);
    export_of(OWN "}\ntask: {kind: classification}\n", LS_USAGE,
              "model.pool is none; the layout of BertForSequenceClassification holds only first; --native", out);
    export_of(OWN "}\ntask: {kind: regression}\n", LS_USAGE,
              "model.pool is none; the layout of BertForSequenceClassification holds only first; --native", out);
    CU_ASSERT_FALSE(ls_file_exists(out));
    export_of(OWN "}\ntask: {kind: masked_language}\n", LS_OK, NULL, out);
    ASSERT_OK(ls_stored_model_of_folder(out, NULL, &model));
    int types = ls_params_find(model.params, "type_embedding");
    CU_ASSERT_FATAL(types >= 0);
    CU_ASSERT_EQUAL(model.params->list[types].dim[0], 2);
    for (int i = 0; i < 16; i++)
        CU_ASSERT_EQUAL(model.params->value[model.params->list[types].offset + i], 0.0f);
    int64_t hidden = 0;
    CU_ASSERT(ls_config_model_int(model.config, "hidden", &hidden) && hidden == 32);
    ls_stored_model_free(&model);
    ls_free(out);
}

int main(void)
{
    return harness_run("hf_bert", (HarnessTest[]){{"masked language", test_masked},
                                                  {"a head with a table of its own", test_untied},
                                                  {"classes", test_classes},
                                                  {"numbers", test_number},
                                                  {"tags", test_tags},
                                                  {"no head", test_bare},
                                                  {"no head, a vector a text", test_pooled},
                                                  {"Longformer, with each head", test_longformer},
                                                  {"refused", test_refused},
                                                  {"a run of our own", test_own},
                                                  {0}});
}
