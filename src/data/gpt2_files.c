/* The files in which vocabularies of GPT-2's form come: OpenAI's pair, Hugging Face's pair, and the `tokenizers`
 * library's single one. */
#include "data/bytelevel.h"
#include "data/gpt2.h"
#include "io/file.h"
#include "io/json.h"

#include <string.h>

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* The lines of merges.txt or vocab.bpe as an array; *first gets the number of the first that is a merge. Blank lines
 * are only allowed at the end, so that numbers in messages are lines. */
static LsStatus read_merges(const char *path, json_t **merges, int64_t *first)
{
    char *text = NULL;
    int64_t bytes = 0;
    LS_TRY(ls_file_read(path, LS_DATA, &text, &bytes));
    LsStatus status = LS_OK;
    *merges = json_array();
    *first = 1;
    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r'))
        bytes--;
    for (int64_t at = 0, line = 1; at < bytes && status == LS_OK; line++) {
        const char *end = memchr(text + at, '\n', (size_t)(bytes - at));
        int64_t next = end ? end - text + 1 : bytes, length = (end ? end - text : bytes) - at;
        if (length > 0 && text[at + length - 1] == '\r')
            length--;
        if (line == 1 && length >= 8 && memcmp(text, "#version", 8) == 0)
            *first = 2;
        else if (json_array_append_new(*merges, json_stringn(text + at, (size_t)length)) != 0)
            status = ls_fail(LS_DATA, "%s, line %lld: is not UTF-8", path, (long long)line);
        at = next;
    }
    ls_free(text);
    return status;
}

static LsStatus read_pair(const char *vocabulary_path, const char *merges_path, Gpt2 **tokenizer)
{
    json_t *vocabulary = NULL, *merges = NULL;
    int64_t first = 1;
    char *line_name = ls_format("%s, line", merges_path);
    LsStatus status = line_name ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        status = ls_json_load(vocabulary_path, LS_DATA, &vocabulary);
    if (status == LS_OK)
        status = read_merges(merges_path, &merges, &first);
    if (status == LS_OK)
        status = ls_gpt2_new(vocabulary, vocabulary_path, merges, line_name, first, tokenizer);
    json_decref(vocabulary);
    json_decref(merges);
    ls_free(line_name);
    return status;
}

static bool is_type(const json_t *object, const char *type)
{
    const char *name = json_string_value(json_object_get(object, "type"));
    return name && strcmp(name, type) == 0;
}

/* Whether a value is absent, null, false or an empty text: what these settings are in files of GPT-2's form. */
static bool is_off(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

/* Whether a tokenizer.json is of GPT-2's form: what else there may be is for the tokenizer subword. */
static bool is_form(const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *split = json_object_get(root, "pre_tokenizer");
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
                                      "ignore_merges"};
    static const char *const none[] = {"truncation", "padding"};
    for (size_t i = 0; i < LS_COUNT_OF(off); i++) /* over bytes nothing is unknown, whatever unk_token says */
        if (!is_off(model, off[i]))
            return false;
    for (size_t i = 0; i < LS_COUNT_OF(none); i++)
        if (!is_off(root, none[i]))
            return false;
    if (!is_off(root, "post_processor") && !is_type(json_object_get(root, "post_processor"), "ByteLevel"))
        return false;
    if (!is_off(root, "decoder") && !is_type(json_object_get(root, "decoder"), "ByteLevel"))
        return false;
    return is_type(model, "BPE") && is_type(split, "ByteLevel") && is_off(split, "add_prefix_space") &&
           !json_is_false(json_object_get(split, "use_regex")) &&
           (is_off(root, "normalizer") || is_type(json_object_get(root, "normalizer"), "NFC"));
}

