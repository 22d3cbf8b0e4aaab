/* GPT-2 folders as they are published: keys that change nothing, files of tied models, wrappers' prefixes, pointers in
 * the place of files; and what a folder says of tokens, which comes out again as it was. */
#include "hf_files.h"

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

static void test_keys_of_nothing(void)
{
    static const char *const keys[][2] = {{"n_special", "0"},
                                          {"predict_special_tokens", "true"},
                                          {"_num_labels", "1"},
                                          {"is_encoder_decoder", "false"},
                                          {"tie_encoder_decoder", "false"},
                                          {"forced_eos_token_id", "3"},
                                          {"xla_device", "true"},
                                          {"whatever_there_is", "false"},
                                          {"something_else", "null"},
                                          {"label2id", "{\"LABEL_0\": 0}"}};
    for (size_t i = 0; i < LS_COUNT_OF(keys); i++) {
        char name[64];
        snprintf(name, sizeof name, "nothing-%d", (int)i);
        Path folder = with_key(GPT2, keys[i][0], keys[i][1]), run = in_tests(name);
        ASSERT_OK(ls_model_import(folder.text, run.text));
    }
    refused(with_key(GPT2, "is_encoder_decoder", "true"), "key is_encoder_decoder is not known");
    refused(with_key(GPT2, "whatever_there_is", "true"), "key whatever_there_is is not known");
    refused(with_key(GPT2, "pruned_heads", "{\"0\": [1]}"), "key pruned_heads is not known");
}

/* Ids of tokens are ids; and null is no number. */
static void test_nonsense(void)
{
    static const char *const wrong[] = {"\"end\"", "-2",         "1.5",     "true",     "{}",
                                        "[]",      "[1, \"2\"]", "[1, -7]", "[1, null]"};
    static const char *const right[] = {"null", "0", "-1", "[1, 2]", "36", "50256"};
    static const char *const keys[] = {"eos_token_id", "bos_token_id", "pad_token_id"};
    char name[64], path[600], text[128];
    for (size_t k = 0; k < LS_COUNT_OF(keys); k++) {
        for (size_t i = 0; i < LS_COUNT_OF(wrong); i++) {
            snprintf(text, sizeof text, "config.json: key %s: ", keys[k]);
            refused(with_key(GPT2, keys[k], wrong[i]), text);
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "is no id of a token"));
        }
        for (size_t i = 0; i < LS_COUNT_OF(right); i++) {
            snprintf(name, sizeof name, "ids-%d-%d", (int)k, (int)i);
            ASSERT_OK(ls_model_import(with_key(GPT2, keys[k], right[i]).text, in_tests(name).text));
        }
    }
    Path folder = with_key(GPT2, "eos_token_id", "3");
    snprintf(path, sizeof path, "%s/generation_config.json", folder.text);
    damage_write(path, "{\"eos_token_id\": \"</s>\"}", 24);
    refused(folder, "generation_config.json: key eos_token_id: \"</s>\" is no id of a token");
    refused(with_key(GPT2, "n_positions", "null"), "has no key n_positions");
    refused(with_key(TESTS_FOLDER "/fixtures/llama-tiny/llama", "max_position_embeddings", "null"),
            "key max_position_embeddings: null where a number belongs; leave the key out for the default");
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

static void test_weights(void)
{
    /* the head alone, of a tied model */
    Path folder = rewritten(GPT2, "transformer.wte.weight", "lm_head.weight", NULL, 0, NULL, NULL),
         run = in_tests("head");
    ASSERT_OK(ls_model_import(folder.text, run.text));
    ASSERT_AT_MOST(logits_error(run.text, GPT2), 1e-5);
    /* but not of an untied one */
    char path[600];
    snprintf(path, sizeof path, "%s/config.json", folder.text);
    json_t *keys = NULL;
    ASSERT_OK(ls_json_load(path, LS_DATA, &keys));
    json_object_set_new(keys, "tie_word_embeddings", json_false());
    CU_ASSERT_EQUAL(json_dump_file(keys, path, 0), 0);
    json_decref(keys);
    refused(folder, "transformer.wte.weight (37, 20) is missing");
    /* a wrapper's prefix */
    refused(rewritten(GPT2, "", "module.", NULL, 0, NULL, NULL),
            "the names of all its tensors begin with 'module.'; save the model without it");
    refused(rewritten(GPT2, "transformer.", "_orig_mod.module.", NULL, 0, NULL, NULL),
            "begin with '_orig_mod.module.'");
    CU_ASSERT_PTR_NULL(strstr(ls_message(), "begin with 'transformer"));
    refused(with_key(GPT2, "n_layer", "1"), "is not a tensor of this model");
    CU_ASSERT_PTR_NULL(strstr(ls_message(), "begin with"));
}

static void test_pointer(void)
{
    static const char text[] = "version https://git-lfs.example/spec/v1\noid sha256:"
                               "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 548105171\n";
    Path folder = with_key(GPT2, "use_cache", "true");
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", folder.text);
    damage_write(path, text, sizeof text - 1);
    refused(folder, "model.safetensors: this is a pointer of git-lfs in the place of the file");
    folder = with_key(GPT2, "use_cache", "true");
    snprintf(path, sizeof path, "%s/tokenizer.json", folder.text);
    damage_write(path, text, sizeof text - 1);
    refused(folder, "tokenizer.json: this is a pointer of git-lfs in the place of the file");
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

static void write_text(Path folder, const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder.text, name);
    damage_write(path, text, (int64_t)strlen(text));
}

