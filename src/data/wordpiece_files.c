/* The files in which vocabularies of BERT's form come: vocab.txt with a tokenizer_config.json beside it, and the
 * `tokenizers` library's single tokenizer.json. */
#include "data/wordpiece.h"

#include "io/file.h"
#include "io/json.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const usual_names[WORDPIECE_ROLES] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};
#define MOST_HOLES 1024 /* ids without a token, besides 16 for each that there is */

/* ---- Vocabularies ------------------------------------------------------------------------------------------------ */

/* The last of equal lines is the token, as transformers has it; the others stand for nothing. */
static LsStatus add_line(json_t *list, json_t *seen, const char *line, size_t bytes, const char *path)
{
    json_int_t at = (json_int_t)json_array_size(list);
    json_t *token = bytes > 0 ? json_stringn(line, bytes) : json_null();
    if (!token || json_string_length(token) != strlen(bytes > 0 ? json_string_value(token) : ""))
        return ls_fail(LS_DATA, "%s, line %lld: is no text (UTF-8 without NUL)", path, (long long)at + 1);
    if (bytes > 0) {
        const json_t *before = json_object_get(seen, json_string_value(token));
        if (before)
            json_array_set_new(list, (size_t)json_integer_value(before), json_null());
        json_object_set_new(seen, json_string_value(token), json_integer(at));
    }
    return json_array_append_new(list, token) == 0 ? LS_OK : LS_RESOURCE;
}

static LsStatus read_lines(const char *path, json_t **list)
{
    char *text = NULL;
    int64_t bytes = 0;
    LS_TRY(ls_file_read(path, LS_DATA, &text, &bytes));
    json_t *seen = json_object();
    LsStatus status = LS_OK;
    *list = json_array();
    for (int64_t at = 0; at < bytes && status == LS_OK;) {
        const char *end = memchr(text + at, '\n', (size_t)(bytes - at));
        int64_t next = end ? end - text + 1 : bytes, length = (end ? end - text : bytes) - at;
        length -= length > 0 && text[at + length - 1] == '\r';
        status = add_line(*list, seen, text + at, (size_t)length, path);
        at = next;
    }
    while (json_is_null(json_array_get(*list, json_array_size(*list) - 1))) /* blank lines at the end number nothing */
        json_array_remove(*list, json_array_size(*list) - 1);
    json_decref(seen);
    ls_free(text);
    return status;
}

static LsStatus set_token(json_t *list, const char *token, const json_t *id, int64_t most, const char *path)
{
    json_int_t at = json_integer_value(id);
    if (!json_is_integer(id) || at < 0 || at >= most)
        return ls_fail(LS_DATA, "%s: the number of the token \"%.80s\" is not an integer from 0 to %lld", path, token,
                       (long long)most - 1);
    while ((json_int_t)json_array_size(list) <= at)
        json_array_append_new(list, json_null());
    const char *before = json_string_value(json_array_get(list, (size_t)at));
    if (before && strcmp(before, token) != 0)
        return ls_fail(LS_DATA, "%s: the tokens \"%.80s\" and \"%.80s\" have the same number %lld", path, before, token,
                       (long long)at);
    return json_array_set_new(list, (size_t)at, json_string(token)) == 0 ? LS_OK : LS_RESOURCE;
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

/* A name is a text, or an object with the text as its content. */
static const char *name_of(const json_t *value)
{
    return json_is_object(value) ? json_string_value(json_object_get(value, "content")) : json_string_value(value);
}

static bool is_type(const json_t *object, const char *type)
{
    const char *name = json_string_value(json_object_get(object, "type"));
    return name && strcmp(name, type) == 0;
}

/* Takes over a key that is true or false. */
static void set_flag(json_t *object, const char *key, const json_t *from, const char *their_key)
{
    const json_t *value = json_object_get(from, their_key);
    if (json_is_boolean(value))
        json_object_set_new(object, key, json_boolean(json_is_true(value)));
}

/* "strip_accents": null says as "lowercase" does. */
static json_t *new_object(json_t *list)
{
    return json_pack("{s:b, s:b, s:n, s:b, s:b, s:i, s:s, s:o}", "clean", 1, "ideographs", 1, "strip_accents",
                     "lowercase", 1, "whole_special", 1, "longest_word", 100, "prefix", "##", "vocabulary", list);
}

/* tokenizer_config.json, which need not be there. */
static LsStatus read_config(const char *folder, json_t *object)
{
    char *path = ls_format("%s/tokenizer_config.json", folder);
    json_t *config = NULL;
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && ls_file_exists(path))
        status = ls_json_load(path, LS_DATA, &config);
    const json_t *split = json_object_get(config, "split_special_tokens");
    if (status == LS_OK && json_is_false(json_object_get(config, "do_basic_tokenize")))
        status = ls_fail(LS_DATA, "%s: do_basic_tokenize is false, which this program does not know", path);
    if (status == LS_OK && json_array_size(json_object_get(config, "never_split")) > 0)
        status = ls_fail(LS_DATA, "%s: has words in never_split, which this program does not know", path);
    for (int role = 0; role < WORDPIECE_ROLES && config; role++) {
        const char *name = name_of(json_object_get(config, ls_wordpiece_hf_roles[role]));
        if (name)
            json_object_set_new(object, ls_wordpiece_roles[role], json_string(name));
    }
    set_flag(object, "lowercase", config, "do_lower_case");
    set_flag(object, "strip_accents", config, "strip_accents");
    set_flag(object, "ideographs", config, "tokenize_chinese_chars");
    if (json_is_boolean(split))
        json_object_set_new(object, "whole_special", json_boolean(json_is_false(split)));
    json_decref(config);
    ls_free(path);
    return status;
}

