/* Shared by the sources of samples. */
#include "data/sample_source.h"

#include "data/tokenizer_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Batches of a window: many, so that a batch's samples are alike, few against an epoch, so that orders differ. */
enum { WINDOW = 64 };

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static LsStatus keep_info(LsSampleSource *source, const LsSealed *file, const json_t *info)
{
    char *text = json_dumps(info, JSON_COMPACT | JSON_REAL_PRECISION(17));
    source->info = text ? ls_strdup(text) : NULL;
    free(text);
    source->base.info = source->info;
    return source->info ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for the description of %s", ls_sealed_path(file));
}

LsStatus ls_info_take(json_t *info, const LsDataOpen *open, const char *const *lists, int count)
{
    for (int i = 0; open->like && i < count; i++) {
        json_t *learnt = json_object_get(open->like, lists[i]);
        if (learnt && json_object_set(info, lists[i], learnt) != 0)
            return ls_fail(LS_RESOURCE, "out of memory for the description of %s", open->path);
    }
    return LS_OK;
}

static LsStatus read_notes(LsSampleSource *source, LsSealed *file, const char *role, json_t **notes)
{
    LS_TRY(ls_sealed_read_json(file, "info", notes));
    if (!role)
        return LS_OK;
    source->tokenizer = ls_sealed_tokenizer(file, role);
    source->base.tokenizer = source->tokenizer;
    return source->tokenizer ? LS_OK : ls_message_status();
}

/* *file is NULL with LS_OK where it has no such split. *notes: of /info, the caller's to json_decref. */
static LsStatus open_file(LsSampleSource *source, const LsDataOpen *open, const LsSampleFile *kind, LsSealed **file,
                          json_t **notes)
{
    LsSplit split = LS_SPLIT_TRAIN;
    bool exists = true;
    *notes = NULL;
    *file = NULL;
    if (open->streams != 0)
        return ls_fail(LS_USAGE,
                       "%s: samples of kind %s do not follow one another: no state is carried from one to the next",
                       open->path, kind->kind);
    *file = ls_sealed_open(open->path, kind->kind, LS_DATA, NULL);
    if (!*file)
        return ls_message_status();
    LsStatus status = ls_sealed_check_version(*file, kind->version);
    if (status == LS_OK && kind->array)
        status = ls_split_choose(*file, open->split, kind->array, &split, &exists);
    if (status == LS_OK && exists)
        status = read_notes(source, *file, kind->role, notes);
    source->split = ls_split_names[split];
    source->shuffled = strcmp(open->split, "train") == 0;
    source->key = ls_key(open->seed, "data.order");
    if (status == LS_OK && exists)
        return LS_OK;
    ls_sealed_close(*file);
    *file = NULL;
    return status;
}

/* What is left of a sample. */
static int64_t steps_of(const LsSampleSource *source, int64_t sample)
{
    int64_t steps = source->steps(source, sample);
    return steps < source->base.sequence ? steps : source->base.sequence;
}

/* Nothing is lost without a word. */
static void warn_cut(const LsSampleSource *source, const LsDataOpen *open)
{
    int64_t cut = 0;
    for (int64_t i = 0; source->steps && i < source->base.samples; i++)
        cut += source->steps(source, i) > source->base.sequence;
    if (cut > 0)
        ls_warn("%s: %lld of the %lld samples of %s have more than %lld steps and are cut there; a larger "
                "train.sequence, up to the model's context, takes them whole",
                open->path, (long long)cut, (long long)source->base.samples, source->split,
                (long long)source->base.sequence);
}

static int64_t longest(LsSource *source, const LsBatch *batch)
{
    LsSampleSource *s = (LsSampleSource *)source;
    int64_t most = 0;
    for (int64_t i = 0; i < batch->count; i++) {
        int64_t steps = steps_of(s, ls_sample_at(s, batch->first + i));
        most = steps > most ? steps : most;
    }
    return most;
}

static LsStatus open_alike(LsSampleSource *source, const LsDataOpen *open)
{
    if (!source->steps)
        return LS_OK;
    source->base.longest = longest;
    if (open->alike == 0 || !source->shuffled)
        return LS_OK;
    int64_t most = source->base.samples + open->alike, window = WINDOW * open->alike;
    window = window < most ? window : most;
    source->alike = (LsAlike){.batch = open->alike,
                              .first = -1,
                              .sample = ls_alloc_array(window, sizeof(int64_t)),
                              .sorted = ls_alloc_array(window, sizeof(int64_t)),
                              .place = ls_alloc_array(source->base.sequence + 2, sizeof(int64_t))};
    return source->alike.sample && source->alike.sorted && source->alike.place ? LS_OK : LS_RESOURCE;
}

LsStatus ls_sample_source_open(LsSampleSource *source, const LsDataOpen *open, const LsSampleFile *kind,
                               LsSource **opened)
{
    LsSealed *file = NULL;
    json_t *info = NULL;
    *opened = NULL;
    if (!source)
        return LS_RESOURCE;
    LsStatus status = open_file(source, open, kind, &file, &info);
    if (status == LS_OK && file)
        status = kind->read(source, open, file, info);
    if (status == LS_OK && file)
        warn_cut(source, open);
    if (status == LS_OK && file)
        status = open_alike(source, open);
    if (status == LS_OK && file)
        status = keep_info(source, file, info);
    json_decref(info);
    if (status == LS_OK && file)
        *opened = &source->base;
    else
        source->base.free(&source->base);
    ls_sealed_close(file);
    return status;
}

void ls_sample_source_clear(LsSampleSource *source)
{
    ls_tokenizer_free(source->tokenizer);
    ls_free(source->info);
    ls_free(source->alike.sample);
    ls_free(source->alike.sorted);
    ls_free(source->alike.place);
}