/* Both folders have this file, with the same bytes. */
static void same_file(Path one, Path other, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", one.text, name);
    Bytes a = damage_read(path);
    snprintf(path, sizeof path, "%s/%s", other.text, name);
    Bytes b = damage_read(path);
    CU_ASSERT(a.count == b.count && memcmp(a.at, b.at, (size_t)a.count) == 0);
    ls_free(a.at);
    ls_free(b.at);
}

static json_int_t key_of(Path folder, const char *key)
{
    char path[600];
    snprintf(path, sizeof path, "%s/config.json", folder.text);
    json_t *keys = NULL;
    ASSERT_OK(ls_json_load(path, LS_DATA, &keys));
    const json_t *value = json_object_get(keys, key);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    json_decref(keys);
    return number;
}

/* The folder's tokens come out as they went in, twice; the run's tokenizer ends texts where the model does. */
static void tokens_there_and_back(Path folder, const char *name, const char *const *files, int64_t end)
{
    char label[64];
    Path from = folder;
    for (int round = 0; round < 2; round++) {
        snprintf(label, sizeof label, "%s-run-%d", name, round);
        Path run = in_tests(label);
        snprintf(label, sizeof label, "%s-out-%d", name, round);
        Path out = in_tests(label);
        ASSERT_OK(ls_model_import(from.text, run.text));
        LsCheckpoint *checkpoint = NULL;
        ASSERT_OK(ls_checkpoint_newest(run.text, &checkpoint));
        CU_ASSERT_PTR_NOT_NULL_FATAL(checkpoint);
        LsTokenizer *tokenizer = checkpoint->tokenizer ? ls_tokenizer_from_json(checkpoint->tokenizer) : NULL;
        CU_ASSERT_EQUAL(tokenizer ? ls_tokenizer_end(tokenizer) : -1, end);
        ls_tokenizer_free(tokenizer);
        ls_checkpoint_close(checkpoint);
        ASSERT_OK(ls_model_export(run.text, 0, NULL, out.text, LS_LAYOUT_OF_MODEL, NULL));
        for (const char *const *file = files; *file; file++)
            same_file(folder, out, *file);
        CU_ASSERT_EQUAL(key_of(out, "eos_token_id"), key_of(folder, "eos_token_id"));
        CU_ASSERT_EQUAL(key_of(out, "bos_token_id"), key_of(folder, "bos_token_id"));
        CU_ASSERT_EQUAL(key_of(out, "pad_token_id"), key_of(folder, "pad_token_id"));
        from = out;
    }
}

static void test_tokens(void)
{
    static const char vocabulary[] = "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<|endoftext|>\": 3, \"c\": 4}";
    static const char generation[] = "{\n  \"eos_token_id\": [30, 3],\n  \"temperature\": 0.7\n}\n";
    /* ids alone, without a tokenizer */
    Path folder = with_key(GPT2, "eos_token_id", "30");
    write_text(folder, "generation_config.json", generation);
    tokens_there_and_back(folder, "ids", (const char *const[]){"generation_config.json", NULL}, -1);
    /* added tokens, of which the model ends with one */
    folder = with_key(GPT2, "eos_token_id", "30");
    write_text(folder, "vocab.json", vocabulary);
    write_text(folder, "merges.txt", "#version: 0.2\na b\n");
    write_text(folder, "added_tokens.json", "{\n  \"<|im_start|>\": 30\n}\n");
    write_text(folder, "special_tokens_map.json",
               "{\"eos_token\": \"<|im_start|>\", \"bos_token\": \"<|endoftext|>\"}");
    write_text(folder, "tokenizer_config.json", "{\"add_bos_token\": false, \"model_max_length\": 24}");
    tokens_there_and_back(folder, "added",
                          (const char *const[]){"vocab.json", "merges.txt", "added_tokens.json",
                                                "special_tokens_map.json", "tokenizer_config.json", NULL},
                          30);
    /* the vocabulary alone: the model's word counts */
    folder = with_key(GPT2, "eos_token_id", "4");
    write_text(folder, "vocab.json", vocabulary);
    write_text(folder, "merges.txt", "a b\n");
    tokens_there_and_back(folder, "model", (const char *const[]){"vocab.json", "merges.txt", NULL}, 4);
    /* GPT-2's own tokens and nothing else */
    folder = with_key(GPT2, "eos_token_id", "3");
    write_text(folder, "vocab.json", vocabulary);
    write_text(folder, "merges.txt", "a b\n");
    write_text(folder, "tokenizer_config.json", "{\"model_max_length\": 1024}");
    tokens_there_and_back(folder, "plain", (const char *const[]){"tokenizer_config.json", NULL}, 3);
    /* a single file with more ids than the model */
    folder = with_key(GPT2, "eos_token_id", "3");
    write_text(folder, "vocab.json", vocabulary);
    write_text(folder, "merges.txt", "a b\n");
    write_text(folder, "added_tokens.json", "{\"<|im_start|>\": 37}");
    refused(folder, "its tokenizer has 38 tokens, its model 37");
}

int main(void)
{
    return harness_run("published folders", (HarnessTest[]){{"keys that change nothing", test_keys_of_nothing},
                                                            {"ids and numbers that are none", test_nonsense},
                                                            {"tied heads and prefixes", test_weights},
                                                            {"pointers of git-lfs", test_pointer},
                                                            {"tokens in and out", test_tokens},
                                                            {0}});
}