static bool has_token(const json_t *list, const char *token)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *each = json_string_value(json_array_get(list, i));
        if (each && strcmp(each, token) == 0)
            return true;
    }
    return false;
}

static void add_special(json_t *object, const char *token)
{
    json_t *special = json_object_get(object, "special");
    if (!has_token(special, token))
        json_array_append_new(special, json_string(token));
}

/* Fills in settings that the files do not have: names of special tokens that the vocabulary has, and accents. */
static void complete(json_t *object, bool cased)
{
    const json_t *list = json_object_get(object, "vocabulary");
    if (!json_object_get(object, "special"))
        json_object_set_new(object, "special", json_array());
    for (int role = 0; role < WORDPIECE_ROLES; role++) {
        const char *name = json_string_value(json_object_get(object, ls_wordpiece_roles[role]));
        if (!name && has_token(list, usual_names[role]))
            json_object_set_new(object, ls_wordpiece_roles[role], json_string(usual_names[role]));
        name = json_string_value(json_object_get(object, ls_wordpiece_roles[role]));
        if (name && has_token(list, name))
            add_special(object, name);
        else if (role != WORDPIECE_UNKNOWN)
            json_object_del(object, ls_wordpiece_roles[role]);
    }
    if (!json_object_get(object, "unknown"))
        json_object_set_new(object, "unknown", json_string(usual_names[WORDPIECE_UNKNOWN]));
    if (cased) {
        json_object_set_new(object, "lowercase", json_false());
        json_object_set_new(object, "strip_accents", json_false());
    }
    if (!json_is_boolean(json_object_get(object, "strip_accents")))
        json_object_set(object, "strip_accents", json_object_get(object, "lowercase"));
}

/* ---- tokenizer.json ---------------------------------------------------------------------------------------------- */

/* Added tokens join the vocabulary; all must be special ones. */
static LsStatus add_added(const char *path, const json_t *root, json_t *object, int64_t most)
{
    const json_t *added = json_object_get(root, "added_tokens");
    json_object_set_new(object, "special", json_array());
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const char *content = json_string_value(json_object_get(entry, "content"));
        if (!content || !*content)
            return ls_fail(LS_DATA, "%s: added_tokens[%zu] has no content", path, i);
        if (!json_is_true(json_object_get(entry, "special")) || json_is_true(json_object_get(entry, "single_word")) ||
            json_is_true(json_object_get(entry, "lstrip")) || json_is_true(json_object_get(entry, "rstrip")))
            return ls_fail(LS_DATA,
                           "%s: added_tokens[%zu] (\"%.80s\") is not special, or has single_word, lstrip or rstrip "
                           "set, which this program does not know",
                           path, i, content);
        LS_TRY(set_token(json_object_get(object, "vocabulary"), content, json_object_get(entry, "id"), most, path));
        add_special(object, content);
    }
    return LS_OK;
}

static LsStatus read_normalizer(const char *path, const json_t *root, json_t *object)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    if (!is_type(normalizer, "BertNormalizer") || !is_type(json_object_get(root, "pre_tokenizer"), "BertPreTokenizer"))
        return ls_fail(LS_DATA, "%s: normalizer and pre_tokenizer are not BERT's (BertNormalizer, BertPreTokenizer)",
                       path);
    set_flag(object, "clean", normalizer, "clean_text");
    set_flag(object, "ideographs", normalizer, "handle_chinese_chars");
    set_flag(object, "lowercase", normalizer, "lowercase");
    set_flag(object, "strip_accents", normalizer, "strip_accents");
    return LS_OK;
}

