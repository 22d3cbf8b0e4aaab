#include "store/checkpoint.h"

#include "base/text.h"
#include "io/file.h"
#include "io/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KIND "checkpoint"
#define FORMAT_VERSION 1
#define MOST_COUNTED (INT64_C(1) << 56)

/* Counts the numbers of one entry. */
static int64_t count_numbers(const LsSaved *saved)
{
    int64_t count = 1;
    for (int i = 0; i < saved->rank; i++)
        count *= saved->dim[i];
    return saved->layout ? saved->layout->elements : count;
}

int64_t ls_checkpoint_bytes(const LsParams *params, int count, const LsSaved *saved)
{
    /* HDF5's object headers and group tables: some 360 bytes an array and 11 KB a file, rounded up for long names */
    const int64_t array_header = 512, file_header = 1 << 14;
    int64_t bytes = params->elements * (int64_t)sizeof(float) + params->count * array_header + file_header;
    for (int i = 0; i < count; i++)
        bytes += count_numbers(&saved[i]) * (int64_t)sizeof(float) +
                 (saved[i].layout ? saved[i].layout->count : 1) * array_header;
    return bytes;
}

LsSaved ls_saved_running(const LsParams *params)
{
    return (LsSaved){.group = "running", .layout = params->running, .value = params->running->value};
}

/* ---- Saving ----------------------------------------------------------------------------------------------------- */

static LsStatus check_free(const char *path, int64_t needed)
{
    int64_t available = ls_free_bytes(path);
    if (available < 0 || available >= needed)
        return LS_OK;
    return ls_fail(
        LS_RESOURCE,
        "%s: not saved: it takes %.1f MB and %.1f MB are free on its disk; free some space or lower output.keep", path,
        1e-6 * (double)needed, 1e-6 * (double)available);
}

static LsStatus make_parent_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return LS_OK;
    char *folder = ls_format("%.*s", (int)(slash - path), path);
    LsStatus status = folder ? ls_make_folders(folder) : LS_RESOURCE;
    ls_free(folder);
    return status == LS_ERROR ? LS_CHECKPOINT : status;
}

static LsStatus write_arrays(LsSealed *file, const char *group, const LsParams *params, const float *value)
{
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        char *name = ls_format("%s/%s", group, p->name);
        LsStatus status =
            name ? ls_sealed_write(file, name, LS_FILE_FLOAT32, p->rank, p->dim, value + p->offset, 0) : LS_RESOURCE;
        ls_free(name);
        LS_TRY(status);
    }
    return LS_OK;
}

#define MOMENTS "optimizer/"

/* "m v": the optimiser's entries, for those who read the file by themselves. */
static void list_moments(int count, const LsSaved *saved, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < room; i++)
        if (strncmp(saved[i].group, MOMENTS, strlen(MOMENTS)) == 0)
            used +=
                (size_t)snprintf(text + used, room - used, "%s%s", used ? " " : "", saved[i].group + strlen(MOMENTS));
}

static LsStatus write_attributes(LsSealed *file, int count, const LsSaved *saved, const LsProgress *progress,
                                 const char *config)
{
    char kinds[256];
    list_moments(count, saved, kinds, sizeof kinds);
    LS_TRY(ls_sealed_set_int(file, "format_version", FORMAT_VERSION));
    LS_TRY(ls_sealed_set_text(file, "program_version", LOCKSTEP_VERSION));
    LS_TRY(ls_sealed_set_int(file, "step", progress->step));
    LS_TRY(ls_sealed_set_int(file, "samples", progress->samples));
    LS_TRY(ls_sealed_set_int(file, "tokens", progress->tokens));
    LS_TRY(ls_sealed_set_int(file, "seed", (int64_t)progress->seed));
    LS_TRY(ls_sealed_set_int(file, "metrics_rows", progress->metrics_rows));
    LS_TRY(ls_sealed_set_double(file, "best_loss", progress->best_score));
    LS_TRY(ls_sealed_set_int(file, "best_step", progress->best_step));
    LS_TRY(ls_sealed_set_text(file, "optimizer", kinds));
    return ls_sealed_set_text(file, "config", config);
}

