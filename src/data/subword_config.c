/* Files beside a tokenizer.json, or beside a pair of vocab.json and merges.txt, as transformers writes them:
 * tokenizer_config.json, special_tokens_map.json, added_tokens.json. */
#include "data/subword.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};

/* A name is a text, or an object with the text as its content. */
static const char *name_of(const json_t *value)
{
    return json_is_object(value) ? json_string_value(json_object_get(value, "content")) : json_string_value(value);
}

/* ---- Added tokens ------------------------------------------------------------------------------------------------ */

static json_t *find_added(const json_t *root, const char *name)
{
    json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(added, i), "content"));
        if (content && strcmp(content, name) == 0)
            return json_array_get(added, i);
    }
    return NULL;
}

/* Flags that `from` has say how the token is looked for. */
static void take_flags(json_t *entry, const json_t *from)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    for (size_t i = 0; i < LS_COUNT_OF(flags); i++) {
        json_t *flag = json_object_get(from, flags[i]);
        if (json_is_boolean(flag))
            json_object_set(entry, flags[i], flag);
    }
}

/* A token that stands beside the file joins those that were added, or must be one of them with the same number. */
static LsStatus join_token(const char *path, json_t *root, const char *name, json_int_t id, const json_t *flags,
                           bool special)
{
    json_int_t known = ls_subword_id_named(root, name);
    if (known >= 0 && known != id)
        return ls_fail(LS_DATA, "%s: \"%.80s\" has two numbers, %lld and %lld", path, name, (long long)known,
                       (long long)id);
    json_t *entry = find_added(root, name), *list = json_object_get(root, "added_tokens");
    if (!entry) {
        entry = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", name, "single_word", 0, "lstrip",
                          0, "rstrip", 0, "normalized", special ? 0 : 1, "special", special ? 1 : 0);
        if (json_array_append_new(list, entry) != 0)
            return ls_fail(LS_RESOURCE, "out of memory for added tokens");
    }
    if (json_is_object(flags))
        take_flags(entry, flags);
    return LS_OK;
}

/* {"400": {"content": "<|im_start|>", "special": true, ...}} */
static LsStatus join_decoder(const char *path, const json_t *decoder, json_t *root)
{
    const char *number;
    json_t *value;
    json_object_foreach((json_t *)decoder, number, value)
    {
        const char *name = name_of(value);
        char *end = NULL;
        json_int_t id = strtoll(number, &end, 10);
        if (!name || !*name || !*number || *end || id < 0)
            return ls_fail(LS_DATA, "%s/tokenizer_config.json: added_tokens_decoder has no token \"%.80s\"", path,
                           number);
        LS_TRY(join_token(path, root, name, id, value, json_is_true(json_object_get(value, "special"))));
    }
    return LS_OK;
}

/* added_tokens.json: {"<|im_start|>": 400} */
static LsStatus join_added(const char *path, const json_t *added, json_t *root)
{
    const char *name;
    json_t *id;
    json_object_foreach((json_t *)added, name, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0 || !*name)
            return ls_fail(LS_DATA, "%s/added_tokens.json: \"%.80s\" has no number", path, name);
        LS_TRY(join_token(path, root, name, json_integer_value(id), NULL, false));
    }
    return LS_OK;
}

/* A special token that a file names must be there; it is looked for in texts from then on. */
static LsStatus join_named(const char *path, const char *role, const json_t *value, json_t *root)
{
    const char *name = name_of(value);
    json_int_t id = name ? ls_subword_id_named(root, name) : -1;
    if (!name || !*name)
        return LS_OK;
    if (id < 0)
        return ls_fail(LS_DATA,
                       "%s: %s \"%.80s\" is no token of the vocabulary; name it in added_tokens.json with a "
                       "number of its own",
                       path, role, name);
    bool added = find_added(root, name) != NULL;
    LS_TRY(join_token(path, root, name, id, added ? NULL : value, true));
    json_object_set_new(find_added(root, name), "special", json_true());
    return LS_OK;
}

