/* Shared by data sets of samples: splits, numbers, JSON, descriptions. */
#include "data/samples.h"

#include "data/data.h"
#include "data/shell_words.h"
#include "data/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ls_split_names[LS_SPLITS] = {"train", "validation", "test"};

LsStatus ls_held_out_new(const LsHeldOutSettings *settings, int64_t samples, LsHeldOut *held_out)
{
    double wanted = settings->validation_file ? 0 : settings->validation;
    double number = wanted < 1 ? round(wanted * (double)samples) : floor(wanted);
    *held_out = (LsHeldOut){ls_key((uint64_t)settings->seed, "data.held_out"), samples, (int64_t)number};
    if (number >= (double)samples || (wanted > 0 && number < 1))
        return ls_fail(
            LS_DATA,
            "%g of %lld samples cannot be held out for validation: some must be on either side; --validation "
            "0 holds out none, and 'lockstep eval --split train' evaluates what was trained on",
            wanted, (long long)samples);
    return LS_OK;
}

bool ls_is_held_out(const LsHeldOut *held_out, int64_t sample)
{
    return held_out->held > 0 && ls_permute(held_out->key, held_out->samples, sample) < held_out->held;
}

LsSplit ls_part_of_split(const LsHeldOut *held_out, LsSplit split)
{
    return split == LS_SPLIT_VALIDATION && held_out->held > 0 ? LS_SPLIT_TRAIN : split;
}

bool ls_is_in_split(const LsHeldOut *held_out, LsSplit split, int64_t sample)
{
    return ls_part_of_split(held_out, split) != LS_SPLIT_TRAIN ||
           ls_is_held_out(held_out, sample) == (split == LS_SPLIT_VALIDATION);
}

LsStatus ls_split_exists(LsSealed *file, LsSplit split, const char *array, bool *exists)
{
    char name[64];
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    snprintf(name, sizeof name, "%s/%s", ls_split_names[split], array);
    return ls_sealed_shape(file, name, exists, &type, &rank, dim);
}

LsStatus ls_split_choose(LsSealed *file, const char *wanted, const char *array, LsSplit *split, bool *exists)
{
    bool held_out = strcmp(wanted, "held-out") == 0;
    int which = held_out ? LS_SPLIT_VALIDATION : 0;
    while (which < LS_SPLITS && !held_out && strcmp(wanted, ls_split_names[which]) != 0)
        which++;
    if (which == LS_SPLITS)
        return ls_fail(LS_USAGE, "%s: there is no split '%s'; there are train, validation, test, held-out",
                       ls_sealed_path(file), wanted);
    for (;;) {
        LS_TRY(ls_split_exists(file, (LsSplit)which, array, exists));
        *split = (LsSplit)which;
        if (*exists || !held_out || which == LS_SPLIT_TRAIN)
            return LS_OK;
        which = LS_SPLIT_TRAIN;
    }
}

int64_t ls_shuffled(uint64_t key, int64_t samples, int64_t sample)
{
    uint32_t block[4];
    ls_philox(key, 0, (uint64_t)(sample / samples), block);
    return ls_permute((uint64_t)block[1] << 32 | block[0], samples, sample % samples);
}

/* ---- Writing numbers --------------------------------------------------------------------------------------------- */

#define CHUNK ((int64_t)1 << 16) /* numbers a chunk of the file, and written at once */

struct LsNumbers {
    LsSealedStream *stream;
    LsFileType type;
    int64_t count; /* waiting in `value` */
    union {
        uint8_t u8[CHUNK];
        uint16_t u16[CHUNK];
        int32_t i32[CHUNK];
        int64_t i64[CHUNK];
    } value;
};

LsFileType ls_id_type(int64_t vocabulary)
{
    return vocabulary <= 256 ? LS_FILE_UINT8 : vocabulary <= 65536 ? LS_FILE_UINT16 : LS_FILE_INT32;
}

LsNumbers *ls_numbers_new(LsSealed *file, const char *name, LsFileType type)
{
    LsNumbers *numbers = ls_alloc(sizeof *numbers);
    if (!numbers)
        return NULL;
    numbers->type = type;
    numbers->stream = ls_sealed_stream(file, name, type, CHUNK);
    if (numbers->stream)
        return numbers;
    ls_free(numbers);
    return NULL;
}

static LsStatus flush_numbers(LsNumbers *numbers)
{
    int64_t count = numbers->count;
    numbers->count = 0;
    return ls_sealed_append(numbers->stream, &numbers->value, count);
}