static LsStatus write_text(LsSealed *file, const char *name, const char *text)
{
    int64_t count = text ? (int64_t)strlen(text) : 0;
    return text ? ls_sealed_write(file, name, LS_FILE_UINT8, 1, &count, text, 0) : LS_OK;
}

static LsStatus write_content(LsSealed *file, const LsParams *params, int count, const LsSaved *saved,
                              const LsProgress *progress, const LsSavedTexts *texts)
{
    LS_TRY(write_attributes(file, count, saved, progress, texts->config));
    LS_TRY(write_arrays(file, "parameters", params, params->value));
    for (int i = 0; i < count; i++)
        LS_TRY(saved[i].layout ? write_arrays(file, saved[i].group, saved[i].layout, saved[i].value)
                               : ls_sealed_write(file, saved[i].group, LS_FILE_FLOAT32, saved[i].rank, saved[i].dim,
                                                 saved[i].value, 0));
    LS_TRY(write_text(file, "tokenizer", texts->tokenizer));
    return write_text(file, "info", texts->info);
}

LsStatus ls_checkpoint_save(const char *path, const LsParams *params, int count, const LsSaved *saved,
                            const LsProgress *progress, const LsSavedTexts *texts)
{
    int64_t bytes = ls_checkpoint_bytes(params, count, saved) + (int64_t)strlen(texts->config);
    bytes += texts->tokenizer ? (int64_t)strlen(texts->tokenizer) : 0;
    LS_TRY(make_parent_folder(path));
    LS_TRY(check_free(path, bytes));
    LsSealed *file = ls_sealed_create(path, KIND, FORMAT_VERSION, LS_CHECKPOINT);
    if (!file)
        return ls_message_status();
    LsStatus status = write_content(file, params, count, saved, progress, texts);
    return ls_sealed_finish(file, status);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static LsStatus read_progress(LsSealed *file, LsProgress *progress)
{
    int64_t seed = 0;
    LS_TRY(ls_sealed_get_int(file, "step", &progress->step));
    LS_TRY(ls_sealed_get_int(file, "samples", &progress->samples));
    LS_TRY(ls_sealed_get_int(file, "tokens", &progress->tokens));
    LS_TRY(ls_sealed_get_int(file, "seed", &seed));
    LS_TRY(ls_sealed_get_int(file, "metrics_rows", &progress->metrics_rows));
    LS_TRY(ls_sealed_get_double(file, "best_loss", &progress->best_score));
    LS_TRY(ls_sealed_get_int(file, "best_step", &progress->best_step));
    progress->seed = (uint64_t)seed;
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"step", progress->step},
                  {"samples", progress->samples},
                  {"tokens", progress->tokens},
                  {"metrics_rows", progress->metrics_rows}};
    for (size_t i = 0; i < LS_COUNT_OF(counts); i++)
        if (counts[i].value < 0 || counts[i].value > MOST_COUNTED)
            return ls_fail(LS_CHECKPOINT, "%s: its attribute %s is %lld, which no training reaches",
                           ls_sealed_path(file), counts[i].name, (long long)counts[i].value);
    return LS_OK;
}

