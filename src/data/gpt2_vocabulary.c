/* GPT-2's vocabulary and merges: from JSON and files, checked, and back. */
#include "data/bytelevel.h"
#include "data/gpt2.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

#define MOST_TOKENS ((json_int_t)1 << 24) /* an id beyond is a damaged file: no vocabulary comes near */

void ls_gpt2_free(Gpt2 *gpt2)
{
    if (!gpt2)
        return;
    ls_gpt2_pattern_free(gpt2->pattern);
    ls_free(gpt2->bytes);
    ls_free(gpt2->start);
    ls_free(gpt2->form);
    ls_merges_free(&gpt2->merges);
    ls_free(gpt2->added);
    ls_free(gpt2);
}

/* ---- From JSON --------------------------------------------------------------------------------------------------- */

/* The bytes that a token's name stands for into `to` (as many as the name at most). False where the name is not of the
 * alphabet of bytes; then it is copied as it is. */
static bool token_from_name(const char *name, char *to, int64_t *bytes)
{
    static int16_t byte_of[0x200];
    /* a table, since a vocabulary asks half a million times; writing it twice does no harm */
    if (byte_of['!'] == 0)
        for (int code = 0x1FF; code >= 0; code--)
            byte_of[code] = (int16_t)ls_bytelevel_byte((uint32_t)code);
    int64_t length = (int64_t)strlen(name), count = 0;
    for (int64_t at = 0; at < length;) {
        uint32_t code = 0;
        int step = ls_utf8_decode(name + at, length - at, &code);
        int byte = step > 0 && code < LS_COUNT_OF(byte_of) ? byte_of[code] : -1;
        if (byte < 0) {
            memcpy(to, name, (size_t)length);
            *bytes = length;
            return false;
        }
        to[count++] = (char)byte;
        at += step;
    }
    *bytes = count;
    return true;
}

/* Checks ids and counts: *vocabulary gets one more than the largest id, *bytes the room for all names. */
static LsStatus measure_vocabulary(const json_t *object, const char *name, int64_t *vocabulary, int64_t *bytes)
{
    const char *key;
    json_t *value;
    *vocabulary = *bytes = 0;
    if (!json_is_object(object) || json_object_size(object) == 0)
        return ls_fail(LS_DATA, "%s: is not an object of tokens and their numbers", name);
    json_object_foreach((json_t *)object, key, value)
    {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= MOST_TOKENS)
            return ls_fail(LS_DATA, "%s: the number of the token \"%.80s\" is not an integer from 0 to %lld", name, key,
                           (long long)MOST_TOKENS - 1);
        if (!key[0])
            return ls_fail(LS_DATA, "%s: has an empty token, number %lld", name, (long long)id);
        if (id >= *vocabulary)
            *vocabulary = id + 1;
        *bytes += (int64_t)strlen(key);
    }
    if (*vocabulary > 16 * (int64_t)json_object_size(object) + 1024)
        return ls_fail(LS_DATA, "%s: the largest number is %lld, with only %zu tokens; the file is damaged", name,
                       (long long)*vocabulary - 1, json_object_size(object));
    return LS_OK;
}

static LsStatus fill_tokens(Gpt2 *gpt2, const json_t *object, const char *vocabulary_name)
{
    int64_t vocabulary = gpt2->base.vocabulary, at = 0, bytes;
    const char *key;
    json_t *value;
    const char **name = ls_alloc_array(vocabulary, sizeof *name);
    if (!name)
        return LS_RESOURCE;
    json_object_foreach((json_t *)object, key, value)
    {
        const char **place = &name[json_integer_value(value)];
        if (*place) {
            LsStatus status = ls_fail(LS_DATA, "%s: the tokens \"%.80s\" and \"%.80s\" have the same number %lld",
                                      vocabulary_name, *place, key, (long long)json_integer_value(value));
            ls_free(name);
            return status;
        }
        *place = key;
    }
    memset(gpt2->byte_id, 0xFF, sizeof gpt2->byte_id);
    for (int64_t id = 0; id < vocabulary; id++) {
        gpt2->start[id] = at;
        if (!name[id])
            continue;
        gpt2->form[id] = token_from_name(name[id], gpt2->bytes + at, &bytes) ? GPT2_LEVEL : GPT2_RAW;
        if (bytes == 1 && gpt2->form[id] == GPT2_LEVEL)
            gpt2->byte_id[(unsigned char)gpt2->bytes[at]] = (int32_t)id;
        if (strcmp(name[id], LS_GPT2_END) == 0)
            gpt2->base.end = id;
        at += bytes;
    }
    gpt2->start[vocabulary] = at;
    ls_free(name);
    return LS_OK;
}

/* The two parts of a merge, "left right" or [left, right], into room; false where it is neither. */
static bool merge_parts(const json_t *entry, char *room, size_t size, const char **left, const char **right)
{
    if (json_is_array(entry) && json_array_size(entry) == 2) {
        *left = json_string_value(json_array_get(entry, 0));
        *right = json_string_value(json_array_get(entry, 1));
        return *left && *right && !strchr(*left, ' ') && !strchr(*right, ' ');
    }
    const char *text = json_string_value(entry);
    if (!text || strlen(text) >= size)
        return false;
    memcpy(room, text, strlen(text) + 1);
    char *space = strchr(room, ' ');
    if (!space || strchr(space + 1, ' '))
        return false;
    *space = '\0';
    *left = room;
    *right = space + 1;
    return true;
}

#define LONGEST_MERGE 8192

