#include "io/output.h"

#include "io/file.h"
#include "io/lock.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct LsOutput {
    char *folder; /* the folder itself, or that of the file */
    size_t made;  /* bytes of the shortest prefix of it that was made for this; 0: none */
    LsLock *lock;
};

/* Length of the shortest prefix that does not exist yet. */
static size_t first_missing(const char *path)
{
    size_t length = strlen(path), missing = 0;
    char *prefix = ls_strdup(path);
    struct stat st;
    for (size_t i = 1; prefix && i <= length && !missing; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        prefix[i] = '\0';
        missing = lstat(prefix, &st) != 0 ? i : 0;
        prefix[i] = path[i];
    }
    ls_free(prefix);
    return missing;
}

/* From the deepest up, as long as they are empty. */
static void remove_made(const LsOutput *output)
{
    char *path = output->made > 0 ? ls_strdup(output->folder) : NULL;
    while (path && strlen(path) >= output->made) {
        char *slash = strrchr(path, '/');
        if (!(slash && slash[1] == '\0') && rmdir(path) != 0 && errno != ENOENT)
            break;
        if (!slash)
            break;
        *slash = '\0';
    }
    ls_free(path);
}

static LsStatus open_output(const char *folder, const char *lock, const char *guarded, const char *command,
                            LsOutput **output)
{
    *output = NULL;
    LsOutput *made = ls_alloc(sizeof *made);
    if (!made)
        return LS_RESOURCE;
    LsStatus status = (made->folder = ls_strdup(folder)) ? LS_OK : LS_RESOURCE;
    made->made = status == LS_OK ? first_missing(folder) : 0;
    if (status == LS_OK)
        status = ls_make_folders(folder);
    if (status == LS_OK)
        status = ls_lock_take(lock, guarded, command, &made->lock);
    if (status == LS_OK)
        *output = made;
    else
        ls_output_release(made, false);
    return status;
}

LsStatus ls_output_folder(const char *path, const char *command, const char *const *temporaries, LsOutput **output)
{
    *output = NULL;
    char *lock = ls_format("%s/" LS_OUTPUT_LOCK, path);
    if (!lock)
        return LS_RESOURCE;
    LsStatus status = open_output(path, lock, path, command, output);
    ls_free(lock);
    if (status == LS_OK)
        ls_remove_temporaries(path, temporaries);
    return status;
}

LsStatus ls_output_file(const char *path, const char *command, LsOutput **output)
{
    *output = NULL;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? ls_format("%.*s", slash == path ? 1 : (int)(slash - path), path) : ls_strdup(".");
    char *lock = ls_format("%s.lock", path), *pattern = ls_pattern_of(slash ? slash + 1 : path);
    LsStatus status = folder && lock && pattern ? open_output(folder, lock, path, command, output) : LS_RESOURCE;
    if (status == LS_OK)
        ls_remove_temporaries(folder, (const char *const[]){pattern, NULL});
    ls_free(folder);
    ls_free(lock);
    ls_free(pattern);
    return status;
}

LsStatus ls_output_check(const LsOutput *output) { return ls_lock_check(output->lock); }

void ls_output_release(LsOutput *output, bool keep)
{
    if (!output)
        return;
    ls_lock_release(output->lock);
    if (!keep && output->folder)
        remove_made(output);
    ls_free(output->folder);
    ls_free(output);
}