/* value[0 .. count) behind those that wait; there is room. */
static void put_numbers(LsNumbers *numbers, const int32_t *value, int64_t count)
{
    int64_t at = numbers->count;
    numbers->count += count;
    if (numbers->type == LS_FILE_UINT8)
        for (int64_t i = 0; i < count; i++)
            numbers->value.u8[at + i] = (uint8_t)value[i];
    else if (numbers->type == LS_FILE_UINT16)
        for (int64_t i = 0; i < count; i++)
            numbers->value.u16[at + i] = (uint16_t)value[i];
    else if (numbers->type == LS_FILE_INT32)
        for (int64_t i = 0; i < count; i++)
            numbers->value.i32[at + i] = value[i];
    else
        for (int64_t i = 0; i < count; i++)
            numbers->value.i64[at + i] = value[i];
}

LsStatus ls_numbers_add(LsNumbers *numbers, const int32_t *value, int64_t count)
{
    while (count > 0) {
        int64_t room = CHUNK - numbers->count, now = count < room ? count : room;
        put_numbers(numbers, value, now);
        value += now;
        count -= now;
        if (numbers->count == CHUNK)
            LS_TRY(flush_numbers(numbers));
    }
    return LS_OK;
}

LsStatus ls_numbers_add_one(LsNumbers *numbers, int64_t value)
{
    if (numbers->type != LS_FILE_INT64)
        return ls_numbers_add(numbers, &(int32_t){(int32_t)value}, 1);
    numbers->value.i64[numbers->count++] = value;
    return numbers->count < CHUNK ? LS_OK : flush_numbers(numbers);
}

LsStatus ls_numbers_end(LsNumbers *numbers, LsStatus status)
{
    if (!numbers)
        return status;
    if (status == LS_OK)
        status = flush_numbers(numbers);
    LsStatus ended = ls_sealed_end(numbers->stream);
    ls_free(numbers);
    return status != LS_OK ? status : ended;
}

/* ---- Reading numbers --------------------------------------------------------------------------------------------- */

static int64_t number_at(LsFileType type, const void *data, int64_t at)
{
    switch (type) {
    case LS_FILE_UINT8:
        return ((const uint8_t *)data)[at];
    case LS_FILE_UINT16:
        return ((const uint16_t *)data)[at];
    case LS_FILE_INT32:
        return ((const int32_t *)data)[at];
    default:
        return ((const int64_t *)data)[at];
    }
}

/* The array in its own type; *data NULL and LS_OK where there is none. */
static LsStatus read_array(LsSealed *file, const char *name, LsFileType *type, void **data, int64_t *count)
{
    bool exists = false;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    *data = NULL;
    *count = 0;
    LS_TRY(ls_sealed_shape(file, name, &exists, type, &rank, dim));
    if (!exists)
        return LS_OK;
    if (rank != 1 ||
        (*type != LS_FILE_UINT8 && *type != LS_FILE_UINT16 && *type != LS_FILE_INT32 && *type != LS_FILE_INT64))
        return ls_fail(LS_DATA, "%s: %s is no list of whole numbers", ls_sealed_path(file), name);
    *data = ls_alloc_array(dim[0], sizeof(int64_t));
    if (!*data)
        return LS_RESOURCE;
    *count = dim[0];
    LsStatus status = ls_sealed_read(file, name, *type, dim[0], *data);
    if (status == LS_OK)
        return LS_OK;
    ls_free(*data);
    *data = NULL;
    return status;
}

LsStatus ls_numbers_read(LsSealed *file, const char *name, int64_t low, int64_t below, int32_t **value, int64_t *count)
{
    LsFileType type;
    void *data = NULL;
    *value = NULL;
    LS_TRY(read_array(file, name, &type, &data, count));
    if (!data)
        return LS_OK;
    LsStatus status = LS_OK;
    *value = ls_alloc_array(*count, sizeof **value);
    for (int64_t i = 0; *value && i < *count && status == LS_OK; i++) {
        int64_t number = number_at(type, data, i);
        (*value)[i] = (int32_t)number;
        if (number < low || number >= below)
            status = ls_fail(LS_DATA, "%s: %s[%lld] is %lld, outside %lld to %lld", ls_sealed_path(file), name,
                             (long long)i, (long long)number, (long long)low, (long long)below - 1);
    }
    ls_free(data);
    if (*value && status == LS_OK)
        return LS_OK;
    ls_free(*value);
    *value = NULL;
    return status != LS_OK ? status : LS_RESOURCE;
}

