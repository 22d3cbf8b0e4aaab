/* Reading a file as training, evaluation and prediction would, to find what they would refuse. */
#include "api/seal.h"

#include "api/load.h"
#include "data/data.h"
#include "io/file.h"
#include "io/output.h"
#include "lockstep/api.h"
#include "train/groups.h"
#include "train/optimizer.h"

#include <stdio.h>
#include <string.h>

#define CHECKPOINT "checkpoint"

/* ---- Data sets --------------------------------------------------------------------------------------------------- */

/* A split as it is read where no configuration says how; *there: it has samples. Samples of a fixed length take no
 * other one, windows of a text need one. */
static LsStatus open_split(const LsDataKind *kind, const char *path, const char *split, const void *settings,
                           bool *there)
{
    LsSource *source = NULL;
    LsDataOpen open = {.path = path, .split = split, .settings = settings};
    LsStatus status = kind->open(&open, &source);
    if (status == LS_USAGE) {
        open.sequence = 1;
        status = kind->open(&open, &source);
    }
    *there |= source != NULL;
    ls_source_free(source);
    return status;
}

static LsStatus check_splits(const LsDataKind *kind, const char *path, const void *settings)
{
    bool there = false;
    LS_TRY(open_split(kind, path, "train", settings, &there));
    LS_TRY(open_split(kind, path, "validation", settings, &there));
    LsStatus status = open_split(kind, path, "test", settings, &there);
    if (status != LS_OK && status != LS_USAGE) /* a kind may have no such split */
        return status;
    return there ? LS_OK : ls_fail(LS_DATA, "%s: has no samples: neither train nor validation nor test", path);
}

static LsStatus check_data(const char *path)
{
    LsSealedHead head;
    json_t *object = NULL;
    LS_TRY(ls_data_inspect(path, &object));
    json_decref(object);
    const LsDataKind *kind = ls_sealed_head(path, &head) ? ls_data_kind(head.kind) : NULL;
    if (!kind)
        return ls_message_status();
    void *settings = kind->use_settings ? ls_alloc(kind->use_settings_bytes) : NULL;
    if (kind->use_settings && !settings)
        return LS_RESOURCE;
    LsStatus status = settings ? ls_settings_defaults(kind->use_settings, settings) : LS_OK;
    if (status == LS_OK)
        status = check_splits(kind, path, settings);
    if (settings)
        ls_settings_free(kind->use_settings, settings);
    ls_free(settings);
    return status;
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

/* Moments have names and shapes of the parameters, whatever the optimiser. */
static LsStatus check_moments(LsCheckpoint *checkpoint, const LsLoaded *model)
{
    const LsOptimizer *optimizer = ls_optimizer_find(model->config->train.optimizer);
    LsMoment moment[LS_MAX_MOMENTS];
    LsSaved saved[LS_MAX_MOMENTS];
    LsGroups *groups = NULL; /* parameters that are frozen have none */
    if (!optimizer)
        return LS_OK;
    LS_TRY(ls_groups_new(&model->config->train, &groups));
    LsStatus made = ls_moments_new(optimizer, model->params, ls_groups_learns, groups, moment);
    ls_groups_free(groups);
    LS_TRY(made);
    float *value = ls_alloc_array(ls_moments_floats(moment) + 1, sizeof *value), *next = value;
    for (int i = 0; i < optimizer->moments; i++) {
        moment[i].value = next;
        next = value ? next + moment[i].layout->total : NULL;
    }
    LsStatus status =
        value ? ls_checkpoint_read(checkpoint, model->params, ls_moments_saved(optimizer, moment, saved), saved)
              : LS_RESOURCE;
    ls_free(value);
    ls_moments_free(model->params, moment);
    return status;
}

static LsStatus check_checkpoint(const char *path)
{
    LsLoaded model = {0};
    LsCheckpoint *checkpoint = NULL;
    LsStatus status = ls_load(path, false, 0, NULL, &model);
    if (status == LS_OK)
        status = ls_checkpoint_open(path, NULL, &checkpoint);
    if (status == LS_OK)
        status = check_moments(checkpoint, &model);
    ls_checkpoint_close(checkpoint);
    ls_loaded_free(&model);
    return status;
}

/* ---- Any --------------------------------------------------------------------------------------------------------- */

LsStatus ls_seal_check(void *kind, const char *path)
{
    return strcmp(kind, CHECKPOINT) == 0 ? check_checkpoint(path) : check_data(path);
}

LsStatus ls_seal_code(const char *path, const char *kind, LsStatus *code)
{
    LsSealedHead head = {.version = 0};
    const char *named = kind ? kind : ls_sealed_head(path, &head) ? head.kind : NULL;
    *code = named && strcmp(named, CHECKPOINT) == 0 ? LS_CHECKPOINT : LS_DATA;
    if (!named || *code == LS_CHECKPOINT)
        return LS_OK;
    const LsDataKind *known = ls_data_kind(named);
    if (!known)
        return ls_fail_in(LS_USAGE, "%s: neither a checkpoint nor a data set", path);
    if (known->inspect)
        return LS_OK;
    return ls_fail(LS_USAGE, "%s: nothing reads files of the kind '%s'; checkpoints and data sets can be sealed", path,
                   named);
}

static LsStatus seal(const char *path, const char *kind)
{
    char sealed_as[64];
    LsSealed *file = NULL;
    LsStatus code = LS_DATA;
    LS_TRY(ls_seal_code(path, kind, &code));
    LS_TRY(ls_sealed_adopt(path, kind, 1, code, &file));
    snprintf(sealed_as, sizeof sealed_as, "%s", ls_sealed_kind(file));
    return ls_sealed_commit_checked(file, ls_seal_check, sealed_as);
}

LsStatus ls_seal(const char *path, const char *kind)
{
    LsOutput *output = NULL;
    if (!ls_file_exists(path))
        return ls_fail(LS_DATA, "%s: there is no such file", path);
    LsStatus status = ls_output_file(path, "seal", &output);
    LS_TRY(status == LS_ERROR ? LS_DATA : status);
    status = seal(path, kind);
    ls_output_release(output, status == LS_OK);
    return status;
}