/* Of tokenizer_config.json or special_tokens_map.json. */
static LsStatus join_specials(const char *path, const json_t *config, json_t *root)
{
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    const char *key;
    json_t *value;
    for (size_t i = 0; i < LS_COUNT_OF(roles); i++)
        LS_TRY(join_named(path, roles[i], json_object_get(config, roles[i]), root));
    for (size_t i = 0; i < LS_COUNT_OF(lists); i++) {
        const json_t *list = json_object_get(config, lists[i]);
        for (size_t k = 0; k < json_array_size(list); k++)
            LS_TRY(join_named(path, lists[i], json_array_get(list, k), root));
        json_object_foreach((json_t *)list, key, value) LS_TRY(join_named(path, lists[i], value, root));
    }
    return LS_OK;
}

/* ---- Flags ------------------------------------------------------------------------------------------------------- */

/* The first pre_tokenizer that has a key of this name; NULL: none. */
static const json_t *step_with(const json_t *step, const char *key)
{
    const json_t *list = json_object_get(step, "pretokenizers"), *found = json_object_get(step, key) ? step : NULL;
    for (size_t i = 0; i < json_array_size(list) && !found; i++)
        found = step_with(json_array_get(list, i), key);
    return found;
}

static LsStatus check_flags(const char *path, const json_t *config, const json_t *root)
{
    const json_t *step = step_with(json_object_get(root, "pre_tokenizer"), "add_prefix_space"),
                 *here = json_object_get(config, "add_prefix_space");
    if (json_is_true(json_object_get(config, "split_special_tokens")))
        return ls_fail(LS_DATA,
                       "%s/tokenizer_config.json: split_special_tokens is true, which this program does not "
                       "know",
                       path);
    if (step && ls_subword_is_type(step, "ByteLevel") && json_is_boolean(here) &&
        json_is_true(here) != json_is_true(json_object_get(step, "add_prefix_space")))
        return ls_fail(LS_DATA,
                       "%s/tokenizer_config.json: add_prefix_space is %s, and in tokenizer.json it is not; make both "
                       "the same",
                       path, json_is_true(here) ? "true" : "false");
    return LS_OK;
}

LsStatus ls_subword_join_config(const char *path, const json_t *files, json_t *root)
{
    json_t *config = NULL, *map = NULL, *added = NULL;
    LsStatus status = LS_OK;
    if (!json_is_array(json_object_get(root, "added_tokens")) &&
        json_object_set_new(root, "added_tokens", json_array()) != 0)
        return ls_fail(LS_DATA, "%s/tokenizer.json: is not an object", path);
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "tokenizer_config.json", &config));
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "special_tokens_map.json", &map));
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "added_tokens.json", &added));
    LS_TRY_CLEANUP(join_decoder(path, json_object_get(config, "added_tokens_decoder"), root));
    LS_TRY_CLEANUP(join_added(path, added, root));
    LS_TRY_CLEANUP(join_specials(path, config, root));
    LS_TRY_CLEANUP(join_specials(path, map, root));
    LS_TRY_CLEANUP(check_flags(path, config, root));
cleanup:
    json_decref(config);
    json_decref(map);
    json_decref(added);
    return status;
}

/* ---- Begin and end ----------------------------------------------------------------------------------------------- */

/* Whether `ids`, a number or a list of them, has the id; *first: the first that is a token. */
static bool is_among(const json_t *ids, int64_t id, int64_t vocabulary, int64_t *first)
{
    bool found = false;
    size_t count = json_is_integer(ids) ? 1 : json_array_size(ids);
    for (size_t i = 0; i < count; i++) {
        const json_t *each = json_is_integer(ids) ? ids : json_array_get(ids, i);
        int64_t value = json_is_integer(each) ? (int64_t)json_integer_value(each) : -1;
        found = found || value == id;
        if (*first < 0 && value >= 0 && value < vocabulary)
            *first = value;
    }
    return found;
}

