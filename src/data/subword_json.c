/* The `tokenizers` library's tokenizer.json: vocabulary, merges, added tokens. What a file asks for and is not known
 * here is refused by name. */
#include "data/subword.h"

#include "data/bytelevel.h"
#include "data/characters.h"
#include "data/sentencepiece.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_TOKENS ((json_int_t)1 << 24) /* an id beyond is a damaged file: no vocabulary comes near */
#define MOST_HOLES 1024                   /* ids without a token, besides 16 for each that there is */

Subword *ls_subword_new(void)
{
    Subword *subword = ls_alloc(sizeof *subword);
    if (!subword)
        return NULL;
    subword->base = (LsTokenizer){&ls_tokenizer_kind_subword, 0, -1, -1, -1, -1};
    memset(subword->byte_id, 0xFF, sizeof subword->byte_id);
    return subword;
}

void ls_subword_free(Subword *subword)
{
    if (!subword)
        return;
    ls_subword_texts_free(&subword->names);
    ls_subword_texts_free(&subword->spoken);
    ls_free(subword->has);
    ls_free(subword->index.slot);
    ls_sentencepiece_free(subword->piece);
    ls_subword_added_free(&subword->raw);
    ls_subword_added_free(&subword->normal);
    for (int i = 0; i < subword->normal_steps; i++) {
        ls_free(subword->normals[i].find);
        ls_free(subword->normals[i].with);
        ls_free(subword->normals[i].expression);
        ls_regex_free(subword->normals[i].regex);
    }
    for (int i = 0; i < subword->split_steps; i++) {
        ls_free(subword->splits[i].find);
        ls_free(subword->splits[i].expression);
        ls_regex_free(subword->splits[i].regex);
    }
    ls_merges_free(&subword->merges);
    ls_free(subword->inner);
    ls_free(subword->base.special);
    ls_free(subword->base.ends);
    ls_free(subword->base.before);
    ls_free(subword->base.after);
    ls_free(subword);
}

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

bool ls_subword_is_type(const json_t *object, const char *type)
{
    const char *name = json_string_value(json_object_get(object, "type"));
    return name && strcmp(name, type) == 0;
}

bool ls_subword_is_off(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

LsStatus ls_subword_check_keys(const char *path, const char *where, const json_t *object, const char *known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        const char *place = known;
        size_t length = strlen(key);
        while ((place = strstr(place, key)) &&
               ((place != known && place[-1] != '|') || (place[length] != '\0' && place[length] != '|')))
            place++;
        if (!place)
            return ls_fail(LS_DATA, "%s: %s has the key %.80s, which this program does not know", path, where, key);
    }
    return LS_OK;
}

static const json_t *added_named(const json_t *root, const char *name)
{
    const json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(added, i), "content"));
        if (content && strcmp(content, name) == 0)
            return json_array_get(added, i);
    }
    return NULL;
}

json_int_t ls_subword_id_named(const json_t *root, const char *name)
{
    const json_t *added = added_named(root, name),
                 *id = added ? json_object_get(added, "id")
                             : json_object_get(json_object_get(json_object_get(root, "model"), "vocab"), name);
    return json_is_integer(id) ? json_integer_value(id) : -1;
}

/* ---- Vocabulary -------------------------------------------------------------------------------------------------- */

/* Checks an id, and counts it in. */
static LsStatus measure_token(const char *path, const char *name, const json_t *id, int64_t *vocabulary, int64_t *bytes)
{
    json_int_t number = json_integer_value(id);
    if (!json_is_integer(id) || number < 0 || number >= MOST_TOKENS)
        return ls_fail(LS_DATA, "%s: the number of the token \"%.80s\" is not an integer from 0 to %lld", path, name,
                       (long long)MOST_TOKENS - 1);
    if (!*name)
        return ls_fail(LS_DATA, "%s: has an empty token, number %lld", path, (long long)number);
    *vocabulary = number >= *vocabulary ? number + 1 : *vocabulary;
    *bytes += (int64_t)strlen(name);
    return LS_OK;
}

