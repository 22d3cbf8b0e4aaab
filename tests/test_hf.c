#include "hf_files.h"

/* Its model.safetensors, or its several files. */
static LsSafetensors *open_tensors(const char *folder)
{
    char path[600];
    LsSafetensors *tensors = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (!ls_file_exists(path))
        snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &tensors));
    return tensors;
}

/* Every tensor of `fixture` is in the exported file with the same bits, and no other. */
static void compare_tensors(const char *fixture, const char *exported)
{
    LsSafetensors *want = open_tensors(fixture), *have = open_tensors(exported);
    CU_ASSERT_EQUAL(want->count, have->count);
    for (int i = 0; i < want->count; i++) {
        const LsSafeTensor *t = &want->list[i], *u = ls_safetensors_find(have, t->name);
        bool same = u && u->rank == t->rank && memcmp(u->dim, t->dim, sizeof(int64_t) * (size_t)t->rank) == 0;
        float *x = ls_alloc_array(t->count, sizeof *x), *y = ls_alloc_array(t->count, sizeof *y);
        if (same) {
            ASSERT_OK(ls_safetensors_read(want, t, x));
            ASSERT_OK(ls_safetensors_read(have, u, y));
            same = memcmp(x, y, sizeof *x * (size_t)t->count) == 0;
        }
        if (!same) {
            fprintf(stderr, "tensor %s of %s differs\n", t->name, fixture);
            CU_FAIL("a tensor differs");
        }
        ls_free(x);
        ls_free(y);
    }
    ls_safetensors_close(want);
    ls_safetensors_close(have);
}

/* Every key of `fixture`'s config.json that a table names has the same value in the exported one. */
static void compare_keys(const char *fixture, const char *exported)
{
    LsHfForm form;
    char path[600];
    json_t *want = NULL, *have = NULL;
    snprintf(path, sizeof path, "%s/config.json", fixture);
    ASSERT_OK(ls_json_load(path, LS_DATA, &want));
    snprintf(path, sizeof path, "%s/config.json", exported);
    ASSERT_OK(ls_json_load(path, LS_DATA, &have));
    CU_ASSERT(json_equal(json_object_get(want, "architectures"), json_object_get(have, "architectures")));
    ASSERT_OK(ls_hf_find(path, have, NULL, &form));
    for (const LsHfKey *key = form.hf->keys; key->key; key++) {
        const json_t *a = ls_hf_member(want, key->key), *b = ls_hf_member(have, key->key);
        if (a && !json_is_null(a) &&
            (!b || (!json_equal(a, b) && !(json_is_number(a) && json_number_value(a) == json_number_value(b))))) {
            fprintf(stderr, "key %s of %s differs\n", key->key, fixture);
            CU_FAIL("a key differs");
        }
    }
    json_decref(want);
    json_decref(have);
}

static void there_and_back(const char *fixture, const char *name)
{
    char again[64];
    Path run = in_tests(name), out;
    snprintf(again, sizeof again, "%s-out", name);
    out = in_tests(again);
    ASSERT_OK(ls_model_import(fixture, run.text));
    ASSERT_AT_MOST(logits_error(run.text, fixture), 1e-5); /* about 100 roundings of 6e-8 */
    ASSERT_OK(ls_model_export(run.text, 0, NULL, out.text, LS_LAYOUT_OF_MODEL, NULL));
    compare_tensors(fixture, out.text);
    compare_keys(fixture, out.text);
    CU_ASSERT_EQUAL(damage_count(out.text, false), 2);
    ASSERT_FAILS(ls_model_import(out.text, run.text), LS_USAGE, "has checkpoints already");
    snprintf(again, sizeof again, "%s-again", name);
    run = in_tests(again);
    ASSERT_OK(ls_model_import(out.text, run.text)); /* our own export can be read */
    ASSERT_AT_MOST(logits_error(run.text, fixture), 1e-5);
}

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

static void test_gpt2(void) { there_and_back(GPT2, "gpt"); }
static void test_mamba(void) { there_and_back(MAMBA, "mamba"); }
static void test_mamba2(void) { there_and_back(MAMBA2, "mamba2"); }

