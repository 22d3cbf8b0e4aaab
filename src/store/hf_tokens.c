/* Tokens in a folder of the Hugging Face layout besides its tokenizer: ids in config.json, and in
 * generation_config.json. A run keeps them in its info, and the export writes them as they were. */
#include "store/hf_internal.h"
#include "store/model_folder.h"

#include "io/file.h"

#include <stdlib.h>
#include <string.h>

#define INFO_KEY "hf"
#define GENERATION "generation_config.json"

/* "eos_token_id" and the like. */
static bool is_id_key(const char *key)
{
    size_t length = strlen(key);
    return length > 9 && strcmp(key + length - 9, "_token_id") == 0;
}

/* A whole number from 0 on; -1 as some folders write "none". */
static bool is_id(const json_t *value) { return json_is_integer(value) && json_integer_value(value) >= -1; }

/* Ids are null, an id, or a list of ids. One that the model cannot say is told: text never ends at it. */
static LsStatus check_ids(const char *path, const json_t *keys, int64_t vocabulary)
{
    const char *key;
    json_t *value, *id;
    size_t i;
    json_object_foreach((json_t *)keys, key, value)
    {
        if (!is_id_key(key) || json_is_null(value))
            continue;
        bool right = json_is_array(value) ? json_array_size(value) > 0 : is_id(value);
        json_int_t most = json_is_integer(value) ? json_integer_value(value) : -1;
        json_array_foreach(value, i, id)
        {
            right = right && is_id(id);
            most = json_integer_value(id) > most ? json_integer_value(id) : most;
        }
        if (!right) {
            char *text = json_dumps(value, JSON_ENCODE_ANY);
            ls_fail(LS_DATA, "%s: key %s: %.80s is no id of a token: a number from 0 on, a list of such, or null", path,
                    key, text ? text : "?");
            free(text);
            return LS_DATA;
        }
        if (vocabulary > 0 && most >= vocabulary)
            ls_warn("%s: key %s: %lld is beyond the model's vocabulary of %lld, so that no text has it", path, key,
                    (long long)most, (long long)vocabulary);
    }
    return LS_OK;
}

static LsStatus read_generation(const char *folder, int64_t vocabulary, json_t *kept)
{
    char *path = ls_format("%s/" GENERATION, folder), *text = NULL;
    int64_t bytes = 0;
    json_t *object = NULL;
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && ls_file_exists(path)) {
        status = ls_file_read(path, LS_DATA, &text, &bytes);
        if (status == LS_OK)
            status = ls_json_parse(path, LS_DATA, text, bytes, &object);
        if (status == LS_OK)
            status = check_ids(path, object, vocabulary);
        if (status == LS_OK && json_object_set_new(kept, GENERATION, json_stringn(text, (size_t)bytes)) != 0)
            status = ls_fail(LS_DATA, "%s: is no text", path);
    }
    json_decref(object);
    ls_free(text);
    ls_free(path);
    return status;
}

LsStatus ls_hf_info_set(char **info, const char *key, json_t *value)
{
    json_t *all = *info ? json_loads(*info, 0, NULL) : json_object();
    char *text = json_object_set(all, key, value) == 0 ? json_dumps(all, JSON_COMPACT) : NULL;
    ls_free(*info);
    *info = text ? ls_strdup(text) : NULL;
    free(text);
    json_decref(all);
    return *info ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for what a folder says of its model (%s)", key);
}

LsStatus ls_hf_tokens_in(const char *folder, const char *path, const json_t *keys, int64_t vocabulary, char **info)
{
    json_t *ids = json_object(), *kept = json_object();
    const char *key;
    json_t *value;
    LsStatus status = ids && kept ? LS_OK : LS_RESOURCE;
    json_object_foreach((json_t *)keys, key, value) if (is_id_key(key)) json_object_set(ids, key, value);
    if (status == LS_OK)
        status = check_ids(path, keys, vocabulary);
    if (status == LS_OK)
        status = read_generation(folder, vocabulary, kept);
    if (status == LS_OK && json_object_size(ids) > 0)
        json_object_set(kept, "config.json", ids);
    if (status == LS_OK && json_object_size(kept) > 0)
        status = ls_hf_info_set(info, INFO_KEY, kept);
    json_decref(ids);
    json_decref(kept);
    return status;
}

/* What a run keeps of its folder, a new reference; NULL where it keeps nothing. */
static json_t *kept_of_info(const char *info)
{
    json_t *all = info ? json_loads(info, 0, NULL) : NULL, *kept = json_incref(json_object_get(all, INFO_KEY));
    json_decref(all);
    return kept;
}

/* A member of it, likewise. */
static json_t *kept_of(const char *info, const char *what)
{
    json_t *kept = kept_of_info(info), *value = json_incref(json_object_get(kept, what));
    json_decref(kept);
    return value;
}

LsStatus ls_hf_tokens_carry(const char *from, const char *info, char **joined)
{
    json_t *kept = kept_of_info(from), *own = kept_of_info(info);
    LsStatus status = LS_OK;
    *joined = NULL;
    if (kept && !own) {
        *joined = info ? ls_strdup(info) : NULL;
        status = info && !*joined ? LS_RESOURCE : ls_hf_info_set(joined, INFO_KEY, kept);
    }
    json_decref(own);
    json_decref(kept);
    return status;
}

LsStatus ls_hf_token_ids_out(const char *info, json_t *keys)
{
    json_t *ids = kept_of(info, "config.json");
    int failed = ids ? json_object_update(keys, ids) : 0;
    json_decref(ids);
    return failed ? ls_fail(LS_RESOURCE, "out of memory for config.json") : LS_OK;
}

LsStatus ls_hf_generation_out(const char *folder, const char *info)
{
    json_t *text = kept_of(info, GENERATION);
    char *path = json_is_string(text) ? ls_format("%s/" GENERATION, folder) : NULL;
    LsStatus status = !json_is_string(text) ? LS_OK
                      : path ? ls_file_replace(path, json_string_value(text), (int64_t)json_string_length(text))
                             : LS_RESOURCE;
    ls_free(path);
    json_decref(text);
    return status;
}