static LsStatus read_model(const char *path, const json_t *model, json_t *object, int64_t most)
{
    const json_t *longest = json_object_get(model, "max_input_chars_per_word");
    const char *prefix = json_string_value(json_object_get(model, "continuing_subword_prefix"));
    const char *unknown = json_string_value(json_object_get(model, "unk_token")), *token;
    json_t *id;
    if (json_is_integer(longest))
        json_object_set_new(object, "longest_word", json_integer(json_integer_value(longest)));
    if (prefix)
        json_object_set_new(object, "prefix", json_string(prefix));
    if (unknown)
        json_object_set_new(object, "unknown", json_string(unknown));
    json_object_foreach(json_object_get(model, "vocab"), token, id)
        LS_TRY(set_token(json_object_get(object, "vocabulary"), token, id, most, path));
    return LS_OK;
}

/* *object NULL with LS_OK where it is of another model. */
static LsStatus read_single(const char *path, json_t **object)
{
    json_t *root = NULL;
    LS_TRY(ls_json_load(path, LS_DATA, &root));
    const json_t *model = json_object_get(root, "model");
    /* older files do not name the model's type */
    bool wordpiece = json_object_get(model, "type")
                         ? is_type(model, "WordPiece")
                         : json_object_get(model, "unk_token") != NULL && !json_object_get(model, "merges");
    LsStatus status = LS_OK;
    if (wordpiece) {
        int64_t tokens = (int64_t)json_object_size(json_object_get(model, "vocab")) +
                         (int64_t)json_array_size(json_object_get(root, "added_tokens"));
        *object = new_object(json_array());
        status = read_normalizer(path, root, *object);
        if (status == LS_OK)
            status = read_model(path, model, *object, 16 * tokens + MOST_HOLES);
        if (status == LS_OK)
            status = add_added(path, root, *object, 16 * tokens + MOST_HOLES);
    }
    json_decref(root);
    return status;
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

/* Of tokenizer.json or vocab.txt, whichever there is. */
static LsStatus read_folder(const char *folder, json_t **object)
{
    char *single = ls_format("%s/tokenizer.json", folder), *lines = ls_format("%s/vocab.txt", folder);
    json_t *list = NULL;
    LsStatus status = single && lines ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && ls_file_exists(single))
        status = read_single(single, object);
    if (status == LS_OK && !*object && ls_file_exists(lines)) {
        status = read_lines(lines, &list);
        *object = new_object(list);
    }
    ls_free(single);
    ls_free(lines);
    return status;
}

LsStatus ls_wordpiece_read_files(const char *path, bool cased, json_t **object)
{
    struct stat info;
    *object = NULL;
    char *folder = ls_strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    bool file = stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
    LsStatus status = folder ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && file) { /* a vocab.txt, or a tokenizer.json */
        size_t length = strlen(path);
        json_t *list = NULL;
        bool single = length > 5 && strcmp(path + length - 5, ".json") == 0;
        status = single ? read_single(path, object) : read_lines(path, &list);
        *object = single ? *object : new_object(list);
        if (slash)
            *slash = '\0';
        else {
            ls_free(folder);
            folder = ls_strdup(".");
            status = folder ? status : LS_RESOURCE;
        }
    } else if (status == LS_OK)
        status = read_folder(path, object);
    if (status == LS_OK && *object)
        status = read_config(folder, *object);
    if (status == LS_OK && *object)
        complete(*object, cased);
    ls_free(folder);
    if (status != LS_OK) {
        json_decref(*object);
        *object = NULL;
    }
    return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static LsStatus write_lines(const json_t *list, const char *folder)
{
    size_t bytes = 1, at = 0, count = json_array_size(list);
    for (size_t i = 0; i < count; i++)
        bytes += json_string_length(json_array_get(list, i)) + 1;
    char *text = ls_alloc(bytes), *path = ls_format("%s/vocab.txt", folder);
    LsStatus status = text && path ? LS_OK : LS_RESOURCE;
    for (size_t i = 0; i < count && status == LS_OK; i++) {
        const char *token = json_string_value(json_array_get(list, i));
        size_t length = strlen(token);
        memcpy(text + at, token, length);
        at += length;
        text[at++] = '\n';
    }
    if (status == LS_OK)
        status = ls_file_replace(path, text, (int64_t)at);
    ls_free(text);
    ls_free(path);
    return status;
}