/* Their weights are stored as floats, as float16, and as bfloat16 in several files. */
static void test_llama(void)
{
    static const char *const names[] = {"llama", "llama-biases", "mistral",        "qwen2",
                                        "qwen3", "neox",         "neox-sequential"};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/fixtures/llama-tiny/%s", TESTS_FOLDER, names[i]);
        there_and_back(folder, names[i]);
    }
}

/* No limit above, in the ways in which it is written: a word that is no JSON, an object, numbers that are large. All
 * mean the same. */
static void test_infinity(void)
{
    static const char *const limits[] = {"[0.0, Infinity]", "[0.0, {\"__float__\": \"Infinity\"}]", "[0, 1e30]",
                                         "[0, 1000000000000000019884624838656]"};
    double error[LS_COUNT_OF(limits)];
    for (size_t i = 0; i < LS_COUNT_OF(limits); i++) {
        char name[64], file[600], *at;
        snprintf(name, sizeof name, "infinity-%zu", i);
        Path folder = with_key(MAMBA2, "time_step_limit", "\"HERE\""), run = in_tests(name);
        snprintf(file, sizeof file, "%s/config.json", folder.text);
        Bytes text = damage_read(file);
        char *whole = ls_format("%.*s", (int)text.count, (const char *)text.at);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at = strstr(whole, "\"HERE\""));
        char *changed = ls_format("%.*s%s%s", (int)(at - whole), whole, limits[i], at + 6);
        damage_write(file, (void *)changed, (int64_t)strlen(changed));
        ASSERT_OK(ls_model_import(folder.text, run.text));
        error[i] = logits_error(run.text, MAMBA2);
        CU_ASSERT(error[i] > 1e-3); /* the fixture has limits */
        CU_ASSERT_EQUAL(error[i], error[0]);
        ls_free(text.at);
        ls_free(whole);
        ls_free(changed);
    }
}
static void test_rwkv4(void) { there_and_back(TESTS_FOLDER "/fixtures/rwkv4-tiny", "rwkv4"); }

static void test_keys_refused(void)
{
    refused(with_key(GPT2, "scale_attn_by_inverse_layer_idx", "true"),
            "key scale_attn_by_inverse_layer_idx: true is not supported, only false is");
    refused(with_key(GPT2, "scale_attn_weights", "false"), "key scale_attn_weights");
    refused(with_key(GPT2, "activation_function", "\"quick_gelu\""),
            "key activation_function: 'quick_gelu' is not supported");
    refused(with_key(GPT2, "rope_scaling", "{\"type\": \"linear\"}"), "key rope_scaling is not known");
    refused(with_key(GPT2, "quantization_config", "{\"bits\": 4}"), "key quantization_config is not known");
    refused(with_key(GPT2, "n_layer", NULL), "has no key n_layer");
    refused(with_key(GPT2, "n_layer", "null"), "has no key n_layer");
    refused(with_key(GPT2, "n_layer", "\"two\""), "key n_layer");
    refused(with_key(GPT2, "n_layer", "-1"), "key n_layer");
    refused(with_key(GPT2, "n_layer", "2.5"), "key n_layer");
    refused(with_key(GPT2, "n_layer", "[2]"), "key n_layer");
    refused(with_key(GPT2, "n_head", "7"), "not a multiple of model.heads");
    refused(with_key(GPT2, "embd_pdrop", "0.25"), "keys resid_pdrop and embd_pdrop differ");
    refused(with_key(GPT2, "model_type", "\"opt\""),
            "key model_type: 'opt' is not known here; known are lockstep, gpt2, mamba, mamba2, bert");
    refused(with_key(GPT2, "model_type", NULL), "key model_type");
    refused(with_key(MAMBA, "intermediate_size", "36"), "key intermediate_size: only expand*width = 24 is supported");
    refused(with_key(MAMBA, "hidden_act", "\"gelu\""), "key hidden_act");
    refused(with_key(MAMBA, "time_step_rank", "\"half\""), "key time_step_rank: 'half' is not supported");
    refused(with_key(MAMBA2, "num_heads", "8"), "key num_heads: only expand*width/head_dim = 4 is supported");
    refused(with_key(MAMBA2, "head_dim", "7"), "key num_heads: only expand*width/head_dim = 3 is supported");
    refused(with_key(MAMBA2, "n_groups", "3"), "are not a multiple of model.groups 3");
    refused(with_key(MAMBA2, "rms_norm", "false"), "key rms_norm: false is not supported, only true is");
    refused(with_key(MAMBA2, "hidden_act", "\"gelu\""), "key hidden_act");
    refused(with_key(MAMBA2, "time_step_limit", "[0.1]"), "key time_step_limit: no list of 2");
    refused(with_key(MAMBA2, "time_step_limit", "0.1"), "key time_step_limit: no list of 1");
    refused(with_key(MAMBA2, "time_step_limit", "[0.1, \"NaN\"]"), "key time_step_limit: 'NaN' is not supported");
    refused(with_key(MAMBA2, "time_step_limit", "[2, 1]"), "model.limit_min 2 is above model.limit_max 1");
    refused(with_key(MAMBA2, "attn_layer_idx", "[1]"), "key attn_layer_idx is not known");
}