/* names by id: of the model's vocabulary, then of what is added. */
static LsStatus list_names(const char *path, const json_t *vocab, const json_t *added, int64_t vocabulary,
                           const char **names)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value)
    {
        const char **place = &names[json_integer_value(value)];
        if (*place)
            return ls_fail(LS_DATA, "%s: the tokens \"%.80s\" and \"%.80s\" have the same number %lld", path, *place,
                           key, (long long)json_integer_value(value));
        *place = key;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const char *content = json_string_value(json_object_get(entry, "content"));
        int64_t id = json_integer_value(json_object_get(entry, "id"));
        const json_t *known = json_object_get(vocab, content);
        if (known && json_integer_value(known) != id)
            return ls_fail(LS_DATA, "%s: \"%.80s\" has two numbers, %lld and %lld", path, content,
                           (long long)json_integer_value(known), (long long)id);
        if (names[id] && strcmp(names[id], content) != 0)
            return ls_fail(LS_DATA, "%s: the tokens \"%.80s\" and \"%.80s\" have the same number %lld", path, names[id],
                           content, (long long)id);
        names[id] = content;
    }
    (void)vocabulary;
    return LS_OK;
}

/* The bytes of a name of the alphabet of bytes into `to`; false where it has another character. */
static bool bytes_of_name(const char *name, char *to, int64_t *bytes)
{
    static int16_t byte_of[0x200];
    if (byte_of['!'] == 0) /* writing it twice does no harm */
        for (int code = 0x1FF; code >= 0; code--)
            byte_of[code] = (int16_t)ls_bytelevel_byte((uint32_t)code);
    int64_t length = (int64_t)strlen(name), count = 0;
    for (int64_t at = 0; at < length;) {
        uint32_t code = 0;
        int step = ls_utf8_decode(name + at, length - at, &code);
        int byte = step > 0 && code < LS_COUNT_OF(byte_of) ? byte_of[code] : -1;
        if (byte < 0)
            return false;
        to[count++] = (char)byte;
        at += step;
    }
    *bytes = count;
    return true;
}

/* The byte that "<0x0A>" stands for, -1 for other names. */
int ls_subword_byte_named(const char *name)
{
    unsigned byte;
    char end;
    return strlen(name) == 6 && sscanf(name, "<0x%2X%c", &byte, &end) == 2 && end == '>' && name[4] != '>' ? (int)byte
                                                                                                           : -1;
}

static LsStatus fill_names(Subword *subword, const char *const *names, const json_t *vocab)
{
    int64_t at = 0, length;
    for (int64_t id = 0; id < subword->base.vocabulary; id++) {
        subword->names.start[id] = at;
        if (!names[id])
            continue;
        char *to = subword->names.bytes + at;
        bool level = subword->level && bytes_of_name(names[id], to, &length);
        if (!level) {
            length = (int64_t)strlen(names[id]);
            memcpy(to, names[id], (size_t)length);
        }
        at += length;
        subword->names.start[id + 1] = at;
        subword->has[id] = true;
        if (!json_object_get(vocab, names[id]) || subword->level != level)
            continue; /* no word becomes it */
        ls_subword_index_add(&subword->index, &subword->names, (int32_t)id);
        if (level && length == 1)
            subword->byte_id[(unsigned char)*to] = (int32_t)id;
        int byte = level ? -1 : ls_subword_byte_named(names[id]);
        if (byte >= 0)
            subword->byte_id[byte] = (int32_t)id;
    }
    subword->names.start[subword->base.vocabulary] = at;
    return LS_OK;
}

static LsStatus read_vocabulary(const char *path, const json_t *root, Subword *subword)
{
    const json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab"),
                 *added = json_object_get(root, "added_tokens");
    const char *key;
    json_t *value;
    int64_t bytes = 0, *vocabulary = &subword->base.vocabulary;
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return ls_fail(LS_DATA, "%s: model.vocab is not an object of tokens and their numbers", path);
    json_object_foreach((json_t *)vocab, key, value) LS_TRY(measure_token(path, key, value, vocabulary, &bytes));
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const char *content = json_string_value(json_object_get(entry, "content"));
        if (!content || !*content || !json_is_integer(json_object_get(entry, "id")))
            return ls_fail(LS_DATA, "%s: added_tokens[%zu] has no content or no id", path, i);
        LS_TRY(measure_token(path, content, json_object_get(entry, "id"), vocabulary, &bytes));
    }
    int64_t tokens = (int64_t)(json_object_size(vocab) + json_array_size(added));
    if (*vocabulary > 16 * tokens + MOST_HOLES)
        return ls_fail(LS_DATA, "%s: the largest number is %lld, with only %lld tokens; the file is damaged", path,
                       (long long)*vocabulary - 1, (long long)tokens);
    const char **names = ls_alloc_array(*vocabulary, sizeof *names);
    subword->has = ls_alloc_array(*vocabulary, sizeof *subword->has);
    LsStatus status = names && subword->has ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        status = list_names(path, vocab, added, *vocabulary, names);
    if (status == LS_OK)
        status = ls_subword_texts_new(&subword->names, *vocabulary, bytes);
    if (status == LS_OK)
        status = ls_subword_index_new(&subword->index, (int64_t)json_object_size(vocab));
    if (status == LS_OK)
        status = fill_names(subword, names, vocab);
    ls_free(names);
    return status;
}

