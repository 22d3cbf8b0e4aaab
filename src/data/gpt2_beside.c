/* The files that a vocabulary of GPT-2's form comes in, and those beside it. Where the latter only state that
 * <|endoftext|> ends a text all are kept as they are, for the export; otherwise the tokenizer subword reads them. */
#include "data/bytelevel.h"
#include "data/gpt2.h"
#include "io/file.h"
#include "io/json.h"

#include <string.h>

static const char *const kept[] = {
    "tokenizer.json",          "vocab.json",        "merges.txt",          "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", NULL};

static bool is_end(const json_t *value)
{
    const char *name =
        json_is_object(value) ? json_string_value(json_object_get(value, "content")) : json_string_value(value);
    return name && strcmp(name, LS_GPT2_END) == 0;
}

/* Of tokenizer_config.json or special_tokens_map.json. */
static bool names_end_alone(const json_t *config)
{
    static const char *const off[] = {"add_bos_token", "add_eos_token", "add_prefix_space", "split_special_tokens"};
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value)
    {
        size_t length = strlen(key);
        if (length > 6 && strcmp(key + length - 6, "_token") == 0 && strncmp(key, "add_", 4) != 0 &&
            !json_is_null(value) && !is_end(value))
            return false;
    }
    for (size_t i = 0; i < LS_COUNT_OF(off); i++)
        if (json_is_true(json_object_get(config, off[i])))
            return false;
    for (size_t i = 0; i < LS_COUNT_OF(lists); i++)
        if (json_array_size(json_object_get(config, lists[i])) || json_object_size(json_object_get(config, lists[i])))
            return false;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, value) if (!is_end(value)) return false;
    return true;
}

/* A class that reads vocab.json and merges.txt otherwise. */
static bool is_other_class(const json_t *config)
{
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    return class && strncmp(class, "GPT2Tokenizer", 13) != 0 && strcmp(class, "PreTrainedTokenizerFast") != 0;
}

static LsStatus read_beside(const char *folder, const char *name, json_t **root)
{
    char *path = ls_format("%s/%s", folder, name);
    *root = NULL;
    LsStatus status = !path ? LS_RESOURCE : ls_file_exists(path) ? ls_json_load(path, LS_DATA, root) : LS_OK;
    ls_free(path);
    return status;
}

/* Whether the model says that another token of the vocabulary ends texts. */
static bool ends_otherwise(const json_t *model, const Gpt2 *gpt2)
{
    const json_t *end = json_object_get(model, "eos_token_id");
    json_int_t id = json_integer_value(end);
    return json_array_size(end) > 1 || (json_is_integer(end) && id < gpt2->base.vocabulary && id != gpt2->base.end);
}

LsStatus ls_gpt2_is_plain(const char *folder, const Gpt2 *gpt2, bool single, bool *plain)
{
    json_t *config = NULL, *map = NULL, *added = NULL, *model = NULL, *generation = NULL;
    const char *name;
    json_t *value;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(read_beside(folder, "tokenizer_config.json", &config));
    LS_TRY_CLEANUP(read_beside(folder, "special_tokens_map.json", &map));
    LS_TRY_CLEANUP(read_beside(folder, "added_tokens.json", &added));
    LS_TRY_CLEANUP(read_beside(folder, "config.json", &model));
    LS_TRY_CLEANUP(read_beside(folder, "generation_config.json", &generation));
    *plain = names_end_alone(config) && names_end_alone(map) && (single || !is_other_class(config)) &&
             !ends_otherwise(model, gpt2) && !ends_otherwise(generation, gpt2);
    json_object_foreach(added, name, value) *plain = *plain && strcmp(name, LS_GPT2_END) == 0;
cleanup:
    json_decref(config);
    json_decref(map);
    json_decref(added);
    json_decref(model);
    json_decref(generation);
    return status;
}

LsStatus ls_gpt2_keep_beside(const char *folder, Gpt2 *gpt2)
{
    json_t *files = json_object();
    LsStatus status = files ? ls_tokenizer_keep_files(folder, kept, files) : LS_RESOURCE;
    if (status == LS_OK && json_object_size(files) > 0)
        gpt2->base.files = json_incref(files);
    json_decref(files);
    return status;
}