/* Whether GPT-2's is the only special token, and the others are looked for as they stand. */
static bool has_plain_tokens(const json_t *root)
{
    static const char *const off[] = {"single_word", "lstrip", "rstrip"};
    const json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const char *content = json_string_value(json_object_get(entry, "content"));
        bool special = json_is_true(json_object_get(entry, "special")), end = content && !strcmp(content, LS_GPT2_END);
        if (special != end)
            return false;
        for (size_t j = 0; j < LS_COUNT_OF(off) && !special; j++)
            if (!is_off(entry, off[j]))
                return false;
        if (!special && json_is_false(json_object_get(entry, "normalized")) && !is_off(root, "normalizer"))
            return false;
    }
    return true;
}

/* Added tokens join the vocabulary. Special ones are never looked for in texts; the names of the others go to the array
 * `looked_for`. */
static LsStatus add_tokens(const char *path, const json_t *root, json_t *vocabulary, json_t *looked_for)
{
    const json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i), *id = json_object_get(entry, "id");
        const char *content = json_string_value(json_object_get(entry, "content"));
        bool special = json_is_true(json_object_get(entry, "special"));
        if (!content || !content[0] || !json_is_integer(id))
            return ls_fail(LS_DATA, "%s: added_tokens[%zu] has no content or no id", path, i);
        const json_t *known = json_object_get(vocabulary, content);
        if (known && json_integer_value(known) != json_integer_value(id))
            return ls_fail(LS_DATA, "%s: \"%.80s\" has two numbers, %lld and %lld", path, content,
                           (long long)json_integer_value(known), (long long)json_integer_value(id));
        if (!known && json_object_set_new(vocabulary, content, json_integer(json_integer_value(id))) != 0)
            return ls_fail(LS_DATA, "%s: the model has no vocabulary", path);
        if (!special)
            json_array_append_new(looked_for, json_string(content));
    }
    return LS_OK;
}

/* *tokenizer stays NULL where it is not of GPT-2's form. */
static LsStatus read_single(const char *path, Gpt2 **tokenizer)
{
    LsStatus status = LS_OK;
    json_t *root = NULL, *looked_for = json_array();
    char *vocabulary_name = ls_format("%s, model.vocab", path), *merges_name = ls_format("%s, model.merges", path);
    Gpt2 *gpt2 = NULL;
    if (!looked_for || !vocabulary_name || !merges_name) {
        status = ls_fail(LS_RESOURCE, "out of memory while reading %s", path);
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_json_load(path, LS_DATA, &root));
    if (!is_form(root) || !has_plain_tokens(root))
        goto cleanup;
    json_t *model = json_object_get(root, "model"), *vocabulary = json_object_get(model, "vocab");
    LS_TRY_CLEANUP(add_tokens(path, root, vocabulary, looked_for));
    LS_TRY_CLEANUP(ls_gpt2_new(vocabulary, vocabulary_name, json_object_get(model, "merges"), merges_name, 0, &gpt2));
    gpt2->nfc = !is_off(root, "normalizer");
    LS_TRY_CLEANUP(ls_gpt2_set_added(gpt2, looked_for, path));
    *tokenizer = gpt2;
    gpt2 = NULL;
cleanup:
    ls_gpt2_free(gpt2);
    json_decref(root);
    json_decref(looked_for);
    ls_free(vocabulary_name);
    ls_free(merges_name);
    return status;
}

/* Reads both files if they are in the folder. */
static LsStatus read_if_there(const char *folder, const char *name, const char *other, Gpt2 **tokenizer)
{
    char *path = ls_format("%s/%s", folder, name), *other_path = ls_format("%s/%s", folder, other);
    LsStatus status = path && other_path ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && ls_file_exists(path) && ls_file_exists(other_path))
        status = read_pair(path, other_path, tokenizer);
    ls_free(path);
    ls_free(other_path);
    return status;
}

