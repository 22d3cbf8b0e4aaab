/* The older pair of files, vocab.json and merges.txt, in the form of tokenizer.json: what transformers' classes make of
 * them. */
#include "data/subword.h"

#define END_OF_TEXT "<|endoftext|>"

/* The classes of tokenizer_config.json that are known, without "Fast". */
static const struct {
    const char *name, *normalizer, *pre_tokenizer;
} classes[] = {
    {"GPT2Tokenizer", "null", "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}"},
    {"Qwen2Tokenizer", "{\"type\": \"NFC\"}",
     "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
     "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
     "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": "
     "\"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": "
     "false}]}"},
};

/* The lines of merges.txt; blank ones are only allowed at the end. */
static LsStatus merges_of(const char *path, const json_t *files, json_t **merges)
{
    const char *at = json_string_value(json_object_get(files, "merges.txt"));
    *merges = json_array();
    if (!at)
        return ls_fail(LS_DATA, "%s/merges.txt: is no text (UTF-8 without NUL)", path);
    size_t left = strlen(at);
    while (left > 0 && (at[left - 1] == '\n' || at[left - 1] == '\r'))
        left--;
    for (int64_t line = 1; left > 0; line++) {
        const char *end = memchr(at, '\n', left);
        size_t whole = end ? (size_t)(end - at) + 1 : left, length = end ? whole - 1 : left;
        if (length > 0 && at[length - 1] == '\r')
            length--;
        bool head = line == 1 && length >= 8 && memcmp(at, "#version", 8) == 0;
        if (!head && json_array_append_new(*merges, json_stringn(at, length)) != 0)
            return ls_fail(LS_RESOURCE, "out of memory for merges.txt");
        at += whole;
        left -= whole;
    }
    return LS_OK;
}

static LsStatus class_of(const char *path, const json_t *config, size_t *class)
{
    const char *name = json_string_value(json_object_get(config, "tokenizer_class"));
    size_t length = name ? strlen(name) : 0;
    if (length > 4 && strcmp(name + length - 4, "Fast") == 0)
        length -= 4;
    for (*class = 0; name && *class < LS_COUNT_OF(classes); ++*class)
        if (strlen(classes[*class].name) == length && strncmp(name, classes[*class].name, length) == 0)
            return LS_OK;
    if (!name || (length == 23 && strncmp(name, "PreTrainedTokenizerFast", 19) == 0)) {
        *class = 0;
        return LS_OK;
    }
    return ls_fail(LS_DATA,
                   "%s/tokenizer_config.json: of the class %.80s this program reads only tokenizer.json, which is not "
                   "there",
                   path, name);
}

/* transformers' classes name this token where the files name none. */
static void name_usual_end(const json_t *config, json_t *vocab, json_t *root)
{
    const json_t *id = json_object_get(vocab, END_OF_TEXT);
    if (id && !json_object_get(config, "added_tokens_decoder"))
        json_array_append_new(
            json_object_get(root, "added_tokens"),
            json_pack("{s:O, s:s, s:b, s:b}", "id", id, "content", END_OF_TEXT, "normalized", 0, "special", 1));
}

LsStatus ls_subword_pair_json(const char *path, const json_t *files, json_t **root)
{
    json_t *config = NULL, *vocab = NULL, *merges = NULL;
    size_t class = 0;
    LsStatus status = LS_OK;
    *root = NULL;
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "tokenizer_config.json", &config));
    LS_TRY_CLEANUP(ls_subword_parse_file(path, files, "vocab.json", &vocab));
    LS_TRY_CLEANUP(merges_of(path, files, &merges));
    LS_TRY_CLEANUP(class_of(path, config, &class));
    json_t *normalizer = json_loads(classes[class].normalizer, JSON_DECODE_ANY, NULL),
           *pre_tokenizer = json_loads(classes[class].pre_tokenizer, 0, NULL);
    if (json_is_true(json_object_get(config, "add_prefix_space")) && ls_subword_is_type(pre_tokenizer, "ByteLevel"))
        json_object_set_new(pre_tokenizer, "add_prefix_space", json_true());
    *root = json_pack("{s:[], s:o, s:o, s:{s:s}, s:{s:s, s:O, s:O}}", "added_tokens", "normalizer", normalizer,
                      "pre_tokenizer", pre_tokenizer, "decoder", "type", "ByteLevel", "model", "type", "BPE", "vocab",
                      vocab, "merges", merges);
    if (!*root)
        status = ls_fail(LS_RESOURCE, "out of memory for vocab.json and merges.txt");
    else
        name_usual_end(config, vocab, *root);
cleanup:
    json_decref(config);
    json_decref(vocab);
    json_decref(merges);
    return status;
}
