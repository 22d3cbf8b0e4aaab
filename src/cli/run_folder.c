#include "cli/run_folder.h"

#include "config/number.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *inside(const LsRunFolder *run, const char *name) { return ls_format("%s/%s", run->path, name); }

LsStatus ls_run_folder_open(LsRunFolder *run, const char *path)
{
    *run = (LsRunFolder){.path = ls_strdup(path), .metrics = -1};
    char *checkpoints = run->path ? inside(run, "checkpoints") : NULL;
    if (!checkpoints)
        return LS_RESOURCE;
    LsStatus status = ls_make_folders(checkpoints);
    ls_free(checkpoints);
    return status;
}

void ls_run_folder_close(LsRunFolder *run)
{
    if (run->metrics >= 0)
        close(run->metrics);
    run->metrics = -1;
    ls_free(run->path);
    run->path = NULL;
}

bool ls_run_folder_empty(const LsRunFolder *run)
{
    char *metrics = inside(run, "metrics.jsonl"), *checkpoints = inside(run, "checkpoints");
    bool empty = true;
    char *text = NULL;
    int64_t bytes = 0;
    if (metrics && ls_file_exists(metrics) && ls_file_read(metrics, LS_ERROR, &text, &bytes) == LS_OK)
        empty = bytes == 0;
    ls_free(text);
    DIR *folder = checkpoints ? opendir(checkpoints) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strncmp(entry->d_name, "step-", 5) == 0)
            empty = false;
    if (folder)
        closedir(folder);
    ls_free(metrics);
    ls_free(checkpoints);
    return empty;
}

static LsStatus replace(const LsRunFolder *run, const char *name, const char *text, int64_t bytes)
{
    char *path = inside(run, name);
    if (!path)
        return LS_RESOURCE;
    LsStatus status = ls_file_replace(path, text, bytes);
    ls_free(path);
    return status;
}

LsStatus ls_run_folder_status(const LsRunFolder *run, const char *word)
{
    char line[32];
    int length = snprintf(line, sizeof line, "%s\n", word);
    return replace(run, "status", line, length);
}

const char *ls_run_folder_word(LsStatus status)
{
    switch (status) {
    case LS_OK:
        return "done";
    case LS_STOPPED:
        return "requeue";
    case LS_DIVERGED:
        return "diverged";
    default:
        return "failed";
    }
}

LsStatus ls_run_folder_config(const LsRunFolder *run, const char *yaml)
{
    return replace(run, "config.yaml", yaml, (int64_t)strlen(yaml));
}

/* ---- Metrics ----------------------------------------------------------------------------------------------------- */

/* Bytes of the whole lines at the start whose step is at most `step`: rows are in order of steps. */
static int64_t keep_bytes(const char *text, int64_t bytes, int64_t step)
{
    int64_t kept = 0;
    while (kept < bytes) {
        const char *line = text + kept, *end = memchr(line, '\n', (size_t)(bytes - kept));
        static const char start[] = "{\"step\": ";
        if (!end || strncmp(line, start, sizeof start - 1) != 0 || strtoll(line + sizeof start - 1, NULL, 10) > step)
            break;
        kept = end - text + 1;
    }
    return kept;
}

LsStatus ls_run_folder_metrics(LsRunFolder *run, int64_t step)
{
    char *path = inside(run, "metrics.jsonl"), *text = NULL;
    int64_t bytes = 0;
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (path && ls_file_exists(path)) {
        LS_TRY_CLEANUP(ls_file_read(path, LS_ERROR, &text, &bytes));
        int64_t kept = keep_bytes(text, bytes, step);
        if (kept < bytes)
            LS_TRY_CLEANUP(ls_file_replace(path, text, kept));
    }
    if (path && (run->metrics = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) < 0)
        status = ls_fail(LS_USAGE, "%s: %s; the run folder must be writable", path, strerror(errno));
cleanup:
    ls_free(text);
    ls_free(path);
    return status;
}

static int put(char *line, int used, size_t room, const char *name, double value)
{
    char text[32];
    if (!isfinite(value))
        return used; /* JSON has no such numbers; a field that is missing is unknown */
    ls_number_text(value, text);
    return used + snprintf(line + used, room - (size_t)used, ", \"%s\": %s", name, text);
}

LsStatus ls_run_folder_row(LsRunFolder *run, const LsMetrics *m)
{
    char line[1024];
    int used = snprintf(line, sizeof line, "{\"step\": %lld", (long long)m->step);
    used = put(line, used, sizeof line, "loss", m->loss);
    used = put(line, used, sizeof line, "validation_loss", m->validation_loss);
    used = put(line, used, sizeof line, "learning_rate", m->learning_rate);
    used = put(line, used, sizeof line, "grad_norm", m->grad_norm);
    used += snprintf(line + used, sizeof line - (size_t)used, ", \"tokens\": %lld", (long long)m->tokens);
    used = put(line, used, sizeof line, "tokens_per_second", m->tokens_per_second);
    used = put(line, used, sizeof line, "seconds", m->seconds);
    used = put(line, used, sizeof line, "share_of_peak", m->share_of_peak);
    used = put(line, used, sizeof line, "communication_seconds", m->communication_seconds);
    used = put(line, used, sizeof line, "communication_hidden", m->communication_hidden);
    used += snprintf(line + used, sizeof line - (size_t)used, "}\n");
    for (int done = 0; done < used;) {
        ssize_t written = write(run->metrics, line + done, (size_t)(used - done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return ls_fail(errno == ENOSPC || errno == EDQUOT ? LS_RESOURCE : LS_ERROR, "%s/metrics.jsonl: %s",
                           run->path, strerror(errno));
        done += (int)written;
    }
    return LS_OK;
}

LsStatus ls_run_folder_sync(const LsRunFolder *run)
{
    if (fsync(run->metrics) == 0)
        return LS_OK;
    return ls_fail(errno == ENOSPC || errno == EDQUOT ? LS_RESOURCE : LS_ERROR, "%s/metrics.jsonl: %s", run->path,
                   strerror(errno));
}
