/* config.json of the Llama family as it is published: what its keys become, which of them are refused, and that keys
 * which change nothing do not matter. Weights are those of tests/fixtures/llama-tiny, in test_hf.c and
 * test_hf_models.c. */
#include "harness.h"
#include "config/config.h"
#include "store/hf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LLAMA_3_2_1B                                                                                                   \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0, "              \
    "\"bos_token_id\": 128000, \"eos_token_id\": 128001, \"head_dim\": 64, \"hidden_act\": \"silu\", "                 \
    "\"hidden_size\": 2048, \"initializer_range\": 0.02, \"intermediate_size\": 8192, "                                \
    "\"max_position_embeddings\": 131072, \"mlp_bias\": false, \"model_type\": \"llama\", "                            \
    "\"num_attention_heads\": 32, \"num_hidden_layers\": 16, \"num_key_value_heads\": 8, \"pretraining_tp\": 1, "      \
    "\"rms_norm_eps\": 1e-05, \"rope_scaling\": {\"factor\": 32.0, \"high_freq_factor\": 4.0, "                        \
    "\"low_freq_factor\": 1.0, \"original_max_position_embeddings\": 8192, \"rope_type\": \"llama3\"}, "               \
    "\"rope_theta\": 500000.0, \"tie_word_embeddings\": true, \"torch_dtype\": \"bfloat16\", "                         \
    "\"transformers_version\": \"4.45.0.dev0\", \"use_cache\": true, \"vocab_size\": 128256}"
#define SMOLLM2_135M                                                                                                   \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0, "              \
    "\"bos_token_id\": 0, \"eos_token_id\": 0, \"hidden_act\": \"silu\", \"hidden_size\": 576, "                       \
    "\"initializer_range\": 0.041666666666666664, \"intermediate_size\": 1536, \"is_llama_config\": true, "            \
    "\"max_position_embeddings\": 8192, \"model_type\": \"llama\", \"num_attention_heads\": 9, "                       \
    "\"num_hidden_layers\": 30, \"num_key_value_heads\": 3, \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, "          \
    "\"rope_interleaved\": false, \"rope_scaling\": null, \"rope_theta\": 100000, \"tie_word_embeddings\": true, "     \
    "\"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.40.1\", "                                            \
    "\"transformers.js_config\": {\"kv_cache_dtype\": {\"q4f16\": \"float16\"}}, \"use_cache\": true, "                \
    "\"vocab_size\": 49152}"
#define TINYLLAMA                                                                                                      \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, "                           \
    "\"hidden_act\": \"silu\", \"hidden_size\": 2048, \"initializer_range\": 0.02, \"intermediate_size\": 5632, "      \
    "\"max_position_embeddings\": 2048, \"model_type\": \"llama\", \"num_attention_heads\": 32, "                      \
    "\"num_hidden_layers\": 22, \"num_key_value_heads\": 4, \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, "          \
    "\"rope_scaling\": null, \"tie_word_embeddings\": false, \"torch_dtype\": \"float32\", "                           \
    "\"transformers_version\": \"4.31.0.dev0\", \"use_cache\": true, \"vocab_size\": 32000}"
#define QWEN2_5_05B                                                                                                    \
    "{\"architectures\": [\"Qwen2ForCausalLM\"], \"attention_dropout\": 0.0, \"bos_token_id\": 151643, "               \
    "\"eos_token_id\": 151643, \"hidden_act\": \"silu\", \"hidden_size\": 896, \"initializer_range\": 0.02, "          \
    "\"intermediate_size\": 4864, \"max_position_embeddings\": 32768, \"max_window_layers\": 24, "                     \
    "\"model_type\": \"qwen2\", \"num_attention_heads\": 14, \"num_hidden_layers\": 24, "                              \
    "\"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, \"sliding_window\": 32768, "      \
    "\"tie_word_embeddings\": true, \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.40.1\", "             \
    "\"use_cache\": true, \"use_mrope\": false, \"use_sliding_window\": false, \"vocab_size\": 151936}"
#define QWEN3_06B                                                                                                      \
    "{\"architectures\": [\"Qwen3ForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0, "              \
    "\"bos_token_id\": 151643, \"eos_token_id\": 151645, \"head_dim\": 128, \"hidden_act\": \"silu\", "                \
    "\"hidden_size\": 1024, \"initializer_range\": 0.02, \"intermediate_size\": 3072, "                                \
    "\"max_position_embeddings\": 40960, \"max_window_layers\": 28, \"model_type\": \"qwen3\", "                       \
    "\"num_attention_heads\": 16, \"num_hidden_layers\": 28, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-06, "    \
    "\"rope_scaling\": null, \"rope_theta\": 1000000, \"sliding_window\": null, \"tie_word_embeddings\": true, "       \
    "\"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.51.0\", \"use_cache\": true, "                       \
    "\"use_sliding_window\": false, \"vocab_size\": 151936}"