LsStatus ls_gpt2_read_folder(const char *folder, Gpt2 **tokenizer)
{
    *tokenizer = NULL;
    LS_TRY(read_if_there(folder, "encoder.json", "vocab.bpe", tokenizer));
    if (*tokenizer)
        return LS_OK;
    /* tokenizer.json comes before the pair that may stand beside it: only it tells of normal form and added tokens */
    char *path = ls_format("%s/tokenizer.json", folder);
    bool single = path && ls_file_exists(path), plain = false;
    LsStatus status = !path    ? LS_RESOURCE
                      : single ? read_single(path, tokenizer)
                               : read_if_there(folder, "vocab.json", "merges.txt", tokenizer);
    ls_free(path);
    if (status != LS_OK || !*tokenizer)
        return status;
    status = ls_gpt2_is_plain(folder, *tokenizer, single, &plain);
    if (status == LS_OK && plain)
        status = ls_gpt2_keep_beside(folder, *tokenizer);
    if (status != LS_OK || !plain) {
        ls_tokenizer_free(&(*tokenizer)->base);
        *tokenizer = NULL;
    }
    return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static LsStatus write_merges(const Gpt2 *gpt2, const json_t *merges, const char *folder)
{
    static const char head[] = "#version: 0.2\n";
    size_t bytes = sizeof head, at = sizeof head - 1;
    for (int64_t i = 0; i < gpt2->merges.count; i++)
        bytes += json_string_length(json_array_get(merges, (size_t)i)) + 1;
    char *text = ls_alloc(bytes), *path = ls_format("%s/merges.txt", folder);
    LsStatus status = text && path ? LS_OK : LS_RESOURCE;
    if (status == LS_OK) {
        memcpy(text, head, at);
        for (int64_t i = 0; i < gpt2->merges.count; i++) {
            const json_t *merge = json_array_get(merges, (size_t)i);
            memcpy(text + at, json_string_value(merge), json_string_length(merge));
            at += json_string_length(merge);
            text[at++] = '\n';
        }
        status = ls_file_replace(path, text, (int64_t)at);
    }
    ls_free(text);
    ls_free(path);
    return status;
}

/* The tokenizer_config.json that the export writes where none is kept. */
static json_t *config_json(const Gpt2 *gpt2)
{
    bool has_end = gpt2->base.end >= 0, plain = !gpt2->nfc && gpt2->added_count == 0;
    return ls_bytelevel_config_json(has_end && plain ? "GPT2Tokenizer" : "PreTrainedTokenizerFast",
                                    has_end ? LS_GPT2_END : NULL);
}

LsStatus ls_gpt2_write_folder(const Gpt2 *gpt2, const char *folder)
{
    if (json_object_get(gpt2->base.files, "tokenizer.json")) /* kept as it is, it says all of the vocabulary */
        return json_object_get(gpt2->base.files, "tokenizer_config.json")
                   ? LS_OK
                   : ls_bytelevel_write_config(folder, config_json(gpt2));
    json_t *vocabulary = ls_gpt2_vocabulary_json(gpt2), *merges = ls_gpt2_merges_json(gpt2),
           *added = ls_gpt2_added_json(gpt2), *single = NULL;
    /* what the pair of files cannot say, and transformers' GPT2Tokenizer would not do, is only in tokenizer.json; and
     * that class would add an end token of its own to a vocabulary without one */
    bool has_end = gpt2->base.end >= 0, plain = !gpt2->nfc && gpt2->added_count == 0;
    LsStatus status =
        vocabulary && merges && added ? LS_OK : ls_fail(LS_RESOURCE, "out of memory while writing the tokenizer");
    if (status == LS_OK && plain)
        status = ls_json_file_write(folder, "vocab.json", vocabulary);
    if (status == LS_OK && plain)
        status = write_merges(gpt2, merges, folder);
    if (status == LS_OK) {
        LsBytelevelForm form = {.level = true,
                                .words = true,
                                .nfc = gpt2->nfc,
                                .added = added,
                                .special = has_end ? LS_GPT2_END : NULL,
                                .special_id = gpt2->base.end};
        single = ls_bytelevel_json(json_incref(vocabulary), json_incref(merges), &form);
        status = ls_json_file_write(folder, "tokenizer.json", single);
    }
    if (status == LS_OK)
        status = ls_bytelevel_write_config(folder, config_json(gpt2));
    json_decref(vocabulary);
    json_decref(merges);
    json_decref(added);
    json_decref(single);
    return status;
}
