/* Which checkpoints a run folder has, which to take, which to remove. */
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

char *ls_checkpoint_path(const char *run, int64_t step) { return ls_format("%s/checkpoints/step-%08" PRId64 ".h5", run, step); }

static int newest_first(const void *a, const void *b)
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
        qsort(*steps, (size_t)*count, sizeof **steps, newest_first);
    return LS_OK;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Whole and of this program; the message says what is wrong otherwise. */
static bool verifies(const char *path)
{
    LsProgress progress;
    char *config = NULL, *tokenizer = NULL;
    bool good = ls_checkpoint_peek(path, &progress, &config, &tokenizer) == LS_OK;
    ls_free(config);
    ls_free(tokenizer);
    return good;
}

LsStatus ls_checkpoint_newest(const char *run, char **path)
{
    *path = NULL;
    if (is_file(run)) {
        *path = verifies(run) ? ls_strdup(run) : NULL;
        return *path ? LS_OK : ls_message_status();
    }
    int64_t *steps = NULL;
    int count = 0;
    LS_TRY(ls_checkpoint_steps(run, &steps, &count));
    for (int i = 0; i < count && !*path; i++) {
        char *candidate = ls_checkpoint_path(run, steps[i]);
        if (candidate && verifies(candidate)) {
            *path = candidate;
        } else {
            ls_warn("passed over: %s", ls_message());
            ls_free(candidate);
        }
    }
    ls_free(steps);
    if (count > 0 && !*path)
        return ls_fail(LS_CHECKPOINT, "%s: none of its %d checkpoints is whole; the last looked at: %s", run, count, ls_message());
    return LS_OK;
}

LsStatus ls_checkpoint_best(const char *run, char **path)
{
    LS_TRY(ls_checkpoint_newest(run, path));
    if (!*path || is_file(run))
        return LS_OK;
    LsProgress progress;
    char *config = NULL, *tokenizer = NULL;
    LsStatus status = ls_checkpoint_peek(*path, &progress, &config, &tokenizer);
    ls_free(config);
    ls_free(tokenizer);
    if (status != LS_OK) {
        ls_free(*path);
        *path = NULL;
        return status;
    }
    char *best = progress.best_step >= 0 && progress.best_step != progress.step ? ls_checkpoint_path(run, progress.best_step) : NULL;
    if (best && is_file(best) && verifies(best)) {
        ls_free(*path);
        *path = best;
        return LS_OK;
    }
    if (best && is_file(best))
        ls_warn("the best checkpoint cannot be used, the newest is taken: %s", ls_message());
    ls_free(best);
    return LS_OK;
}

/* Temporary files in one folder; what was written by a living process of this name scheme is ours alone, and we are not writing now. */
static void remove_temporaries(const char *folder)
{
    DIR *entries = opendir(folder);
    for (struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        char *path = ls_replace_is_temporary(e->d_name) ? ls_format("%s/%s", folder, e->d_name) : NULL;
        if (path && unlink(path) != 0 && errno != ENOENT)
            ls_warn("%s: a left-over of a killed process could not be removed: %s", path, strerror(errno));
        ls_free(path);
    }
    if (entries)
        closedir(entries);
}

static LsStatus clean(const char *run)
{
    char *folder = ls_format("%s/checkpoints", run);
    if (!folder)
        return LS_RESOURCE;
    remove_temporaries(run);
    remove_temporaries(folder);
    ls_free(folder);
    return LS_OK;
}

LsStatus ls_checkpoint_begin(const char *run, int64_t step)
{
    int64_t *steps = NULL;
    int count = 0;
    LS_TRY(clean(run));
    LS_TRY(ls_checkpoint_steps(run, &steps, &count));
    LsStatus status = LS_OK;
    for (int i = 0; i < count && steps[i] > step && status == LS_OK; i++) {
        char *from = ls_checkpoint_path(run, steps[i]), *to = from ? ls_format("%s.aside", from) : NULL;
        if (!to)
            status = LS_RESOURCE;
        else if (rename(from, to) != 0)
            status = ls_fail(LS_CHECKPOINT, "%s: could not set it aside: %s; remove it, or train into another folder", from, strerror(errno));
        else
            ls_warn("%s: later than step %" PRId64 ", from which this training goes on; renamed to %s", from, step < 0 ? 0 : step, to);
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
    LS_TRY(clean(run));
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
