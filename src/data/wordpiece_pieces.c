/* The vocabulary of BERT's tokenizer, and words to pieces. */
#include "data/wordpiece.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MOST_TOKENS ((int64_t)1 << 24)

const char *const ls_wordpiece_roles[WORDPIECE_ROLES] = {"unknown", "begin", "end", "pad", "mask"};
const char *const ls_wordpiece_hf_roles[WORDPIECE_ROLES] = {"unk_token", "cls_token", "sep_token", "pad_token",
                                                            "mask_token"};

void ls_wordpiece_free(Wordpiece *wordpiece)
{
    if (!wordpiece)
        return;
    ls_free(wordpiece->prefix);
    ls_free(wordpiece->text);
    ls_free(wordpiece->start);
    ls_free(wordpiece->slot);
    ls_free(wordpiece->base.special);
    ls_free(wordpiece);
}

/* ---- Looking up -------------------------------------------------------------------------------------------------- */

/* Where a token stands in the table, or would. */
static int64_t find_slot(const Wordpiece *wordpiece, const char *key, int64_t bytes)
{
    int64_t at = (int64_t)(XXH3_64bits(key, (size_t)bytes) & (uint64_t)(wordpiece->slots - 1));
    for (; wordpiece->slot[at] >= 0; at = (at + 1) & (wordpiece->slots - 1)) {
        int64_t start = wordpiece->start[wordpiece->slot[at]];
        if (wordpiece->start[wordpiece->slot[at] + 1] - start == bytes &&
            memcmp(wordpiece->text + start, key, (size_t)bytes) == 0)
            break;
    }
    return at;
}

static int32_t find_token(const Wordpiece *wordpiece, const char *key, int64_t bytes)
{
    return wordpiece->slot[find_slot(wordpiece, key, bytes)];
}

static bool goes_on(char byte) { return ((unsigned char)byte & 0xC0) == 0x80; }

/* The id of the longest piece that word[from ..) begins with, and where it ends; -1: none. */
static int32_t longest_piece(const Wordpiece *wordpiece, const char *word, int64_t bytes, int64_t from, int64_t *end)
{
    int64_t least = from == 0 ? 1 : from; /* a space alone is no piece */
    *end = bytes - from < wordpiece->longest ? bytes : from + wordpiece->longest;
    for (; *end > least; --*end) {
        if (*end < bytes && goes_on(word[*end]))
            continue;
        int32_t id = find_token(wordpiece, word + from, *end - from);
        if (id >= 0)
            return id;
    }
    return -1;
}

LsStatus ls_wordpiece_cut(const Wordpiece *wordpiece, const char *word, int64_t bytes, int64_t characters,
                          LsTokens *tokens)
{
    int64_t before = tokens->count, from = 0, end = 0;
    LS_TRY(ls_tokens_reserve(tokens, bytes));
    while (from < bytes) {
        int32_t id =
            characters > wordpiece->rules.longest_word ? -1 : longest_piece(wordpiece, word, bytes, from, &end);
        if (id < 0) {
            tokens->count = before;
            tokens->id[tokens->count++] = wordpiece->role[WORDPIECE_UNKNOWN];
            break;
        }
        tokens->id[tokens->count++] = id;
        from = end;
    }
    return LS_OK;
}