/* *text stays NULL where the file has none. */
static LsStatus read_text(LsSealed *file, const char *name, char **text)
{
    bool exists = false;
    LsFileType type = LS_FILE_UINT8;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LS_TRY(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    if (!exists)
        return LS_OK;
    if (rank != 1)
        return ls_fail(LS_CHECKPOINT, "%s: its %s is not a text", ls_sealed_path(file), name);
    char *read = ls_alloc((size_t)dim[0] + 1);
    LsStatus status = read ? ls_sealed_read(file, name, LS_FILE_UINT8, dim[0], read) : LS_RESOURCE;
    if (status == LS_OK)
        *text = read;
    else
        ls_free(read);
    return status;
}

LsStatus ls_checkpoint_open(const char *path, bool *at_fault, LsCheckpoint **checkpoint)
{
    LsStatus status = LS_OK;
    *checkpoint = NULL;
    if (at_fault)
        *at_fault = false;
    LsCheckpoint *c = ls_alloc(sizeof *c);
    if (!c)
        return LS_RESOURCE;
    c->weights = "parameters";
    c->path = ls_strdup(path);
    c->file = c->path ? ls_sealed_open(path, KIND, LS_CHECKPOINT, at_fault) : NULL;
    if (!c->file) {
        status = ls_message_status();
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_sealed_check_version(c->file, FORMAT_VERSION));
    LS_TRY_CLEANUP(read_progress(c->file, &c->progress));
    LS_TRY_CLEANUP(ls_sealed_get_text(c->file, "config", &c->config));
    LS_TRY_CLEANUP(read_text(c->file, "tokenizer", &c->tokenizer));
    LS_TRY_CLEANUP(read_text(c->file, "info", &c->info));
    *checkpoint = c;
    return LS_OK;
cleanup:
    ls_checkpoint_close(c);
    return status;
}

void ls_checkpoint_close(LsCheckpoint *checkpoint)
{
    if (!checkpoint)
        return;
    ls_sealed_close(checkpoint->file);
    ls_free(checkpoint->path);
    ls_free(checkpoint->config);
    ls_free(checkpoint->tokenizer);
    ls_free(checkpoint->info);
    ls_free(checkpoint);
}

/* ---- Loading: names and shapes first, all differences at once ---------------------------------------------------- */

typedef struct Compare {
    const LsParams *params;
    const char *group;
    LsNotes differences;
} Compare;

static LsStatus find_extra(void *self, const char *name)
{
    Compare *c = self;
    const char *own = name + strlen(c->group) + 1;
    if (ls_params_find(c->params, own) < 0)
        ls_note(&c->differences, "%s is in the file and not in the model", own);
    return LS_OK;
}

static LsStatus compare_group(LsSealed *file, const char *group, const LsParams *params)
{
    Compare *c = ls_alloc(sizeof *c);
    if (!c)
        return LS_RESOURCE;
    c->params = params;
    c->group = group;
    LsStatus status = LS_OK;
    for (int i = 0; i < params->count && status == LS_OK; i++) {
        const LsParam *p = &params->list[i];
        bool exists = false;
        LsFileType type = LS_FILE_FLOAT32;
        int rank = 0;
        int64_t dim[LS_SEALED_RANK] = {0};
        char *name = ls_format("%s/%s", group, p->name);
        status = name ? ls_sealed_shape(file, name, &exists, &type, &rank, dim) : LS_RESOURCE;
        ls_free(name);
        if (status == LS_OK && !exists)
            ls_note(&c->differences, "%s %s is in the model and not in the file", p->name,
                    ls_dims_text(p->rank, p->dim));
        else if (status == LS_OK && (rank != p->rank || memcmp(dim, p->dim, sizeof *dim * (size_t)rank) != 0))
            ls_note(&c->differences, "%s has shape %s in the file and %s in the model", p->name,
                    ls_dims_text(rank, dim), ls_dims_text(p->rank, p->dim));
    }
    if (status == LS_OK)
        status = ls_sealed_each(file, group, find_extra, c);
    if (status == LS_OK && c->differences.count > 0)
        status = ls_fail(LS_CHECKPOINT, "%s: %s of another model:%s", ls_sealed_path(file), group,
                         ls_notes_text(&c->differences));
    ls_free(c);
    return status;
}

static LsStatus read_group(LsSealed *file, const char *group, const LsParams *params, float *value)
{
    LS_TRY(compare_group(file, group, params));
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        char *name = ls_format("%s/%s", group, p->name);
        LsStatus status = name ? ls_sealed_read(file, name, LS_FILE_FLOAT32, p->count, value + p->offset) : LS_RESOURCE;
        ls_free(name);
        LS_TRY(status);
    }
    return LS_OK;
}

/* One after the other, since a frozen store has no room for all floats. */
static LsStatus read_frozen(LsSealed *file, const char *group, LsParams *params)
{
    LS_TRY(compare_group(file, group, params));
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        char *name = ls_format("%s/%s", group, p->name);
        float *value = ls_alloc_array(p->count, sizeof *value);
        LsStatus status = name && value ? ls_sealed_read(file, name, LS_FILE_FLOAT32, p->count, value) : LS_RESOURCE;
        if (status == LS_OK)
            ls_params_put(params, i, value);
        ls_free(name);
        ls_free(value);
        LS_TRY(status);
    }
    return LS_OK;
}