static LsStatus fill_merges(Gpt2 *gpt2, const json_t *vocabulary, const json_t *merges, const char *merges_name,
                            int64_t first)
{
    char room[LONGEST_MERGE], joined[2 * LONGEST_MERGE];
    for (int64_t i = 0; i < gpt2->merges.count; i++) {
        const char *left, *right;
        if (!merge_parts(json_array_get(merges, (size_t)i), room, sizeof room, &left, &right) || !*left || !*right)
            return ls_fail(LS_DATA, "%s %lld: is not two tokens with one space between them", merges_name,
                           (long long)(first + i));
        if (snprintf(joined, sizeof joined, "%s%s", left, right) >= (int)sizeof joined)
            return ls_fail(LS_DATA, "%s %lld: is longer than %zu bytes", merges_name, (long long)(first + i),
                           sizeof joined - 1);
        const json_t *left_id = json_object_get(vocabulary, left), *right_id = json_object_get(vocabulary, right);
        const json_t *result_id = json_object_get(vocabulary, joined);
        if (!left_id || !right_id || !result_id)
            return ls_fail(
                LS_DATA, "%s %lld: the token \"%.80s\" is not in the vocabulary; the two files do not belong together",
                merges_name, (long long)(first + i),
                !left_id    ? left
                : !right_id ? right
                            : joined);
        gpt2->merges.list[i] = (LsMerge){(int32_t)json_integer_value(left_id), (int32_t)json_integer_value(right_id),
                                         (int32_t)json_integer_value(result_id)};
    }
    return LS_OK;
}

LsStatus ls_gpt2_new(const json_t *vocabulary, const char *vocabulary_name, const json_t *merges,
                     const char *merges_name, int64_t first, Gpt2 **tokenizer)
{
    LsStatus status = LS_OK;
    int64_t count = 0, bytes = 0;
    LS_TRY(measure_vocabulary(vocabulary, vocabulary_name, &count, &bytes));
    if (!json_is_array(merges) || json_array_size(merges) >= (size_t)LS_NO_RANK)
        return ls_fail(LS_DATA, "%s list: is missing, or not a list", merges_name);
    Gpt2 *gpt2 = ls_alloc(sizeof *gpt2);
    if (!gpt2)
        return LS_RESOURCE;
    gpt2->base = (LsTokenizer){&ls_tokenizer_kind_gpt2, count, -1, -1, -1, -1};
    gpt2->merges.count = (int64_t)json_array_size(merges);
    gpt2->bytes = ls_alloc((size_t)bytes);
    gpt2->start = ls_alloc_array(count + 1, sizeof *gpt2->start);
    gpt2->form = ls_alloc_array(count, sizeof *gpt2->form);
    gpt2->merges.list = ls_alloc_array(gpt2->merges.count, sizeof *gpt2->merges.list);
    if (!gpt2->bytes || !gpt2->start || !gpt2->form || !gpt2->merges.list) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    LS_TRY_CLEANUP(fill_tokens(gpt2, vocabulary, vocabulary_name));
    LS_TRY_CLEANUP(fill_merges(gpt2, vocabulary, merges, merges_name, first));
    LS_TRY_CLEANUP(ls_merges_index(&gpt2->merges));
    LS_TRY_CLEANUP(ls_gpt2_pattern_new(&gpt2->pattern));
    *tokenizer = gpt2;
    return LS_OK;
cleanup:
    ls_gpt2_free(gpt2);
    return status;
}

/* ---- Back to JSON ------------------------------------------------------------------------------------------------ */

/* The name of a token, NUL-terminated, into room of at least twice its bytes and one. */
static void token_name(const Gpt2 *gpt2, int64_t id, char *room)
{
    const char *bytes = gpt2->bytes + gpt2->start[id];
    int64_t count = gpt2->start[id + 1] - gpt2->start[id], at = 0;
    for (int64_t i = 0; i < count; i++)
        if (gpt2->form[id] == GPT2_RAW)
            room[at++] = bytes[i];
        else
            at += ls_utf8_encode(ls_bytelevel_code((unsigned char)bytes[i]), room + at);
    room[at] = '\0';
}

static char *name_room(const Gpt2 *gpt2)
{
    int64_t longest = 0;
    for (int64_t id = 0; id < gpt2->base.vocabulary; id++)
        if (gpt2->start[id + 1] - gpt2->start[id] > longest)
            longest = gpt2->start[id + 1] - gpt2->start[id];
    return ls_alloc((size_t)(4 * longest + 8)); /* two names and a space */
}

json_t *ls_gpt2_vocabulary_json(const Gpt2 *gpt2)
{
    char *room = name_room(gpt2);
    json_t *object = room ? json_object() : NULL;
    for (int64_t id = 0; object && id < gpt2->base.vocabulary; id++)
        if (gpt2->form[id] != GPT2_HOLE) {
            token_name(gpt2, id, room);
            json_object_set_new(object, room, json_integer(id));
        }
    ls_free(room);
    return object;
}

json_t *ls_gpt2_merges_json(const Gpt2 *gpt2)
{
    char *room = name_room(gpt2);
    json_t *array = room ? json_array() : NULL;
    for (int64_t i = 0; array && i < gpt2->merges.count; i++) {
        token_name(gpt2, gpt2->merges.list[i].left, room);
        size_t length = strlen(room);
        room[length] = ' ';
        token_name(gpt2, gpt2->merges.list[i].right, room + length + 1);
        json_array_append_new(array, json_string(room));
    }
    ls_free(room);
    return array;
}