/* ---- Merges ------------------------------------------------------------------------------------------------------ */

#define LONGEST_MERGE 8192

/* The two parts of a merge, "left right" or [left, right], one after the other in room. */
static bool merge_parts(const json_t *entry, char *room, size_t size, char **right)
{
    const json_t *pair[2] = {json_array_get(entry, 0), json_array_get(entry, 1)};
    int length;
    if (json_is_array(entry)) {
        if (json_array_size(entry) != 2 || !json_is_string(pair[0]) || !json_is_string(pair[1]))
            return false;
        length = snprintf(room, size, "%s%c%s", json_string_value(pair[0]), 1, json_string_value(pair[1]));
        *right = length < (int)size ? room + json_string_length(pair[0]) : NULL;
    } else {
        if (!json_is_string(entry))
            return false;
        length = snprintf(room, size, "%s", json_string_value(entry));
        *right = length < (int)size ? strchr(room, ' ') : NULL;
        if (*right && strchr(*right + 1, ' '))
            return false;
    }
    if (!*right)
        return false;
    *(*right)++ = '\0';
    return *room && **right;
}

/* One merge: ids of both parts, and of the two as one. */
static LsStatus read_merge(const char *path, const json_t *vocab, const json_t *entry, int64_t number, LsMerge *merge)
{
    char room[LONGEST_MERGE + 2], joined[LONGEST_MERGE + 2], *right = NULL;
    if (!merge_parts(entry, room, sizeof room, &right))
        return ls_fail(LS_DATA, "%s, model.merges %lld: is not two tokens with one space between them", path,
                       (long long)number);
    snprintf(joined, sizeof joined, "%s%s", room, right);
    const char *const names[3] = {room, right, joined};
    int32_t *const ids[3] = {&merge->left, &merge->right, &merge->result};
    for (int i = 0; i < 3; i++) {
        const json_t *id = json_object_get(vocab, names[i]);
        if (!id)
            return ls_fail(LS_DATA,
                           "%s, model.merges %lld: the token \"%.80s\" is not in the vocabulary; the two do not belong "
                           "together",
                           path, (long long)number, names[i]);
        *ids[i] = (int32_t)json_integer_value(id);
    }
    return LS_OK;
}

static LsStatus read_merges(const char *path, const json_t *model, Subword *subword)
{
    const json_t *list = json_object_get(model, "merges"), *vocab = json_object_get(model, "vocab");
    if (!json_is_array(list) || json_array_size(list) >= (size_t)LS_NO_RANK)
        return ls_fail(LS_DATA, "%s, model.merges list: is missing, or not a list", path);
    subword->merges.count = (int64_t)json_array_size(list);
    subword->merges.list = ls_alloc_array(subword->merges.count, sizeof *subword->merges.list);
    if (!subword->merges.list)
        return LS_RESOURCE;
    for (int64_t i = 0; i < subword->merges.count; i++)
        LS_TRY(read_merge(path, vocab, json_array_get(list, (size_t)i), i, &subword->merges.list[i]));
    LS_TRY(ls_merges_index(&subword->merges));
    for (int64_t i = 0; i < subword->merges.count; i++) {
        const LsMerge *merge = &subword->merges.list[i];
        if (ls_merges_rank(&subword->merges, merge->left, merge->right) != i)
            return ls_fail(LS_DATA, "%s, model.merges %lld: is there twice", path, (long long)i);
    }
    return subword->level ? LS_OK : ls_subword_inner(subword);
}

/* ---- Model ------------------------------------------------------------------------------------------------------- */