const char *ls_wordpiece_name(const Wordpiece *wordpiece, int64_t id, char *room)
{
    int64_t start = wordpiece->start[id], bytes = wordpiece->start[id + 1] - start;
    if (bytes == 0)
        return NULL;
    bool word = wordpiece->text[start] == ' ';
    size_t first = word ? 0 : strlen(wordpiece->prefix);
    memcpy(room, wordpiece->prefix, first);
    memcpy(room + first, wordpiece->text + start + word, (size_t)(bytes - word));
    room[first + (size_t)(bytes - word)] = '\0';
    return room;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static bool flag(const json_t *object, const char *key) { return json_is_true(json_object_get(object, key)); }

/* Copies the names: a word gets a space, what goes on loses its prefix. */
static LsStatus copy_tokens(Wordpiece *wordpiece, const json_t *list, const char *name)
{
    int64_t at = 0, count = wordpiece->base.vocabulary;
    size_t prefix = strlen(wordpiece->prefix);
    for (int64_t id = 0; id < count; id++) {
        const json_t *entry = json_array_get(list, (size_t)id);
        const char *token = json_string_value(entry);
        wordpiece->start[id] = at;
        if (!token && !json_is_null(entry))
            return ls_fail(LS_DATA, "%s: token %lld of the vocabulary is no text", name, (long long)id);
        if (!token || !*token)
            continue;
        size_t bytes = strlen(token);
        bool further = bytes > prefix && strncmp(token, wordpiece->prefix, prefix) == 0;
        if (further) {
            token += prefix;
            bytes -= prefix;
        } else
            wordpiece->text[at++] = ' ';
        memcpy(wordpiece->text + at, token, bytes);
        at += (int64_t)bytes;
        if (at - wordpiece->start[id] > wordpiece->longest)
            wordpiece->longest = at - wordpiece->start[id];
    }
    wordpiece->start[count] = at;
    return LS_OK;
}

static LsStatus index_tokens(Wordpiece *wordpiece, const char *name)
{
    for (wordpiece->slots = 64; wordpiece->slots < 2 * wordpiece->base.vocabulary;)
        wordpiece->slots *= 2;
    wordpiece->slot = ls_alloc_array(wordpiece->slots, sizeof *wordpiece->slot);
    if (!wordpiece->slot)
        return LS_RESOURCE;
    memset(wordpiece->slot, 0xFF, (size_t)wordpiece->slots * sizeof *wordpiece->slot);
    for (int64_t id = 0; id < wordpiece->base.vocabulary; id++) {
        const char *key = wordpiece->text + wordpiece->start[id];
        int64_t bytes = wordpiece->start[id + 1] - wordpiece->start[id];
        int64_t at = bytes > 0 ? find_slot(wordpiece, key, bytes) : 0;
        if (bytes > 0 && wordpiece->slot[at] >= 0)
            return ls_fail(LS_DATA, "%s: tokens %d and %lld of the vocabulary are the same", name, wordpiece->slot[at],
                           (long long)id);
        if (bytes > 0)
            wordpiece->slot[at] = (int32_t)id;
    }
    return LS_OK;
}

static LsStatus fill_vocabulary(Wordpiece *wordpiece, const json_t *list, const char *name)
{
    int64_t bytes = 0, count = (int64_t)json_array_size(list);
    if (count < 1 || count > MOST_TOKENS)
        return ls_fail(LS_DATA, "%s: the vocabulary is no list of 1 to %lld tokens", name, (long long)MOST_TOKENS);
    for (int64_t id = 0; id < count; id++)
        bytes += 1 + (int64_t)json_string_length(json_array_get(list, (size_t)id));
    wordpiece->base.vocabulary = count;
    wordpiece->text = ls_alloc((size_t)bytes + 1);
    wordpiece->start = ls_alloc_array(count + 1, sizeof *wordpiece->start);
    if (!wordpiece->text || !wordpiece->start)
        return LS_RESOURCE;
    LS_TRY(copy_tokens(wordpiece, list, name));
    return index_tokens(wordpiece, name);
}

/* The id of a whole token, -1: none. */
static int32_t find_name(const Wordpiece *wordpiece, const char *token)
{
    char *key = ls_format(" %s", token);
    int32_t id = key ? find_token(wordpiece, key, (int64_t)strlen(key)) : -1;
    ls_free(key);
    return id;
}

static LsStatus fill_roles(Wordpiece *wordpiece, const json_t *object, const char *name)
{
    for (int role = 0; role < WORDPIECE_ROLES; role++) {
        const char *token = json_string_value(json_object_get(object, ls_wordpiece_roles[role]));
        wordpiece->role[role] = token ? find_name(wordpiece, token) : -1;
        if (wordpiece->role[role] < 0 && (token || role == WORDPIECE_UNKNOWN))
            return ls_fail(LS_DATA, "%s: the vocabulary has no token '%s' (%s)", name, token ? token : "",
                           ls_wordpiece_roles[role]);
    }
    wordpiece->base.begin = wordpiece->role[WORDPIECE_BEGIN];
    wordpiece->base.end = wordpiece->role[WORDPIECE_END];
    wordpiece->base.mask = wordpiece->role[WORDPIECE_MASK];
    wordpiece->base.unknown = wordpiece->role[WORDPIECE_UNKNOWN];
    wordpiece->base.frames = wordpiece->base.begin >= 0 && wordpiece->base.end >= 0;
    return LS_OK;
}

static int ascending(const void *a, const void *b)
{
    const int32_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static LsStatus fill_special(Wordpiece *wordpiece, const json_t *list, const char *name)
{
    size_t count = json_array_size(list);
    wordpiece->base.special = ls_alloc_array((int64_t)count + 1, sizeof *wordpiece->base.special);
    if (!wordpiece->base.special)
        return LS_RESOURCE;
    for (size_t i = 0; i < count; i++) {
        const char *token = json_string_value(json_array_get(list, i));
        int32_t id = token ? find_name(wordpiece, token) : -1;
        if (id < 0)
            return ls_fail(LS_DATA, "%s: the vocabulary has no special token '%s'", name, token ? token : "");
        wordpiece->base.special[wordpiece->base.specials++] = id;
        wordpiece->special_start[(unsigned char)*token] = true;
    }
    qsort(wordpiece->base.special, count, sizeof *wordpiece->base.special, ascending);
    return LS_OK;
}

static LsStatus fill(Wordpiece *wordpiece, const json_t *object, const char *name)
{
    const char *prefix = json_string_value(json_object_get(object, "prefix"));
    const json_t *longest = json_object_get(object, "longest_word"), *special = json_object_get(object, "special");
    if (!prefix || !*prefix || !json_is_integer(longest) || !json_is_array(special))
        return ls_fail(LS_DATA, "%s: lacks \"prefix\", \"longest_word\" or \"special\"", name);
    wordpiece->base = (LsTokenizer){.kind = &ls_tokenizer_kind_wordpiece};
    wordpiece->rules = (WordpieceRules){.clean = flag(object, "clean"),
                                        .ideographs = flag(object, "ideographs"),
                                        .strip_accents = flag(object, "strip_accents"),
                                        .lowercase = flag(object, "lowercase"),
                                        .whole_special = flag(object, "whole_special"),
                                        .longest_word = json_integer_value(longest)};
    wordpiece->prefix = ls_strdup(prefix);
    if (!wordpiece->prefix)
        return LS_RESOURCE;
    LS_TRY(fill_vocabulary(wordpiece, json_object_get(object, "vocabulary"), name));
    LS_TRY(fill_roles(wordpiece, object, name));
    LS_TRY(fill_special(wordpiece, special, name));
    ls_wordpiece_fill_tables(wordpiece);
    return LS_OK;
}

LsStatus ls_wordpiece_new(const json_t *object, const char *name, Wordpiece **wordpiece)
{
    Wordpiece *made = ls_alloc(sizeof *made);
    if (!made)
        return LS_RESOURCE;
    LsStatus status = fill(made, object, name);
    if (status == LS_OK)
        *wordpiece = made;
    else
        ls_wordpiece_free(made);
    return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

json_t *ls_wordpiece_json(const Wordpiece *wordpiece)
{
    const WordpieceRules *rules = &wordpiece->rules;
    char *room = ls_alloc((size_t)wordpiece->longest + strlen(wordpiece->prefix) + 1);
    json_t *list = json_array(), *special = json_array();
    json_t *object = json_pack("{s:b, s:b, s:b, s:b, s:b, s:I, s:s, s:o, s:o}", "clean", rules->clean, "ideographs",
                               rules->ideographs, "strip_accents", rules->strip_accents, "lowercase", rules->lowercase,
                               "whole_special", rules->whole_special, "longest_word", (json_int_t)rules->longest_word,
                               "prefix", wordpiece->prefix, "special", special, "vocabulary", list);
    for (int64_t id = 0; room && id < wordpiece->base.vocabulary; id++) {
        const char *name = ls_wordpiece_name(wordpiece, id, room);
        json_array_append_new(list, name ? json_string(name) : json_null());
    }
    for (int64_t i = 0; room && i < wordpiece->base.specials; i++)
        json_array_append_new(special, json_string(ls_wordpiece_name(wordpiece, wordpiece->base.special[i], room)));
    for (int role = 0; room && role < WORDPIECE_ROLES; role++)
        if (wordpiece->role[role] >= 0)
            json_object_set_new(object, ls_wordpiece_roles[role],
                                json_string(ls_wordpiece_name(wordpiece, wordpiece->role[role], room)));
    ls_free(room);
    return room ? object : NULL;
}