/* ---- Order ------------------------------------------------------------------------------------------------------- */

/* Sorts the window's samples by their steps, those of as many in the order they have. */
static void sort_window(LsSampleSource *source, int64_t count)
{
    LsAlike *a = &source->alike;
    memset(a->place, 0, (size_t)(source->base.sequence + 2) * sizeof *a->place);
    for (int64_t i = 0; i < count; i++)
        a->place[1 + steps_of(source, a->sample[i])]++;
    for (int64_t steps = 0; steps <= source->base.sequence; steps++)
        a->place[1 + steps] += a->place[steps];
    for (int64_t i = 0; i < count; i++)
        a->sorted[a->place[steps_of(source, a->sample[i])]++] = a->sample[i];
}

/* Place `at` of the endless stream, which is number p of its epoch. */
static int64_t sample_among_alike(LsSampleSource *source, int64_t at, int64_t p)
{
    LsAlike *a = &source->alike;
    int64_t samples = source->base.samples, epoch = at - p, batch = a->batch;
    int64_t head = (batch - epoch % batch) % batch;
    if (p < head)
        return ls_shuffled(source->key, samples, at);
    int64_t first = head + (p - head) / (WINDOW * batch) * (WINDOW * batch);
    int64_t count = samples - first < WINDOW * batch ? samples - first : WINDOW * batch;
    if (a->first != epoch + first) {
        for (int64_t i = 0; i < count; i++)
            a->sample[i] = ls_shuffled(source->key, samples, epoch + first + i);
        sort_window(source, count);
        a->first = epoch + first;
    }
    int64_t which = (p - first) / batch, whole = count / batch;
    if (which < whole) { /* a batch that the epoch's end cuts stays the last */
        uint32_t block[4];
        ls_philox(source->key, 1, (uint64_t)a->first, block);
        which = ls_permute((uint64_t)block[1] << 32 | block[0], whole, which);
    }
    return a->sorted[which * batch + (p - first) % batch];
}

int64_t ls_sample_at(LsSampleSource *source, int64_t at)
{
    int64_t samples = source->base.samples;
    if (!source->shuffled)
        return at % samples;
    return source->alike.batch > 0 ? sample_among_alike(source, at, at % samples)
                                   : ls_shuffled(source->key, samples, at);
}

LsStatus ls_check_sequence(const LsDataOpen *open, int64_t steps, const char *what)
{
    if (open->sequence == 0 || open->sequence >= steps)
        return LS_OK;
    return ls_fail(LS_USAGE, "%s: samples have %lld steps (%s), not %lld; set train.sequence: %lld", open->path,
                   (long long)steps, what, (long long)open->sequence, (long long)steps);
}

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

LsStatus ls_sample_input(const LsGraph *g, const char *name, int64_t count, int64_t row, LsTensor **x)
{
    *x = ls_graph_find(g, name);
    if (!*x || ((*x)->dim[0] >= count && (row == 0 || (*x)->count == (*x)->dim[0] * row)))
        return LS_OK;
    return ls_fail(LS_ERROR, "this graph has no input \"%s\" of %lld rows as the data set has them", name,
                   (long long)count);
}

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

LsStatus ls_text_array_read(LsSealed *file, const char *split, const char *name, int64_t low, int64_t below,
                            LsTextArray *texts)
{
    char path[128];
    int64_t total = 0;
    snprintf(path, sizeof path, "%s/%s", split, name);
    LS_TRY(ls_numbers_read(file, path, low, below, &texts->id, &total));
    snprintf(path, sizeof path, "%s/%s_offsets", split, name);
    LS_TRY(ls_offsets_read(file, path, total, &texts->offset, &texts->count));
    if (!texts->id || !texts->offset || texts->count == 0)
        return ls_fail(LS_DATA, "%s: has no texts in %s", ls_sealed_path(file), path);
    return LS_OK;
}

void ls_text_array_free(LsTextArray *texts)
{
    ls_free(texts->id);
    ls_free(texts->offset);
}

LsStatus ls_longest_text(LsSealed *file, const char *name, int64_t *longest)
{
    *longest = 0;
    for (int split = 0; split < LS_SPLITS; split++) {
        char path[128];
        bool exists = false;
        LsFileType type;
        int rank = 0;
        int64_t dim[LS_SEALED_RANK] = {0}, *offset = NULL, count = 0;
        snprintf(path, sizeof path, "%s/%s", ls_split_names[split], name);
        LS_TRY(ls_sealed_shape(file, path, &exists, &type, &rank, dim));
        if (!exists)
            continue;
        snprintf(path, sizeof path, "%s/%s_offsets", ls_split_names[split], name);
        LS_TRY(ls_offsets_read(file, path, dim[0], &offset, &count));
        for (int64_t i = 0; offset && i < count; i++)
            *longest = offset[i + 1] - offset[i] > *longest ? offset[i + 1] - offset[i] : *longest;
        ls_free(offset);
    }
    return LS_OK;
}

int64_t ls_text_row_length(const LsTextRow *row, int64_t sequence)
{
    int64_t length = row->count + (row->before != LS_NO_ID) + (row->after != LS_NO_ID);
    return length < sequence ? length : sequence;
}

void ls_text_row_fill(const LsTextRow *row, int64_t step, int64_t sequence, int64_t length, int32_t filler, int32_t *to)
{
    int64_t first = row->before != LS_NO_ID, there = ls_text_row_length(row, sequence);
    for (int64_t t = 0; t < length; t++) {
        int64_t at = step + t - first;
        to[t] = step + t >= there ? filler : at < 0 ? row->before : at < row->count ? row->id[at] : row->after;
    }
}