static LsStatus read_flags(const char *path, const json_t *root, Subword *subword)
{
    const json_t *model = json_object_get(root, "model"), *type = json_object_get(model, "type");
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    if (!json_object_get(model, "merges") || (type && !ls_subword_is_type(model, "BPE")))
        return ls_fail(LS_DATA, "%s: the model is %s, not BPE; this program does not know it", path,
                       json_is_string(type) ? json_string_value(type) : "of no type");
    for (size_t i = 0; i < LS_COUNT_OF(off); i++) {
        const json_t *value = json_object_get(model, off[i]);
        if (!ls_subword_is_off(model, off[i]) && !(json_is_number(value) && json_number_value(value) == 0))
            return ls_fail(LS_DATA, "%s: model.%s is set, which this program does not know", path, off[i]);
    }
    subword->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    subword->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    subword->whole_words = json_is_true(json_object_get(model, "ignore_merges"));
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    if (unknown && *unknown && !subword->level) { /* over bytes nothing is unknown */
        subword->base.unknown = (int64_t)ls_subword_id_named(root, unknown);
        if (subword->base.unknown < 0)
            return ls_fail(LS_DATA, "%s: model.unk_token \"%.80s\" is not in the vocabulary", path, unknown);
    }
    return ls_subword_check_keys(path, "model", model,
                                 "type|dropout|unk_token|continuing_subword_prefix|end_of_word_suffix|fuse_unk|byte_"
                                 "fallback|ignore_merges|vocab|merges");
}

/* A merge of tokens that stand for bytes would join what is no characters. */
static LsStatus check_bytes(const char *path, Subword *subword)
{
    subword->all_bytes = true;
    for (int byte = 0; byte < 256; byte++)
        subword->all_bytes = subword->all_bytes && subword->byte_id[byte] >= 0;
    for (int64_t i = 0; i < subword->merges.count && !subword->level && subword->byte_fallback; i++)
        for (int byte = 0; byte < 256; byte++)
            if (subword->merges.list[i].left == subword->byte_id[byte] ||
                subword->merges.list[i].right == subword->byte_id[byte])
                return ls_fail(LS_DATA, "%s: model.merges joins <0x%02X>, which this program does not know", path,
                               byte);
    return LS_OK;
}

/* ---- Added tokens ------------------------------------------------------------------------------------------------ */

static LsStatus add_token(Subword *subword, const json_t *entry)
{
    const char *content = json_string_value(json_object_get(entry, "content"));
    bool special = json_is_true(json_object_get(entry, "special"));
    const json_t *normalized = json_object_get(entry, "normalized");
    SubwordAdded added = {.id = (int32_t)json_integer_value(json_object_get(entry, "id")),
                          .single_word = json_is_true(json_object_get(entry, "single_word")),
                          .lstrip = json_is_true(json_object_get(entry, "lstrip")),
                          .rstrip = json_is_true(json_object_get(entry, "rstrip")),
                          .normalized = normalized ? json_is_true(normalized) : !special,
                          .special = special};
    SubwordAddedSet *set = added.normalized ? &subword->normal : &subword->raw;
    SubwordMemory memory = {.pattern = ls_pattern_new()};
    int64_t bytes = (int64_t)strlen(content);
    LsStatus status = memory.pattern ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && added.normalized)
        status = ls_subword_normal(subword, &memory, content, bytes, false, &content, &bytes);
    added.text = status == LS_OK ? ls_alloc((size_t)bytes + 1) : NULL;
    if (added.text) {
        memcpy(added.text, content, (size_t)bytes);
        added.bytes = bytes;
        set->list[set->count++] = added;
    } else if (status == LS_OK)
        status = LS_RESOURCE;
    ls_pattern_free(memory.pattern);
    for (size_t i = 0; i < LS_COUNT_OF(memory.room); i++)
        ls_free(memory.room[i]);
    return status;
}

static int ascending(const void *a, const void *b)
{
    return (*(const int32_t *)a > *(const int32_t *)b) - (*(const int32_t *)a < *(const int32_t *)b);
}

