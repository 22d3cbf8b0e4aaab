/* Keys of config.json: which are known, which change nothing, which may only have one value. */
#include "store/hf_internal.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* Keys of every model that say nothing about what it computes: names, versions, special tokens, how texts are sampled,
 * training and labels of other tasks, and what published files of older versions carry along. */
static const char common_keys[] =
    "architectures|model_type|transformers_version|transformers.js_config|torch_dtype|dtype|_name_or_path|_commit_hash|"
    "_attn_implementation*|"
    "auto_map|"
    "bos_token_id|eos_token_id|pad_token_id|sep_token_id|unk_token_id|decoder_start_token_id|tokenizer_class|prefix|"
    "use_cache|output_attentions|output_hidden_states|output_scores|return_dict|return_dict_in_generate|torchscript|"
    "use_bfloat16|"
    "gradient_checkpointing|chunk_size_feed_forward|is_decoder|id2label|label2id|num_labels|problem_type|finetuning_"
    "task|"
    "max_length|min_length|do_sample|early_stopping|num_beams|temperature|top_k|top_p|typical_p|repetition_penalty|"
    "length_penalty|"
    "no_repeat_ngram_size|num_return_sequences|num_beam_groups|diversity_penalty|encoder_no_repeat_ngram_size|bad_"
    "words_ids|"
    "exponential_decay_length_penalty|suppress_tokens|begin_suppress_tokens|forced_bos_token_id|forced_eos_token_id|"
    "mask_token_id|cls_token_id|max_new_tokens|_num_labels|n_special|predict_special_tokens|xla_device|output_past";

bool ls_hf_is_listed(const char *list, const char *name)
{
    char pattern[128];
    for (const char *at = list; at && *at;) {
        size_t length = strcspn(at, "|");
        if (length < sizeof pattern) {
            memcpy(pattern, at, length);
            pattern[length] = '\0';
            if (fnmatch(pattern, name, 0) == 0)
                return true;
        }
        at += length + (at[length] == '|');
    }
    return false;
}

/* Whether an unknown key's value is off or empty: such a key changes nothing in a model that does not have it. */
static bool says_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) || (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

LsStatus ls_hf_parse_table(const LsHf *hf, const char *text, json_t **object)
{
    text = text ? text : "{}";
    return ls_json_parse(hf->model_type, LS_ERROR, text, (int64_t)strlen(text), object);
}

static bool is_element(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

/* Whether a value is the one wanted, or in the list wanted, or a list whose elements are all in it. */
static bool is_only(const json_t *only, const json_t *value)
{
    if (!json_is_array(only))
        return json_equal(only, value);
    if (!json_is_array(value))
        return is_element(only, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!is_element(only, json_array_get(value, i)))
            return false;
    return true;
}

LsStatus ls_hf_check_keys(const char *path, const LsHf *hf, const json_t *keys)
{
    json_t *fixed = NULL, *written = NULL, *more = NULL;
    const char *name;
    json_t *value;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_hf_parse_table(hf, hf->fixed, &fixed));
    LS_TRY_CLEANUP(ls_hf_parse_table(hf, hf->written, &written));
    LS_TRY_CLEANUP(ls_hf_parse_table(hf, hf->only, &more));
    if (json_object_update(fixed, more) != 0)
        LS_TRY_CLEANUP(ls_fail(LS_RESOURCE, "out of memory for the keys of %s", path));
    json_object_foreach((json_t *)keys, name, value)
    {
        const json_t *only = json_object_get(fixed, name);
        const LsHfKey *key = hf->keys;
        while (key->key && strcmp(key->key, name) != 0)
            key++;
        bool unsaid = json_is_null(value) && json_object_get(more, name);
        if (only && !is_only(only, value) && !unsaid) {
            char *have = json_dumps(value, JSON_ENCODE_ANY), *want = json_dumps(only, JSON_ENCODE_ANY);
            status = ls_fail(LS_DATA, "%s: key %s: %s is not supported, only %s is", path, name, have ? have : "?",
                             want ? want : "?");
            free(have);
            free(want);
        } else if (!only && !key->key && !json_object_get(written, name) && !says_nothing(value) &&
                   !ls_hf_is_listed(hf->ignored, name) && !ls_hf_is_listed(common_keys, name)) {
            status =
                ls_fail(LS_DATA, "%s: key %s is not known; if it does not change what the model computes, remove it",
                        path, name);
        }
        if (status != LS_OK)
            break;
    }
cleanup:
    json_decref(fixed);
    json_decref(written);
    json_decref(more);
    return status;
}