/* The id of a role: the model's where it names one, and of several the tokenizer's own, if it is one of them. */
static int64_t role_id(const json_t *config, const json_t *map, const json_t *ids, const json_t *root, const char *role,
                       int64_t vocabulary)
{
    char key[40];
    const json_t *value = json_object_get(config, role);
    const char *name = name_of(value && !json_is_null(value) ? value : json_object_get(map, role));
    int64_t id = name && *name ? (int64_t)ls_subword_id_named(root, name) : -1, first = -1;
    snprintf(key, sizeof key, "%s_id", role);
    bool agrees = is_among(json_object_get(ids, key), id, vocabulary, &first);
    return agrees || first < 0 ? id : first;
}

/* Sets whether `id` alone stands at that side of a text; other ids there are not for this flag to change. */
static LsStatus set_around(const char *path, const char *flag, bool wanted, int64_t id, int32_t **list, int64_t *count)
{
    if (wanted && *count > 0 && (*list)[0] == id)
        return LS_OK;
    if (*count > 1 || (*count == 1 && (wanted || (*list)[0] != id)))
        return ls_fail(LS_DATA, "%s/tokenizer_config.json: %s is %s, and the post_processor puts other tokens there",
                       path, flag, wanted ? "true" : "false");
    if (wanted && id < 0)
        return ls_fail(LS_DATA, "%s/tokenizer_config.json: %s is true, and no such token is named", path, flag);
    if (wanted && !*list && !(*list = ls_alloc_array(1, sizeof **list)))
        return LS_RESOURCE;
    if (wanted)
        (*list)[0] = (int32_t)id;
    *count = wanted;
    return LS_OK;
}

/* Those of a list that the model names besides the one that ends a text. */
static LsStatus read_more_ends(const json_t *ids, LsTokenizer *base)
{
    size_t count = json_array_size(ids);
    ls_free(base->ends);
    base->more_ends = 0;
    base->ends = count > 0 ? ls_alloc_array((int64_t)count, sizeof *base->ends) : NULL;
    for (size_t i = 0; base->ends && i < count; i++) {
        const json_t *each = json_array_get(ids, i);
        int64_t id = json_is_integer(each) ? (int64_t)json_integer_value(each) : -1;
        if (id >= 0 && id < base->vocabulary && id != base->end)
            base->ends[base->more_ends++] = (int32_t)id;
    }
    return count == 0 || base->ends ? LS_OK : LS_RESOURCE;
}

LsStatus ls_subword_read_ends(const char *path, const json_t *files, const json_t *root, Subword *subword)
{
    json_t *config = NULL, *map = NULL, *ids = NULL;
    LsStatus status = LS_OK;
    LsTokenizer *base = &subword->base;
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "tokenizer_config.json", &config));
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "special_tokens_map.json", &map));
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "config.json", &ids));
    int64_t bos = role_id(config, map, NULL, root, "bos_token", base->vocabulary),
            eos = role_id(config, map, NULL, root, "eos_token", base->vocabulary);
    int64_t begin = role_id(config, map, ids, root, "bos_token", base->vocabulary),
            end = role_id(config, map, ids, root, "eos_token", base->vocabulary);
    base->begin = begin >= 0 ? begin : base->begin; /* a tokenizer.model names its own */
    base->end = end >= 0 ? end : base->end;
    LS_TRY_CLEANUP(read_more_ends(json_object_get(ids, "eos_token_id"), base));
    bos = bos >= 0 ? bos : base->begin;
    eos = eos >= 0 ? eos : base->end;
    const json_t *adds_bos = json_object_get(config, "add_bos_token"),
                 *adds_eos = json_object_get(config, "add_eos_token");
    if (json_is_boolean(adds_bos))
        LS_TRY_CLEANUP(set_around(path, "add_bos_token", json_is_true(adds_bos), bos, &base->before, &base->befores));
    if (json_is_boolean(adds_eos))
        LS_TRY_CLEANUP(set_around(path, "add_eos_token", json_is_true(adds_eos), eos, &base->after, &base->afters));
cleanup:
    json_decref(config);
    json_decref(map);
    json_decref(ids);
    return status;
}