/* One entry without a layout. */
static LsStatus read_array(LsSealed *file, const LsSaved *saved)
{
    bool exists = false;
    LsFileType type = LS_FILE_FLOAT32;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LS_TRY(ls_sealed_shape(file, saved->group, &exists, &type, &rank, dim));
    if (!exists || rank != saved->rank || memcmp(dim, saved->dim, sizeof *dim * (size_t)rank) != 0)
        return ls_fail(LS_CHECKPOINT, "%s: %s has shape %s, but the training has %s", ls_sealed_path(file),
                       saved->group, ls_dims_text(rank, dim), ls_dims_text(saved->rank, saved->dim));
    return ls_sealed_read(file, saved->group, LS_FILE_FLOAT32, count_numbers(saved), saved->value);
}

/* Whether the file has the entry: of one with a layout, its first array. */
static LsStatus has_entry(LsSealed *file, const LsSaved *saved, bool *exists)
{
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    char *name =
        ls_format("%s%s%s", saved->group, saved->layout ? "/" : "", saved->layout ? saved->layout->list[0].name : "");
    LsStatus status = name ? ls_sealed_shape(file, name, exists, &type, &rank, dim) : LS_RESOURCE;
    ls_free(name);
    return status;
}

static LsStatus read_saved(LsSealed *file, const LsSaved *saved, int64_t step)
{
    bool exists = false;
    LS_TRY(has_entry(file, saved, &exists));
    if (exists)
        return saved->layout ? read_group(file, saved->group, saved->layout, saved->value) : read_array(file, saved);
    if (step == 0 && saved->begins_as_zero) {
        memset(saved->value, 0, sizeof(float) * (size_t)(saved->layout ? saved->layout->total : count_numbers(saved)));
        return LS_OK;
    }
    if (strncmp(saved->group, MOMENTS, strlen(MOMENTS)) != 0)
        return ls_fail(LS_CHECKPOINT, "%s: holds no %s, which this model has", ls_sealed_path(file), saved->group);
    char *kinds = NULL;
    LS_TRY(ls_sealed_get_text(file, "optimizer", &kinds));
    LsStatus status = ls_fail(
        LS_CHECKPOINT, "%s: holds no optimiser state %s (it has: %s); go on with the optimiser it was saved with",
        ls_sealed_path(file), saved->group + strlen(MOMENTS), kinds[0] ? kinds : "none");
    ls_free(kinds);
    return status;
}

LsStatus ls_checkpoint_use_average(LsCheckpoint *checkpoint, const LsParams *params)
{
    bool exists = false;
    if (params->count > 0)
        LS_TRY(has_entry(checkpoint->file, &(LsSaved){.group = "optimizer/average", .layout = params}, &exists));
    checkpoint->weights = exists ? "optimizer/average" : "parameters";
    return LS_OK;
}

LsStatus ls_checkpoint_read(LsCheckpoint *checkpoint, LsParams *params, int count, const LsSaved *saved)
{
    LS_TRY(params->frozen ? read_frozen(checkpoint->file, checkpoint->weights, params)
                          : read_group(checkpoint->file, checkpoint->weights, params, params->value));
    for (int i = 0; i < count; i++)
        LS_TRY(read_saved(checkpoint->file, &saved[i], checkpoint->progress.step));
    return LS_OK;
}

LsStatus ls_checkpoint_load(const char *path, LsParams *params, int count, const LsSaved *saved, LsProgress *progress)
{
    LsCheckpoint *checkpoint = NULL;
    LS_TRY(ls_checkpoint_open(path, NULL, &checkpoint));
    LsStatus status = ls_checkpoint_read(checkpoint, params, count, saved);
    if (status == LS_OK && progress)
        *progress = checkpoint->progress;
    ls_checkpoint_close(checkpoint);
    return status;
}