static LsStatus read_added(const char *path, const json_t *root, Subword *subword)
{
    const json_t *list = json_object_get(root, "added_tokens");
    int64_t count = (int64_t)json_array_size(list);
    subword->raw.list = ls_alloc_array(count, sizeof *subword->raw.list);
    subword->normal.list = ls_alloc_array(count, sizeof *subword->normal.list);
    subword->base.special = ls_alloc_array(count, sizeof *subword->base.special);
    if (!subword->raw.list || !subword->normal.list || !subword->base.special)
        return LS_RESOURCE;
    for (int64_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(list, (size_t)i);
        LS_TRY(ls_subword_check_keys(path, "added_tokens", entry,
                                     "id|content|single_word|lstrip|rstrip|normalized|special|__type"));
        LS_TRY(add_token(subword, entry));
        if (json_is_true(json_object_get(entry, "special")))
            subword->base.special[subword->base.specials++] = (int32_t)json_integer_value(json_object_get(entry, "id"));
    }
    if (count > 0)
        qsort(subword->base.special, (size_t)subword->base.specials, sizeof(int32_t), ascending);
    LS_TRY(ls_subword_added_index(&subword->raw));
    return ls_subword_added_index(&subword->normal);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Whether no merge joins a letter and what a blank becomes. */
static bool signs_part(const Subword *subword)
{
    for (int64_t slot = 0; slot < subword->inner_slots; slot++) {
        uint32_t left = (uint32_t)(subword->inner[slot] >> 32), right = (uint32_t)subword->inner[slot], code;
        if (!ls_is_cut_letter(left))
            continue;
        for (int i = 0; i < subword->normal_steps; i++) {
            const char *with = subword->normals[i].kind == SUBWORD_REPLACE ? subword->normals[i].with : "";
            if (*with && ls_utf8_decode(with, (int64_t)strlen(with), &code) > 0 && code == right)
                return false;
        }
        for (int i = 0; i < subword->split_steps; i++) {
            const char *sign = subword->splits[i].sign;
            if (*sign && ls_utf8_decode(sign, (int64_t)strlen(sign), &code) > 0 && code == right)
                return false;
        }
    }
    return true;
}

/* Whether texts may be read in parts: no step looks across a blank after a letter, and every word, or every merge, ends
 * there. */
static bool is_cuttable(const Subword *subword)
{
    bool local = true, cuts = false;
    for (int i = 0; i < subword->normal_steps; i++)
        if (subword->normals[i].kind == SUBWORD_REPLACE)
            local = local && subword->normals[i].find && strcmp(subword->normals[i].find, " ") == 0;
    for (int i = 0; i < subword->split_steps; i++) {
        const SubwordSplitStep *step = &subword->splits[i];
        bool inserts =
            step->kind == SUBWORD_BYTELEVEL ? step->prepend != SUBWORD_NEVER : step->prepend == SUBWORD_ALWAYS;
        local = local && !(inserts && i > 0) && (step->local || step->cuts);
        cuts = cuts || step->cuts;
    }
    bool fuses = subword->fuse_unknown && subword->base.unknown >= 0 && !subword->all_bytes;
    return local && (subword->level ? cuts : !fuses) && ls_subword_added_cuttable(&subword->raw) &&
           ls_subword_added_cuttable(&subword->normal);
}

LsStatus ls_subword_read_json(const char *path, const json_t *root, Subword *subword)
{
    static const char *const off[] = {"truncation", "padding"};
    LS_TRY(ls_subword_check_keys(path, "it", root,
                                 "version|truncation|padding|added_tokens|normalizer|pre_tokenizer|post_processor|"
                                 "decoder|model"));
    for (size_t i = 0; i < LS_COUNT_OF(off); i++)
        if (!ls_subword_is_off(root, off[i]))
            return ls_fail(LS_DATA,
                           "%s: %s is set; this program neither cuts texts short nor fills them up while it "
                           "reads them: set it to null",
                           path, off[i]);
    LS_TRY(ls_subword_read_splits(path, json_object_get(root, "pre_tokenizer"), subword));
    LS_TRY(read_flags(path, root, subword));
    LS_TRY(read_vocabulary(path, root, subword));
    LS_TRY(read_merges(path, json_object_get(root, "model"), subword));
    LS_TRY(check_bytes(path, subword));
    LS_TRY(ls_subword_read_normalizer(path, json_object_get(root, "normalizer"), subword));
    LS_TRY(read_added(path, root, subword));
    LS_TRY(ls_subword_read_decoder(path, json_object_get(root, "decoder"), subword));
    LS_TRY(ls_subword_read_template(path, json_object_get(root, "post_processor"), subword));
    subword->signs_part = signs_part(subword);
    subword->cuttable = is_cuttable(subword);
    return LS_OK;
}