#define MISTRAL_7B                                                                                                     \
    "{\"architectures\": [\"MistralForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, "                         \
    "\"hidden_act\": \"silu\", \"hidden_size\": 4096, \"initializer_range\": 0.02, \"intermediate_size\": 14336, "     \
    "\"max_position_embeddings\": 32768, \"model_type\": \"mistral\", \"num_attention_heads\": 32, "                   \
    "\"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, "        \
    "\"sliding_window\": 4096, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", "                        \
    "\"transformers_version\": \"4.34.0.dev0\", \"use_cache\": true, \"vocab_size\": 32000}"
#define PYTHIA_70M                                                                                                     \
    "{\"architectures\": [\"GPTNeoXForCausalLM\"], \"bos_token_id\": 0, \"eos_token_id\": 0, "                         \
    "\"hidden_act\": \"gelu\", \"hidden_size\": 512, \"initializer_range\": 0.02, \"intermediate_size\": 2048, "       \
    "\"layer_norm_eps\": 1e-05, \"max_position_embeddings\": 2048, \"model_type\": \"gpt_neox\", "                     \
    "\"num_attention_heads\": 8, \"num_hidden_layers\": 6, \"rotary_emb_base\": 10000, \"rotary_pct\": 0.25, "         \
    "\"tie_word_embeddings\": false, \"torch_dtype\": \"float16\", \"transformers_version\": \"4.24.0\", "             \
    "\"use_cache\": true, \"use_parallel_residual\": true, \"vocab_size\": 50304}"

