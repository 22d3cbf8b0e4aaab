#include "cli/run_folder.h"

#include "base/no_space.h"
#include "cli/metrics_file.h"
#include "io/file.h"
#include "store/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *inside(const LsRunFolder *run, const char *name) { return ls_format("%s/%s", run->path, name); }

LsStatus ls_run_folder_open(LsRunFolder *run, const char *path)
{
    *run = (LsRunFolder){.path = ls_strdup(path), .metrics = -1};
    run->metrics_path = run->path ? inside(run, "metrics.jsonl") : NULL;
    char *checkpoints = run->metrics_path ? inside(run, "checkpoints") : NULL;
    if (!checkpoints)
        return LS_RESOURCE;
    LsStatus status = ls_output_folder(path, "train", ls_run_temporaries, &run->output);
    if (status == LS_OK) {
        run->made_checkpoints = !ls_file_exists(checkpoints);
        status = ls_make_folders(checkpoints);
    }
    ls_free(checkpoints);
    return status;
}

void ls_run_folder_close(LsRunFolder *run, bool keep)
{
    if (run->metrics >= 0)
        close(run->metrics);
    run->metrics = -1;
    ls_event_file_close(run->events);
    run->events = NULL;
    char *checkpoints = !keep && run->made_checkpoints ? inside(run, "checkpoints") : NULL;
    if (checkpoints)
        rmdir(checkpoints); /* where it is empty */
    ls_free(checkpoints);
    ls_output_release(run->output, keep);
    run->output = NULL;
    ls_free(run->path);
    ls_free(run->metrics_path);
    run->path = run->metrics_path = NULL;
}

LsStatus ls_run_folder_file(const LsRunFolder *run, const char *name, const void *bytes, int64_t count)
{
    char *path = inside(run, name), *folder = path ? ls_strdup(path) : NULL,
         *slash = folder ? strrchr(folder, '/') : NULL;
    char *pattern = slash ? ls_pattern_of(slash + 1) : NULL;
    LsStatus status = pattern ? LS_OK : LS_RESOURCE;
    if (status == LS_OK) {
        *slash = '\0';
        status = ls_make_folders(folder);
    }
    if (status == LS_OK) { /* what a killed run has left of it */
        ls_remove_temporaries(folder, (const char *const[]){pattern, NULL});
        status = ls_file_replace(path, bytes, count);
    }
    ls_free(path);
    ls_free(folder);
    ls_free(pattern);
    return status;
}

LsStatus ls_run_folder_check(const LsRunFolder *run) { return ls_output_check(run->output); }

const char *ls_run_folder_read_status(const char *path, char word[LS_STATUS_WORD])
{
    struct stat st;
    char *name = ls_format("%s/status", path);
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    ssize_t bytes = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, word, LS_STATUS_WORD - 1) : 0;
    if (fd >= 0)
        close(fd);
    ls_free(name);
    word[bytes > 0 ? bytes : 0] = '\0';
    word[strcspn(word, " \t\r\n")] = '\0';
    return word;
}

LsLockState ls_run_folder_owner(const char *path, LsLockOwner *owner)
{
    *owner = (LsLockOwner){.pid = 0};
    char *lock = ls_format("%s/" LS_OUTPUT_LOCK, path);
    LsLockState state = lock ? ls_lock_look(lock, owner) : LS_LOCK_FREE;
    ls_free(lock);
    return state;
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

/* Over the old word, which takes no space: on a full disk nothing else can be written. */
static bool overwrite_status(const LsRunFolder *run, const char *line, int length)
{
    char *path = inside(run, "status");
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool done = fd >= 0 && pwrite(fd, line, (size_t)length, 0) == length && ftruncate(fd, length) == 0;
    if (fd >= 0)
        close(fd);
    ls_free(path);
    return done;
}

LsStatus ls_run_folder_status(const LsRunFolder *run, const char *word)
{
    char line[32];
    int length = snprintf(line, sizeof line, "%s\n", word);
    LsStatus status = replace(run, "status", line, length);
    return status != LS_OK && overwrite_status(run, line, length) ? LS_OK : status;
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

/* Opens metrics.jsonl to append to; made where it is missing. */
static LsStatus open_metrics(LsRunFolder *run)
{
    const char *path = run->metrics_path;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    LsStatus status =
        fd >= 0 ? LS_OK : ls_fail(LS_USAGE, "%s: %s; the run folder must be writable", path, strerror(errno));
    if (run->metrics >= 0)
        close(run->metrics);
    run->metrics = fd;
    return status;
}

LsStatus ls_run_folder_metrics(LsRunFolder *run, int64_t step, int64_t rows)
{
    LS_TRY(ls_metrics_cut(run->metrics_path, step, rows));
    return open_metrics(run);
}

/* Whether the open file is still the one of that name. */
static bool metrics_there(const LsRunFolder *run)
{
    struct stat open_file, named;
    return fstat(run->metrics, &open_file) == 0 && stat(run->metrics_path, &named) == 0 &&
           open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

/* Numbers, and samples of text behind them where there are some. */
static char *row_line(const LsMetricsRow *row, const char *samples)
{
    char numbers[LS_ROW_TEXT];
    int used = ls_metrics_row_json(row, numbers); /* ends in "}\n" */
    return samples ? ls_format("%.*s, \"samples\": %s}\n", used - 2, numbers, samples) : ls_strdup(numbers);
}

static LsStatus append_line(const LsRunFolder *run, const char *line)
{
    for (size_t done = 0, all = strlen(line); done < all;) {
        ssize_t written = write(run->metrics, line + done, all - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return ls_fail(ls_no_space(errno) ? LS_RESOURCE : LS_ERROR, "%s/metrics.jsonl: %s", run->path,
                           strerror(errno));
        done += (size_t)written;
    }
    return LS_OK;
}

LsStatus ls_run_folder_row(LsRunFolder *run, const LsMetrics *m)
{
    LsMetricsRow row;
    ls_metrics_row(m, &row);
    if (!metrics_there(run)) {
        ls_warn("%s/metrics.jsonl: was removed or replaced while the training wrote to it; the rows up to step %lld "
                "are lost, and it "
                "is begun anew",
                run->path, (long long)m->step - 1);
        LS_TRY(open_metrics(run));
    }
    char *line = row_line(&row, m->samples);
    LsStatus status = line ? append_line(run, line) : LS_RESOURCE;
    ls_free(line);
    LS_TRY(status);
    return run->events ? ls_event_file_row(run->events, &row) : LS_OK;
}

LsStatus ls_run_folder_sync(const LsRunFolder *run)
{
    if (fsync(run->metrics) == 0)
        return LS_OK;
    return ls_fail(ls_no_space(errno) ? LS_RESOURCE : LS_ERROR, "%s/metrics.jsonl: %s", run->path, strerror(errno));
}