LsStatus ls_offsets_read(LsSealed *file, const char *name, int64_t total, int64_t **offset, int64_t *count)
{
    LsFileType type;
    void *data = NULL;
    *offset = NULL;
    LS_TRY(read_array(file, name, &type, &data, count));
    if (!data)
        return LS_OK;
    bool good = type == LS_FILE_INT64 && *count >= 1;
    int64_t *read = data;
    for (int64_t i = 0; good && i < *count; i++)
        good = i == 0 ? read[0] == 0 : read[i] >= read[i - 1];
    if (!good || read[*count - 1] != total) {
        ls_free(data);
        return ls_fail(LS_DATA, "%s: %s are no places that ascend from 0 to %lld", ls_sealed_path(file), name,
                       (long long)total);
    }
    *offset = read;
    --*count;
    return LS_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

LsStatus ls_sealed_write_json(LsSealed *file, const char *name, const json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (!text)
        return ls_fail(LS_RESOURCE, "out of memory while writing %s", name);
    LsStatus status = ls_sealed_write(file, name, LS_FILE_UINT8, 1, (int64_t[]){(int64_t)strlen(text)}, text, 0);
    free(text);
    return status;
}

LsStatus ls_sealed_read_json(LsSealed *file, const char *name, json_t **object)
{
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    json_error_t error;
    *object = NULL;
    LS_TRY(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    if (!exists || type != LS_FILE_UINT8 || rank != 1)
        return ls_fail(LS_DATA, "%s: has no %s", ls_sealed_path(file), name);
    char *text = ls_alloc((size_t)dim[0] + 1);
    if (!text)
        return LS_RESOURCE;
    LsStatus status = ls_sealed_read(file, name, LS_FILE_UINT8, dim[0], text);
    if (status == LS_OK && !(*object = json_loadb(text, (size_t)dim[0], JSON_REJECT_DUPLICATES, &error)))
        status = ls_fail(LS_DATA, "%s: %s, line %d: %s", ls_sealed_path(file), name, error.line, error.text);
    ls_free(text);
    return status;
}

LsStatus ls_sealed_write_notes(LsSealed *file, json_t *info, json_t *preparation, const LsAsked *asked)
{
    json_t *list = json_array();
    for (int i = 0; i < asked->sources && list; i++) {
        char *name = ls_utf8_repair(ls_source_recorded(asked->source[i]));
        json_array_append_new(list, name ? json_string(name) : NULL);
        ls_free(name);
    }
    char *options = ls_shell_options(asked->table, asked->options);
    LsStatus status = info && preparation && list && options && json_object_set(preparation, "sources", list) == 0 &&
                              (!*options || json_object_set_new(preparation, "options", json_string(options)) == 0)
                          ? LS_OK
                          : ls_fail(LS_RESOURCE, "out of memory for the description");
    if (status == LS_OK)
        status = ls_sealed_write_json(file, "info", info);
    if (status == LS_OK)
        status = ls_sealed_write_json(file, "preparation", preparation);
    ls_free(options);
    json_decref(list);
    json_decref(info);
    json_decref(preparation);
    return status;
}

/* ---- Descriptions ------------------------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

json_t *ls_describe_lengths(int64_t *length, int64_t count)
{
    if (count == 0)
        return json_object();
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)length[i];
    qsort(length, (size_t)count, sizeof *length, by_size);
    return json_pack("{s:I, s:I, s:f, s:I, s:I}", "shortest", (json_int_t)length[0], "median",
                     (json_int_t)length[(count - 1) / 2], "mean", sum / (double)count, "95_of_100_at_most",
                     (json_int_t)length[(count * 95 + 99) / 100 - 1], "longest", (json_int_t)length[count - 1]);
}

json_t *ls_describe_offsets(const int64_t *offset, int64_t count)
{
    int64_t *length = ls_alloc_array(count, sizeof *length);
    for (int64_t i = 0; length && i < count; i++)
        length[i] = offset[i + 1] - offset[i];
    json_t *made = length ? ls_describe_lengths(length, count) : NULL;
    ls_free(length);
    return made;
}

json_t *ls_describe_classes(const int32_t *label, int64_t count, const json_t *names)
{
    size_t classes = json_array_size(names);
    int64_t *samples = ls_alloc_array((int64_t)classes, sizeof *samples);
    json_t *made = samples ? json_object() : NULL;
    for (int64_t i = 0; made && i < count; i++)
        samples[label[i]]++;
    for (size_t i = 0; made && i < classes; i++)
        json_object_set_new(made, json_string_value(json_array_get(names, i)), json_integer(samples[i]));
    ls_free(samples);
    return made;
}

LsStatus ls_describe_preparation(LsSealed *file, json_t *object)
{
    json_t *notes = NULL, *value;
    const char *key;
    LS_TRY(ls_sealed_read_json(file, "preparation", &notes));
    json_object_foreach(notes, key, value)
    {
        if (!json_is_array(value)) {
            json_object_set(object, key, value);
            continue;
        }
        char *text = ls_strdup("");
        for (size_t i = 0; text && i < json_array_size(value); i++) {
            char *longer = ls_format("%s%s%s", text, i > 0 ? ", " : "", json_string_value(json_array_get(value, i)));
            ls_free(text);
            text = longer;
        }
        json_object_set_new(object, key, text ? json_string(text) : NULL);
        ls_free(text);
    }
    json_decref(notes);
    return LS_OK;
}