static json_t *added_tokens(const json_t *object, const json_t *vocabulary)
{
    json_t *added = json_array();
    const json_t *special = json_object_get(object, "special");
    for (size_t i = 0; i < json_array_size(special); i++) {
        const char *token = json_string_value(json_array_get(special, i));
        json_array_append_new(added, json_pack("{s:O, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                               json_object_get(vocabulary, token), "content", token, "single_word", 0,
                                               "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    }
    return added;
}

/* [CLS] text [SEP], and [CLS] text [SEP] other [SEP] with the types of both. */
static json_t *frame(const json_t *object, const json_t *vocabulary)
{
    const char *begin = json_string_value(json_object_get(object, "begin")),
               *end = json_string_value(json_object_get(object, "end"));
    if (!begin || !end)
        return json_null();
    return json_pack("{s:s, s:[s, O], s:[s, O]}", "type", "BertProcessing", "sep", end,
                     json_object_get(vocabulary, end), "cls", begin, json_object_get(vocabulary, begin));
}

static json_t *single_json(const json_t *object)
{
    const json_t *list = json_object_get(object, "vocabulary");
    json_t *vocabulary = json_object();
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_null(json_array_get(list, i)))
            json_object_set_new(vocabulary, json_string_value(json_array_get(list, i)), json_integer((json_int_t)i));
    json_t *normalizer =
        json_pack("{s:s, s:O, s:O, s:O, s:O}", "type", "BertNormalizer", "clean_text", json_object_get(object, "clean"),
                  "handle_chinese_chars", json_object_get(object, "ideographs"), "strip_accents",
                  json_object_get(object, "strip_accents"), "lowercase", json_object_get(object, "lowercase"));
    json_t *decoder =
        json_pack("{s:s, s:O, s:b}", "type", "WordPiece", "prefix", json_object_get(object, "prefix"), "cleanup", 0);
    json_t *added = added_tokens(object, vocabulary), *processor = frame(object, vocabulary);
    json_t *model =
        json_pack("{s:s, s:O, s:O, s:O, s:o}", "type", "WordPiece", "unk_token", json_object_get(object, "unknown"),
                  "continuing_subword_prefix", json_object_get(object, "prefix"), "max_input_chars_per_word",
                  json_object_get(object, "longest_word"), "vocab", vocabulary);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:{s:s}, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", added, "normalizer", normalizer, "pre_tokenizer", "type", "BertPreTokenizer",
                     "post_processor", processor, "decoder", decoder, "model", model);
}

static json_t *config_json(const json_t *object)
{
    json_t *config =
        json_pack("{s:s, s:O, s:O, s:O, s:b}", "tokenizer_class", "BertTokenizer", "do_lower_case",
                  json_object_get(object, "lowercase"), "strip_accents", json_object_get(object, "strip_accents"),
                  "tokenize_chinese_chars", json_object_get(object, "ideographs"), "clean_up_tokenization_spaces", 0);
    for (int role = 0; role < WORDPIECE_ROLES; role++) {
        json_t *name = json_object_get(object, ls_wordpiece_roles[role]);
        if (name)
            json_object_set(config, ls_wordpiece_hf_roles[role], name);
    }
    if (json_is_false(json_object_get(object, "whole_special")))
        json_object_set_new(config, "split_special_tokens", json_true());
    return config;
}

LsStatus ls_wordpiece_write_files(const Wordpiece *wordpiece, const char *folder)
{
    json_t *object = ls_wordpiece_json(wordpiece), *single = object ? single_json(object) : NULL,
           *config = object ? config_json(object) : NULL;
    const json_t *list = json_object_get(object, "vocabulary");
    bool holes = false; /* a file of lines has none */
    for (size_t i = 0; i < json_array_size(list); i++)
        holes = holes || json_is_null(json_array_get(list, i));
    LsStatus status =
        object && single && config ? LS_OK : ls_fail(LS_RESOURCE, "out of memory while writing the tokenizer");
    if (status == LS_OK && !holes)
        status = write_lines(list, folder);
    if (status == LS_OK)
        status = ls_json_file_write(folder, "tokenizer.json", single);
    if (status == LS_OK)
        status = ls_json_file_write(folder, "tokenizer_config.json", config);
    json_decref(object);
    json_decref(single);
    json_decref(config);
    return status;
}
