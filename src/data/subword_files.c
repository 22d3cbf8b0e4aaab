/* Which files a tokenizer of subwords is made of, and from these to the tokenizer. */
#include "data/subword.h"

#include "data/base64.h"
#include "data/sentencepiece.h"
#include "io/file.h"
#include "io/json.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The keys of config.json and generation_config.json that name tokens join `files` as "config.json". */
static LsStatus keep_model_ids(const char *folder, json_t *files)
{
    static const char *const names[] = {"config.json", "generation_config.json"}; /* the second has the last word */
    static const char *const keys[] = {"bos_token_id", "eos_token_id"};
    json_t *ids = json_object();
    LsStatus status = ids ? LS_OK : LS_RESOURCE;
    for (size_t i = 0; i < LS_COUNT_OF(names) && status == LS_OK; i++) {
        char *path = ls_format("%s/%s", folder, names[i]);
        json_t *root = NULL;
        status = !path ? LS_RESOURCE : ls_file_exists(path) ? ls_json_load(path, LS_DATA, &root) : LS_OK;
        for (size_t k = 0; k < LS_COUNT_OF(keys); k++) {
            json_t *id = json_object_get(root, keys[k]);
            if (json_is_integer(id) || json_array_size(id) > 0)
                json_object_set(ids, keys[k], id);
        }
        json_decref(root);
        ls_free(path);
    }
    char *text = json_object_size(ids) > 0 ? json_dumps(ids, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (text && status == LS_OK)
        json_object_set_new(files, "config.json", json_string(text));
    free(text);
    json_decref(ids);
    return status;
}

static bool has(const json_t *files, const char *name) { return json_object_get(files, name) != NULL; }

/* Whether a tokenizer.json is of words, not subwords: those of BERT's are another kind's. */
static bool is_other_kind(const json_t *files)
{
    json_t *root = json_loads(json_string_value(json_object_get(files, "tokenizer.json")), 0, NULL);
    const json_t *model = json_object_get(root, "model");
    bool other =
        ls_subword_is_type(model, "WordPiece") ||
        (!json_object_get(model, "type") && json_object_get(model, "unk_token") && !json_object_get(model, "merges"));
    json_decref(root);
    return other;
}

static LsStatus keep_file_and_beside(const char *path, json_t *files)
{
    static const char *const mains[] = {"tokenizer.json", "tokenizer.model"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    int which = length > 5 && strcmp(name + length - 5, ".json") == 0    ? 0
                : length > 6 && strcmp(name + length - 6, ".model") == 0 ? 1
                                                                         : -1;
    if (which < 0)
        return LS_OK;
    char *folder = slash ? ls_format("%.*s", (int)(slash - path), path) : ls_strdup(".");
    static const char *const beside[] = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", NULL};
    LsStatus status = folder ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        status = ls_tokenizer_keep_files(folder, (const char *const[]){name, NULL}, files);
    if (status == LS_OK && !has(files, name))
        status = ls_fail(LS_DATA, "%s: is not there", path);
    if (status == LS_OK && strcmp(name, mains[which]) != 0) {
        json_object_set(files, mains[which], json_object_get(files, name));
        json_object_del(files, name);
    } else if (status == LS_OK) {
        status = ls_tokenizer_keep_files(folder, beside, files);
        if (status == LS_OK)
            status = keep_model_ids(folder, files);
    }
    ls_free(folder);
    return status;
}

LsStatus ls_subword_read_files(const char *path, json_t **kept)
{
    struct stat info;
    json_t *files = json_object();
    *kept = NULL;
    LsStatus status = files ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
        status = keep_file_and_beside(path, files);
    else if (status == LS_OK) {
        status = ls_tokenizer_keep_files(path, ls_tokenizer_files, files);
        if (status == LS_OK)
            status = keep_model_ids(path, files);
    }
    bool there = has(files, "tokenizer.json")
                     ? !is_other_kind(files)
                     : has(files, "tokenizer.model") || (has(files, "vocab.json") && has(files, "merges.txt"));
    if (status == LS_OK && there)
        *kept = json_incref(files);
    json_decref(files);
    return status;
}

LsStatus ls_subword_parse_file(const char *path, const json_t *files, const char *name, json_t **root)
{
    const char *text = json_string_value(json_object_get(files, name));
    json_error_t error;
    *root = NULL;
    if (!json_object_get(files, name))
        return LS_OK;
    if (!text)
        return ls_fail(LS_DATA, "%s/%s: is no text (UTF-8 without NUL)", path, name);
    int64_t bytes = 0;
    char *plain = ls_json_plain(text, (int64_t)strlen(text), &bytes);
    if (!plain)
        return LS_RESOURCE;
    *root = json_loadb(plain, (size_t)bytes, JSON_REJECT_DUPLICATES, &error);
    ls_free(plain);
    return *root ? LS_OK
                 : ls_fail(LS_DATA, "%s/%s, line %d, column %d: %s", path, name, error.line, error.column, error.text);
}

/* Of a tokenizer.model: what stands beside it may name its pieces, and add none. */
static LsStatus read_model(const char *path, const json_t *files, Subword *subword)
{
    char *bytes = NULL, *name = ls_format("%s/tokenizer.model", path);
    int64_t count = 0;
    const json_t *file = json_object_get(files, "tokenizer.model");
    json_t *root = json_pack("{s:[], s:{s:{}}}", "added_tokens", "model", "vocab"), *vocab;
    LsStatus status = name && root ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && json_is_string(file))
        status = ls_fail(LS_DATA, "%s: is no tokenizer.model of SentencePiece", name);
    if (status == LS_OK)
        status = ls_base64_decode(json_string_value(json_object_get(file, "base64")), &bytes, &count);
    if (status == LS_OK)
        status = ls_sentencepiece_read(name, bytes, count, subword);
    vocab = json_object_get(json_object_get(root, "model"), "vocab");
    for (int64_t id = 0; status == LS_OK && id < subword->base.vocabulary; id++)
        json_object_setn_new(vocab, subword->names.bytes + subword->names.start[id],
                             (size_t)subword_length(&subword->names, id), json_integer(id));
    if (status == LS_OK)
        status = ls_subword_join_config(path, files, root);
    const json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < json_array_size(added) && status == LS_OK; i++) {
        const char *content = json_string_value(json_object_get(json_array_get(added, i), "content"));
        if (!json_object_get(vocab, content))
            status = ls_fail(LS_DATA,
                             "%s: \"%.80s\" is added to it, which only tokenizer.json can say; save the tokenizer "
                             "as that",
                             name, content);
    }
    if (status == LS_OK)
        status = ls_subword_read_ends(path, files, root, subword);
    json_decref(root);
    ls_free(bytes);
    ls_free(name);
    return status;
}