/* The configuration that these keys stand for, with `key` set to JSON `value` (NULL: removed). NULL with a message. */
static LsConfig *config_of(const char *text, const char *key, const char *value)
{
    json_t *keys = json_loads(text, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(keys);
    if (key && value)
        CU_ASSERT_EQUAL(json_object_set_new(keys, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0)
    else if (key)
        json_object_del(keys, key);
    LsHfForm form;
    LsConfig *config = NULL;
    char *info = NULL;
    LsStatus status = ls_hf_find("folder/config.json", keys, NULL, &form);
    if (status == LS_OK)
        status = ls_hf_config_in("folder/config.json", &form, keys, "runs/here", NULL, &config, &info);
    CU_ASSERT(status == LS_OK || status == LS_DATA);
    CU_ASSERT((status == LS_OK) == (config != NULL));
    ls_free(info);
    json_decref(keys);
    return config;
}

/* The settings that these keys become hold each of "name: value|...". */
static void holds(const char *text, const char *key, const char *value, const char *lines)
{
    LsConfig *config = config_of(text, key, value);
    if (!config)
        fprintf(stderr, "%s = %s: %s\n", key ? key : "", value ? value : "", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    char *yaml = ls_config_yaml(config), line[80];
    for (const char *at = lines; *at; at += strcspn(at, "|"), at += *at == '|') {
        snprintf(line, sizeof line, "\n  %.*s", (int)strcspn(at, "|"), at);
        const char *found = strstr(yaml, line);
        bool whole = found && strchr(" \n", found[strlen(line)]);
        if (!whole)
            fprintf(stderr, "not among the settings:%s\n%s", line, yaml);
        CU_ASSERT(whole);
    }
    ls_free(yaml);
    ls_config_free(config);
}

static void has_parameters(const char *text, int64_t expected)
{
    LsConfig *config = config_of(text, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    LsParams *params = ls_params_new();
    ASSERT_OK(ls_config_declare(config, params));
    int64_t count = 0;
    for (int i = 0; i < params->count; i++)
        count += params->list[i].count;
    CU_ASSERT_EQUAL(count, expected);
    ls_params_free(params);
    ls_config_free(config);
}

static void refused(const char *text, const char *key, const char *value, const char *message)
{
    LsConfig *config = config_of(text, key, value);
    bool said = !config && strstr(ls_message(), message) && strstr(ls_message(), "folder/config.json");
    if (!said)
        fprintf(stderr, "%s = %s: %s\n", key, value ? value : "(missing)", config ? "taken" : ls_message());
    CU_ASSERT(said);
    ls_config_free(config);
}

/* Their sizes are those that are published with them. */
static void test_published(void)
{
    holds(LLAMA_3_2_1B, NULL, NULL,
          "kind: llama|family: llama|context: 131072|head_size: 64|kv_heads: 8|rotary_base: 500000|tied: true|"
          "rotary_scaling: llama3|rotary_factor: 32|rotary_low: 1|rotary_high: 4|rotary_context: 8192|window: 0");
    has_parameters(LLAMA_3_2_1B, 1235814400);
    holds(SMOLLM2_135M, NULL, NULL,
          "family: llama|rotary_scaling: none|rotary_base: 100000|kv_heads: 3|attention_bias: none|head_size: 0");
    has_parameters(SMOLLM2_135M, 134515008);
    holds(TINYLLAMA, NULL, NULL, "rotary_base: 10000|tied: false|epsilon: 1e-05|attention_bias: none|mlp_bias: false");
    has_parameters(TINYLLAMA, 1100048384);
    holds(QWEN2_5_05B, NULL, NULL,
          "family: qwen2|attention_bias: qkv|window: 0|rotary_base: 1000000|qk_norm: false|epsilon: 1e-06");
    has_parameters(QWEN2_5_05B, 494032768);
    holds(QWEN3_06B, NULL, NULL, "family: qwen3|attention_bias: none|window: 0|head_size: 128|qk_norm: true");
    has_parameters(QWEN3_06B, 596049920);
    holds(MISTRAL_7B, NULL, NULL, "family: mistral|window: 4096|attention_bias: none|head_size: 0|kv_heads: 8");
    has_parameters(MISTRAL_7B, 7241732096);
    holds(PYTHIA_70M, NULL, NULL,
          "kind: gpt_neox|rotary_share: 0.25|rotary_base: 10000|parallel: true|activation: gelu|attention_bias: true");
    has_parameters(PYTHIA_70M, 70426624);
}

/* Where a key is missing, transformers' own default of that class counts. */
static void test_defaults(void)
{
    holds(SMOLLM2_135M, "num_key_value_heads", NULL, "kv_heads: 0");
    holds(SMOLLM2_135M, "rms_norm_eps", NULL, "epsilon: 1e-06");
    holds(SMOLLM2_135M, "tie_word_embeddings", NULL, "tied: false");
    holds(SMOLLM2_135M, "head_dim", "null", "head_size: 0");
    holds(QWEN3_06B, "head_dim", NULL, "head_size: 128");
    holds(MISTRAL_7B, "sliding_window", NULL, "window: 4096");
    holds(MISTRAL_7B, "sliding_window", "null", "window: 0");
    holds(MISTRAL_7B, "num_key_value_heads", NULL, "kv_heads: 8");
    holds(PYTHIA_70M, "use_parallel_residual", NULL, "parallel: true");
    holds(PYTHIA_70M, "use_parallel_residual", "false", "parallel: false");
    holds(SMOLLM2_135M, "attention_bias", "true", "attention_bias: all");
    holds(SMOLLM2_135M, "rope_scaling", "{\"type\": \"linear\", \"factor\": 4}",
          "rotary_scaling: linear|rotary_factor: 4");
    holds(SMOLLM2_135M, "rope_scaling", "{\"rope_type\": \"linear\", \"type\": \"linear\", \"factor\": 4.5}",
          "rotary_scaling: linear|rotary_factor: 4.5");
    holds(SMOLLM2_135M, "rope_scaling", "{\"rope_type\": \"default\"}", "rotary_scaling: none");
    /* newer files keep all of it in one object */
    holds(TINYLLAMA, "rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 5000.0}",
          "rotary_scaling: none|rotary_base: 5000");
    holds(QWEN3_06B, "layer_types", "[\"full_attention\", \"full_attention\"]", "window: 0");
}

static void test_refused(void)
{
    refused(SMOLLM2_135M, "rope_scaling", "{\"rope_type\": \"yarn\", \"factor\": 4.0, \"beta_fast\": 32}",
            "key rope_scaling.rope_type: 'yarn' is not supported");
    /* its frequencies depend on how far a text is read at once: those in the cache would have to turn again */
    refused(SMOLLM2_135M, "rope_scaling", "{\"type\": \"dynamic\", \"factor\": 2.0}",
            "key rope_scaling.rope_type: 'dynamic' is not supported");
    refused(SMOLLM2_135M, "rope_scaling", "{\"rope_type\": \"linear\"}", "has no key rope_scaling.factor");
    refused(SMOLLM2_135M, "rope_scaling", "{\"rope_type\": \"linear\", \"type\": \"llama3\", \"factor\": 2.0}",
            "keys rope_scaling.rope_type and rope_scaling.type differ");
    refused(SMOLLM2_135M, "rope_scaling", "{\"rope_type\": \"linear\", \"factor\": 2.0, \"mrope_section\": [1, 2]}",
            "key rope_scaling.mrope_section is not known");
    refused(LLAMA_3_2_1B, "rope_scaling",
            "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 4.0, \"high_freq_factor\": 4.0, "
            "\"original_max_position_embeddings\": 64}",
            "rotary_low 4 is not below model.rotary_high 4");
    refused(SMOLLM2_135M, "rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 5000.0}",
            "keys rope_theta and rope_parameters.rope_theta differ");
    refused(SMOLLM2_135M, "hidden_act", "\"gelu\"", "key hidden_act: \"gelu\" is not supported, only \"silu\" is");
    refused(SMOLLM2_135M, "rope_interleaved", "true", "key rope_interleaved: true is not supported, only false is");
    refused(SMOLLM2_135M, "quantization_config", "{\"bits\": 4}", "key quantization_config is not known");
    refused(SMOLLM2_135M, "num_local_experts", "8", "key num_local_experts is not known");
    refused(SMOLLM2_135M, "num_attention_heads", "7", "not a multiple of model.heads");
    refused(SMOLLM2_135M, "hidden_size", NULL, "has no key hidden_size");
    refused(SMOLLM2_135M, "num_key_value_heads", "2", "not a multiple of model.kv_heads");
    refused(SMOLLM2_135M, "model_type", "\"gemma\"", "key model_type: 'gemma' is not known here");
    refused(QWEN2_5_05B, "use_sliding_window", "true", "key use_sliding_window: true is not supported");
    refused(QWEN3_06B, "layer_types", "[\"full_attention\", \"sliding_attention\"]", "key layer_types");
    refused(QWEN2_5_05B, "rope_scaling", "{\"type\": \"mrope\", \"mrope_section\": [16, 24, 24]}",
            "'mrope' is not supported");
    refused(PYTHIA_70M, "rope_scaling", "{\"type\": \"linear\", \"factor\": 2.0}", "key rope_scaling is not known");
    refused(PYTHIA_70M, "rotary_pct", "0.01", "model.rotary_share 0.01 turns 0 of the 64 channels");
    refused(PYTHIA_70M, "hidden_act", "\"quick_gelu\"", "key hidden_act: 'quick_gelu' is not supported");
}

/* Export refuses settings that no layout has, and picks the right layout for others. */
static void test_export(void)
{
    static const struct {
        const char *settings, *message; /* NULL: it can */
    } cases[] = {
        {"", NULL},
        {"family: mistral, window: 7", NULL},
        {"family: qwen2, attention_bias: qkv", NULL},
        {"family: qwen3, qk_norm: true", NULL},
        {"rotary_scaling: linear, rotary_factor: 2", NULL},
        {"window: 7", "model.window is 7; the layout of LlamaForCausalLM holds only 0"},
        {"family: qwen2", "model.attention_bias is none; the layout of Qwen2ForCausalLM holds only qkv"},
        {"family: mistral, qk_norm: true", "model.qk_norm is true; the layout of MistralForCausalLM holds only false"},
        {"attention_bias: qkv", "model.attention_bias is qkv; the layout of llama has no word for it"},
        {"rotary_scaling: ntk, rotary_factor: 2", "model.rotary_scaling is ntk; the layout of llama has no word"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "model: {kind: llama, vocabulary: 5, context: 4, layers: 1, heads: 1, width: 4%s%s}\n",
                 cases[i].settings[0] ? ", " : "", cases[i].settings);
        LsConfig *config = ls_config_parse("test", text, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        LsHfForm form;
        json_t *keys = NULL;
        LsStatus status = ls_hf_find_for(config, &form);
        if (status == LS_OK)
            status = ls_hf_config_out(&form, config, -1, NULL, &keys);
        if (cases[i].message)
            ASSERT_FAILS(status, LS_USAGE, cases[i].message);
        else
            ASSERT_OK(status);
        json_decref(keys);
        ls_config_free(config);
    }
}

int main(void)
{
    return harness_run("hf_llama", (HarnessTest[]){{"published configurations", test_published},
                                                   {"keys that are missing, or say it otherwise", test_defaults},
                                                   {"keys that are refused", test_refused},
                                                   {"which layout export writes", test_export},
                                                   {0}});
}