static void test_keys_accepted(void)
{
    static const struct {
        const char *fixture, *key, *value;
    } cases[] = {{GPT2, "summary_type", "\"other\""},
                 {GPT2, "bos_token_id", "50256"},
                 {GPT2, "rope_scaling", "null"},
                 {GPT2, "pruned_heads", "{}"},
                 {GPT2, "attn_pdrop", "0.3"},
                 {GPT2, "n_inner", "80"},
                 {GPT2, "n_inner", NULL},
                 {GPT2, "layer_norm_epsilon", NULL},
                 {GPT2, "activation_function", NULL},
                 {MAMBA2, "norm_before_gate", "true"},
                 {MAMBA2, "chunk_size", "64"},
                 {MAMBA2, "num_heads", NULL},
                 {MAMBA, "time_step_rank", "3"},
                 {MAMBA, "intermediate_size", NULL}};
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        char name[64];
        snprintf(name, sizeof name, "accepted-%d", (int)i);
        Path folder = with_key(cases[i].fixture, cases[i].key, cases[i].value), run = in_tests(name);
        ASSERT_OK(ls_model_import(folder.text, run.text));
        ASSERT_AT_MOST(logits_error(run.text, cases[i].fixture), 1e-5);
    }
    /* Other settings: other outputs. "auto" is width / 16 rounded up: 1 here, and the file has 3. */
    refused(with_key(MAMBA, "time_step_rank", "\"auto\""),
            "backbone.layers.0.mixer.x_proj.weight has shape (13, 24), the settings ask for (11, 24)");
    Path folder = with_key(GPT2, "activation_function", "\"relu\""), run = in_tests("relu");
    ASSERT_OK(ls_model_import(folder.text, run.text));
    CU_ASSERT(logits_error(run.text, GPT2) > 1e-3);
}

