/* The checkpoints of a run folder: lists them, opens the newest or the best, removes old ones. */
#include "io/file.h"
#include "store/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *ls_checkpoint_path(const char *run, int64_t step)
{
    return ls_format("%s/checkpoints/step-%08" PRId64 ".h5", run, step);
}

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

LsStatus ls_checkpoint_steps(const char *run, int64_t **steps, int *count)
{
    *steps = NULL;
    *count = 0;
    char *folder = ls_format("%s/checkpoints", run);
    if (!folder)
        return LS_RESOURCE;
    DIR *entries = opendir(folder);
    int error = errno, room = 0;
    LsStatus status = LS_OK;
    if (!entries && error != ENOENT && error != ENOTDIR)
        status = ls_fail(LS_CHECKPOINT, "%s: %s", folder, strerror(error));
    for (struct dirent *e = entries ? readdir(entries) : NULL; e && status == LS_OK; e = readdir(entries)) {
        int64_t step = 0;
        int end = 0;
        if (sscanf(e->d_name, "step-%" SCNd64 ".h5%n", &step, &end) != 1 || end == 0 || e->d_name[end] != '\0')
            continue;
        if (*count == room) {
            int64_t *grown = ls_alloc_array(2 * room + 64, sizeof *grown);
            if (!grown) {
                status = LS_RESOURCE;
                break;
            }
            if (*count)
                memcpy(grown, *steps, sizeof *grown * (size_t)*count);
            ls_free(*steps);
            *steps = grown;
            room = 2 * room + 64;
        }
        (*steps)[(*count)++] = step;
    }
    if (entries)
        closedir(entries);
    ls_free(folder);
    if (status != LS_OK) {
        ls_free(*steps);
        *steps = NULL;
        *count = 0;
        return status;
    }
    if (*count)
        qsort(*steps, (size_t)*count, sizeof **steps, compare_steps);
    return LS_OK;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Opens a checkpoint; LS_OK and NULL, with a warning, where it is damaged. */
static LsStatus open_if_whole(const char *path, LsCheckpoint **checkpoint)
{
    bool at_fault = false;
    LsStatus status = ls_checkpoint_open(path, &at_fault, checkpoint);
    if (status != LS_OK && at_fault) {
        ls_warn("passed over: %s", ls_message());
        return LS_OK;
    }
    if (status == LS_CHECKPOINT)
        return ls_fail(status, "%s; no older checkpoint is taken in its place: try again, or name the one to use",
                       ls_message());
    return status;
}

LsStatus ls_checkpoint_newest(const char *run, LsCheckpoint **checkpoint)
{
    *checkpoint = NULL;
    if (is_file(run))
        return ls_checkpoint_open(run, NULL, checkpoint);
    int64_t *steps = NULL;
    int count = 0;
    LS_TRY(ls_checkpoint_steps(run, &steps, &count));
    LsStatus status = LS_OK;
    for (int i = 0; i < count && !*checkpoint && status == LS_OK; i++) {
        char *path = ls_checkpoint_path(run, steps[i]);
        status = path ? open_if_whole(path, checkpoint) : LS_RESOURCE;
        ls_free(path);
    }
    ls_free(steps);
    if (status == LS_OK && count > 0 && !*checkpoint)
        return ls_fail(LS_CHECKPOINT, "%s: none of its %d checkpoints is whole; the last looked at: %s", run, count,
                       ls_message());
    return status;
}

LsStatus ls_checkpoint_best(const char *run, LsCheckpoint **checkpoint)
{
    LS_TRY(ls_checkpoint_newest(run, checkpoint));
    if (!*checkpoint || is_file(run))
        return LS_OK;
    const LsProgress *progress = &(*checkpoint)->progress;
    if (progress->best_step < 0 || progress->best_step == progress->step)
        return LS_OK;
    char *path = ls_checkpoint_path(run, progress->best_step);
    LsCheckpoint *best = NULL;
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (path && is_file(path))
        status = open_if_whole(path, &best);
    ls_free(path);
    if (status == LS_OK && !best)
        return LS_OK;
    ls_checkpoint_close(*checkpoint);
    *checkpoint = best;
    return status;
}

const char *const ls_run_temporaries[] = {"config.yaml", "status", "metrics.jsonl*", NULL};

LsStatus ls_checkpoint_clean(const char *run)
{
    char *folder = ls_format("%s/checkpoints", run);
    if (!folder)
        return LS_RESOURCE;
    ls_remove_temporaries(run, ls_run_temporaries);
    ls_remove_temporaries(folder, (const char *const[]){"step-*.h5", NULL});
    ls_free(folder);
    return LS_OK;
}

LsStatus ls_checkpoint_begin(const char *run, int64_t step)
{
    int64_t *steps = NULL;
    int count = 0;
    LS_TRY(ls_checkpoint_clean(run));
    LS_TRY(ls_checkpoint_steps(run, &steps, &count));
    LsStatus status = LS_OK;
    for (int i = 0; i < count && steps[i] > step && status == LS_OK; i++) {
        char *from = ls_checkpoint_path(run, steps[i]), *to = from ? ls_format("%s.aside", from) : NULL;
        if (!to)
            status = LS_RESOURCE;
        else if (rename(from, to) != 0)
            status = ls_fail(LS_CHECKPOINT, "%s: could not set it aside: %s; remove it, or train into another folder",
                             from, strerror(errno));
        else
            ls_warn("%s: later than step %" PRId64 ", from which this training goes on; renamed to %s", from,
                    step < 0 ? 0 : step, to);
        ls_free(from);
        ls_free(to);
    }
    ls_free(steps);
    return status;
}

LsStatus ls_checkpoint_prune(const char *run, int64_t keep, int64_t best_step, int64_t resumed_step)
{
    int64_t *steps = NULL;
    int count = 0;
    LS_TRY(ls_checkpoint_clean(run));
    LS_TRY(ls_checkpoint_steps(run, &steps, &count));
    LsStatus status = LS_OK;
    for (int64_t i = keep < 1 ? 1 : keep; i < count && status == LS_OK; i++) {
        if (steps[i] == best_step || steps[i] == resumed_step)
            continue;
        char *path = ls_checkpoint_path(run, steps[i]);
        if (!path)
            status = LS_RESOURCE;
        else if (unlink(path) != 0 && errno != ENOENT)
            ls_warn("%s: an old checkpoint could not be removed: %s", path, strerror(errno));
        ls_free(path);
    }
    ls_free(steps);
    return status;
}