static LsStatus read_tokenizer(const char *path, const json_t *files, Subword *subword)
{
    if (!has(files, "tokenizer.json") && has(files, "tokenizer.model"))
        return read_model(path, files, subword);
    bool single = has(files, "tokenizer.json");
    json_t *root = NULL;
    LsStatus status =
        single ? ls_subword_parse_file(path, files, "tokenizer.json", &root) : ls_subword_pair_json(path, files, &root);
    char *name = ls_format("%s/%s", path, single ? "tokenizer.json" : "vocab.json");
    if (status == LS_OK && !name)
        status = LS_RESOURCE;
    if (status == LS_OK)
        status = ls_subword_join_config(path, files, root);
    if (status == LS_OK)
        status = ls_subword_read_json(name, root, subword);
    if (status == LS_OK)
        status = ls_subword_read_ends(path, files, root, subword);
    json_decref(root);
    ls_free(name);
    return status;
}

LsStatus ls_subword_of_files(const char *path, const json_t *files, Subword **made)
{
    Subword *subword = ls_subword_new();
    LsStatus status = subword ? LS_OK : LS_RESOURCE;
    *made = NULL;
    if (status == LS_OK)
        status = read_tokenizer(path, files, subword);
    if (status == LS_OK)
        *made = subword;
    else
        ls_subword_free(subword);
    return status;
}