static void test_tensors(void)
{
    float embedding[37 * 20], mask[576] = {0};
    LsSafetensors *from = NULL;
    ASSERT_OK(ls_safetensors_open(GPT2 "/model.safetensors", LS_DATA, &from));
    ASSERT_OK(ls_safetensors_read(from, ls_safetensors_find(from, "transformer.wte.weight"), embedding));
    ls_safetensors_close(from);

    Path run = in_tests("no prefix"), folder = rewritten(GPT2, "transformer.", "", NULL, 0, NULL, NULL);
    ASSERT_OK(ls_model_import(folder.text, run.text)); /* as the first published files are */
    ASSERT_AT_MOST(logits_error(run.text, GPT2), 1e-5);
    run = in_tests("mask");
    folder = rewritten(GPT2, "transformer.", "", "h.1.attn.bias", 4, (int64_t[]){1, 1, 24, 24}, mask);
    ASSERT_OK(ls_model_import(folder.text, run.text));
    run = in_tests("head");
    folder = rewritten(GPT2, NULL, NULL, "lm_head.weight", 2, (int64_t[]){37, 20}, embedding);
    ASSERT_OK(ls_model_import(folder.text, run.text));
    ASSERT_AT_MOST(logits_error(run.text, GPT2), 1e-5);

    embedding[5] += 1;
    refused(rewritten(GPT2, NULL, NULL, "lm_head.weight", 2, (int64_t[]){37, 20}, embedding),
            "tensor lm_head.weight differs from the one that");
    refused(rewritten(GPT2, NULL, NULL, "score.weight", 2, (int64_t[]){2, 20}, embedding),
            "score.weight (2, 20) is not a tensor of this model");
    refused(rewritten(GPT2, NULL, NULL, "transformer.h.2.ln_1.weight", 1, (int64_t[]){20}, embedding),
            "transformer.h.2.ln_1.weight (20) is not a tensor");
    refused(with_key(GPT2, "n_layer", "3"), "transformer.h.2.attn.c_attn.weight (20, 60) is missing");
    refused(with_key(GPT2, "n_layer", "1"), "transformer.h.1.ln_1.weight (20) is not a tensor of this model");
    refused(with_key(GPT2, "vocab_size", "38"),
            "transformer.wte.weight has shape (37, 20), the settings ask for (38, 20)");
    CU_ASSERT_PTR_NULL(strstr(ls_message(), "wpe"));
    refused(with_key(GPT2, "tie_word_embeddings", "false"), "lm_head.weight (37, 20) is missing");
    refused(with_key(MAMBA, "use_bias", "true"), "backbone.layers.0.mixer.in_proj.bias (48) is missing");
}

static void test_files(void)
{
    Path empty = in_tests("empty"), folder = with_key(GPT2, "use_cache", "true");
    char path[600];
    ASSERT_OK(ls_make_folders(empty.text));
    refused(empty, "config.json");
    snprintf(path, sizeof path, "%s/config.json", empty.text);
    damage_write(path, "{\"model_type\": ", 15);
    refused(empty, "not JSON");
    copy_file(GPT2 "/config.json", path);
    refused(empty, "neither model.safetensors nor");
    snprintf(path, sizeof path, "%s/model.safetensors", folder.text);
    Bytes bytes = damage_read(path);
    damage_write(path, bytes.at, bytes.count - 1);
    ls_free(bytes.at);
    refused(folder, "truncated");

    ASSERT_FAILS(ls_model_export(empty.text, 0, NULL, in_tests("none").text, LS_LAYOUT_OF_MODEL, NULL), LS_CHECKPOINT,
                 "has no checkpoint");
    CU_ASSERT_FALSE(ls_file_exists(in_tests("none").text));
}

/* A file without config.json that has tensors of a model which is read and of one which is not. */
static void test_foreign(void)
{
    static const char head[] = "{\"blocks.0.att.time_first\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                               "\"blocks.0.att.ln_x.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}";
    uint64_t length = sizeof head - 1;
    char bytes[sizeof length + sizeof head + 8] = {0}, path[600];
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + sizeof length, head, length);
    Path folder = in_tests("foreign");
    ASSERT_OK(ls_make_folders(folder.text));
    snprintf(path, sizeof path, "%s/model.safetensors", folder.text);
    damage_write(path, bytes, (int64_t)(sizeof length + length + 8));
    refused(folder, "blocks.0.att.ln_x.weight is of RWKV 5.0 or 5.1");
}

