/* The files in which vocabularies of GPT-2's form come: OpenAI's pair, Hugging Face's pair, and the `tokenizers` library's single one. */
#include "data/bytelevel.h"
#include "data/gpt2.h"
#include "io/file.h"

#include <string.h>

/* ---- Reading ------------------------------------------------------------------------------------------------------------------ */

/* The lines of merges.txt or vocab.bpe as an array; *first gets the number of the first that is a merge. Blank lines are only
 * allowed at the end, so that numbers in messages are lines. */
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
        status = ls_json_file_read(vocabulary_path, &vocabulary);
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
    return !value || json_is_null(value) || json_is_false(value) || (json_is_string(value) && json_string_length(value) == 0);
}

/* Refuses what would give other ids than the file's own library does. */
static LsStatus check_form(const char *path, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *split = json_object_get(root, "pre_tokenizer");
    static const char *const off[] = {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
                                      "ignore_merges"};
    if (!is_type(model, "BPE"))
        return ls_fail(LS_DATA, "%s: the model is not BPE; only byte-pair encoding of GPT-2's form can be read", path);
    for (size_t i = 0; i < LS_COUNT_OF(off); i++)
        if (!is_off(model, off[i]) && strcmp(off[i], "unk_token") != 0) /* over bytes nothing is unknown */
            return ls_fail(LS_DATA, "%s: model.%s is set, which this program does not know", path, off[i]);
    if (!is_off(root, "normalizer"))
        return ls_fail(LS_DATA, "%s: has a normalizer, which this program does not know", path);
    if (!is_type(split, "ByteLevel") || !is_off(split, "add_prefix_space") || json_is_false(json_object_get(split, "use_regex")))
        return ls_fail(LS_DATA, "%s: the pre_tokenizer is not GPT-2's (ByteLevel, add_prefix_space false, use_regex true)", path);
    return LS_OK;
}

/* Special tokens join the vocabulary; the text never contains them. */
static LsStatus add_special(const char *path, const json_t *root, json_t *vocabulary)
{
    const json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i), *id = json_object_get(entry, "id");
        const char *content = json_string_value(json_object_get(entry, "content"));
        if (!content || !json_is_integer(id))
            return ls_fail(LS_DATA, "%s: added_tokens[%zu] has no content or no id", path, i);
        if (!json_is_true(json_object_get(entry, "special")))
            return ls_fail(LS_DATA, "%s: added_tokens[%zu] (\"%.80s\") is not special: it would be looked for in texts, which this program "
                                    "does not do",
                           path, i, content);
        const json_t *known = json_object_get(vocabulary, content);
        if (known && json_integer_value(known) != json_integer_value(id))
            return ls_fail(LS_DATA, "%s: \"%.80s\" has two numbers, %lld and %lld", path, content, (long long)json_integer_value(known),
                           (long long)json_integer_value(id));
        if (!known && json_object_set_new(vocabulary, content, json_integer(json_integer_value(id))) != 0)
            return ls_fail(LS_RESOURCE, "out of memory while reading %s", path);
    }
    return LS_OK;
}

static LsStatus read_single(const char *path, Gpt2 **tokenizer)
{
    json_t *root = NULL;
    char *vocabulary_name = ls_format("%s, model.vocab", path), *merges_name = ls_format("%s, model.merges", path);
    LsStatus status = vocabulary_name && merges_name ? ls_json_file_read(path, &root) : LS_RESOURCE;
    if (status == LS_OK)
        status = check_form(path, root);
    json_t *model = json_object_get(root, "model"), *vocabulary = json_object_get(model, "vocab");
    if (status == LS_OK)
        status = add_special(path, root, vocabulary);
    if (status == LS_OK)
        status = ls_gpt2_new(vocabulary, vocabulary_name, json_object_get(model, "merges"), merges_name, 0, tokenizer);
    json_decref(root);
    ls_free(vocabulary_name);
    ls_free(merges_name);
    return status;
}

LsStatus ls_gpt2_read_folder(const char *folder, Gpt2 **tokenizer)
{
    static const char *const pairs[][2] = {{"encoder.json", "vocab.bpe"}, {"vocab.json", "merges.txt"}};
    LsStatus status = LS_OK;
    *tokenizer = NULL;
    for (size_t i = 0; i < LS_COUNT_OF(pairs) && status == LS_OK && !*tokenizer; i++) {
        char *vocabulary = ls_format("%s/%s", folder, pairs[i][0]), *merges = ls_format("%s/%s", folder, pairs[i][1]);
        if (!vocabulary || !merges)
            status = LS_RESOURCE;
        else if (ls_file_exists(vocabulary) && ls_file_exists(merges))
            status = read_pair(vocabulary, merges, tokenizer);
        ls_free(vocabulary);
        ls_free(merges);
    }
    if (status != LS_OK || *tokenizer)
        return status;
    char *single = ls_format("%s/tokenizer.json", folder);
    if (!single)
        return LS_RESOURCE;
    if (ls_file_exists(single))
        status = read_single(single, tokenizer);
    ls_free(single);
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------------------ */

static LsStatus write_merges(const Gpt2 *gpt2, const json_t *merges, const char *folder)
{
    static const char head[] = "#version: 0.2\n";
    size_t bytes = sizeof head, at = sizeof head - 1;
    for (int64_t i = 0; i < gpt2->merges; i++)
        bytes += json_string_length(json_array_get(merges, (size_t)i)) + 1;
    char *text = ls_alloc(bytes), *path = ls_format("%s/merges.txt", folder);
    LsStatus status = text && path ? LS_OK : LS_RESOURCE;
    if (status == LS_OK) {
        memcpy(text, head, at);
        for (int64_t i = 0; i < gpt2->merges; i++) {
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

LsStatus ls_gpt2_write_folder(const Gpt2 *gpt2, const char *folder)
{
    json_t *vocabulary = ls_gpt2_vocabulary_json(gpt2), *merges = ls_gpt2_merges_json(gpt2), *single = NULL;
    bool has_end = gpt2->base.end >= 0;
    LsStatus status = vocabulary && merges ? LS_OK : ls_fail(LS_RESOURCE, "out of memory while writing the tokenizer");
    if (status == LS_OK)
        status = ls_json_file_write(folder, "vocab.json", vocabulary);
    if (status == LS_OK)
        status = write_merges(gpt2, merges, folder);
    if (status == LS_OK) {
        LsBytelevelForm form = {.level = true, .words = true, .special = has_end ? LS_GPT2_END : NULL, .special_id = gpt2->base.end};
        single = ls_bytelevel_json(json_incref(vocabulary), json_incref(merges), &form);
        status = ls_json_file_write(folder, "tokenizer.json", single);
    }
    /* transformers' GPT2Tokenizer would add an end token of its own to a vocabulary without one */
    if (status == LS_OK)
        status = ls_bytelevel_write_config(folder, has_end ? "GPT2Tokenizer" : "PreTrainedTokenizerFast", has_end ? LS_GPT2_END : NULL);
    json_decref(vocabulary);
    json_decref(merges);
    json_decref(single);
    return status;
}