/* Settings that the layout cannot hold. */
static void test_export_refused(void)
{
    static const struct {
        const char *yaml, *message;
    } cases[] = {
        {"model: {kind: gpt, vocabulary: 5, context: 4, layers: 1, heads: 1, width: 4, norm: rms}\n",
         "model.norm is rms"},
        {"model: {kind: gpt, vocabulary: 5, context: 4, layers: 1, heads: 1, width: 4, activation: swiglu}\n",
         "model.activation is swiglu"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        Path run = in_tests("expressed"), out = in_tests("expressed-out");
        char *path = ls_checkpoint_path(run.text, 1);
        LsConfig *config = ls_config_parse("test", cases[i].yaml, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        LsParams *params = NULL;
        ASSERT_OK(ls_model_params(config, &params));
        char *yaml = ls_config_yaml(config);
        LsProgress progress = {.step = 1, .best_score = HUGE_VAL, .best_step = -1};
        ASSERT_OK(ls_checkpoint_save(path, params, 0, NULL, &progress, &(LsSavedTexts){.config = yaml}));
        ASSERT_FAILS(ls_model_export(path, 0, NULL, out.text, LS_LAYOUT_OF_MODEL, NULL), LS_USAGE, cases[i].message);
        CU_ASSERT_FALSE(ls_file_exists(out.text));
        ls_free(yaml);
        ls_free(path);
        ls_params_free(params);
        ls_config_free(config);
    }
}

/* A tokenizer travels with the model, both ways; one with more tokens than the model is refused. */
static void test_tokenizer(void)
{
    Path run = in_tests("spoken"), out = in_tests("spoken-out"), again = in_tests("spoken-again");
    char *path = ls_checkpoint_path(run.text, 1), *json = NULL, *text = NULL, *stored = NULL;
    LsConfig *config = ls_config_parse(
        "test", "model: {kind: gpt, vocabulary: 5, context: 4, layers: 1, heads: 1, width: 4}\n", 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    LsParams *params = NULL;
    ASSERT_OK(ls_model_params(config, &params));
    LsTokenizer *tokenizer = ls_tokenizer_new("characters", "abcde", 5, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    json = ls_tokenizer_to_json(tokenizer);
    char *yaml = ls_config_yaml(config);
    LsProgress progress = {.step = 1, .best_score = HUGE_VAL, .best_step = -1};
    ASSERT_OK(ls_checkpoint_save(path, params, 0, NULL, &progress, &(LsSavedTexts){.config = yaml, .tokenizer = json}));
    ASSERT_OK(ls_model_export(run.text, 0, NULL, out.text, LS_LAYOUT_OF_MODEL, NULL));
    ASSERT_OK(ls_model_import(out.text, again.text));
    LsCheckpoint *checkpoint = NULL;
    ASSERT_OK(ls_checkpoint_newest(again.text, &checkpoint));
    CU_ASSERT_PTR_NOT_NULL_FATAL(checkpoint);
    CU_ASSERT_PTR_NOT_NULL_FATAL(checkpoint->tokenizer);
    CU_ASSERT_STRING_EQUAL(checkpoint->tokenizer, json);
    ls_checkpoint_close(checkpoint);

    Path big = with_key(GPT2, "use_cache", "true");
    LsTokenizer *bytes = ls_tokenizer_new("bytes", NULL, 0, NULL);
    ASSERT_OK(ls_tokenizer_write_folder(bytes, big.text));
    refused(big, "its tokenizer has 256 tokens, its model 37");
    ls_tokenizer_free(bytes);
    ls_tokenizer_free(tokenizer);
    ls_free(json);
    ls_free(text);
    ls_free(stored);
    ls_free(yaml);
    ls_free(path);
    ls_params_free(params);
    ls_config_free(config);
}

int main(void)
{
    return harness_run("hf", (HarnessTest[]){{"GPT-2 in and out", test_gpt2},
                                             {"Mamba in and out", test_mamba},
                                             {"Mamba-2 in and out", test_mamba2},
                                             {"limits of Python", test_infinity},
                                             {"Llama and its relatives in and out", test_llama},
                                             {"RWKV-4 in and out", test_rwkv4},
                                             {"keys that are refused", test_keys_refused},
                                             {"keys that may vary or lack", test_keys_accepted},
                                             {"tensors: prefixes, masks, copies, strangers", test_tensors},
                                             {"files missing or damaged", test_files},
                                             {"a foreign model", test_foreign},
                                             {"models that the layout cannot hold", test_export_refused},
                                             {"tokenizers", test_tokenizer},
                                             {0}});
}
