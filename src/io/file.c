#include "io/file.h"

#include "io/fault.h"
#include "io/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MOST_OF_PIPE ((int64_t)256 << 20) /* bytes: a program that never ends must not take all memory */

int ls_open_regular(const char *path, LsStatus code)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe that nobody writes to must not make us wait */
    if (fd < 0 || fstat(fd, &st) != 0)
        errno == ENOMEM ? ls_fail_errno(code, errno, path, "open") : ls_fail(code, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        ls_fail(code, "%s: this is a folder, a file is needed", path);
    else if (!S_ISREG(st.st_mode))
        ls_fail(code, "%s: this is a pipe or a device, a file is needed", path);
    else
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

FILE *ls_stream_regular(const char *path, LsStatus code)
{
    int fd = ls_open_regular(path, code);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");
    if (fd >= 0 && !file) {
        ls_fail(LS_RESOURCE, "%s: %s", path, strerror(errno));
        close(fd);
    }
    return file;
}

LsStatus ls_file_read(const char *path, LsStatus code, char **bytes, int64_t *count)
{
    *bytes = NULL;
    *count = 0;
    int fd = ls_open_regular(path, code);
    if (fd < 0)
        return ls_message_status();
    LsStatus status = ls_descriptor_read(fd, path, code, bytes, count);
    close(fd);
    return status;
}

/* LsStatus `code` past `most` bytes. */
static LsStatus read_to_end(int fd, const char *path, LsStatus code, int64_t most, char **bytes, int64_t *count)
{
    *bytes = NULL;
    *count = 0;
    LsStatus status = LS_OK;
    struct stat st = {.st_size = 0};
    if (fstat(fd, &st) != 0)
        status = ls_fail(code, "%s: %s", path, strerror(errno));
    int64_t size = 0, room = status == LS_OK ? st.st_size + 1 : 0;
    char *text = status == LS_OK ? ls_alloc((size_t)room) : NULL;
    if (status == LS_OK && !text)
        status = LS_RESOURCE;
    while (status == LS_OK) { /* to the end, not to st_size: pipes and /proc tell no size */
        if (size + 1 >= room) {
            char *grown = ls_alloc((size_t)room * 2 + 4096);
            if (!grown) {
                status = LS_RESOURCE;
                break;
            }
            memcpy(grown, text, (size_t)size);
            ls_free(text);
            text = grown;
            room = room * 2 + 4096;
        }
        ssize_t got = read(fd, text + size, (size_t)(room - size - 1 < 1 << 30 ? room - size - 1 : 1 << 30));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = ls_fail(code, "%s: could not read: %s", path, strerror(errno));
        if (got <= 0)
            break;
        size += got;
        if (size > most)
            status = ls_fail(code, "%s: more than %lld MiB came through this pipe: put it in a file", path,
                             (long long)(most >> 20));
    }
    if (status != LS_OK) {
        ls_free(text);
        return status;
    }
    text[size] = '\0';
    *bytes = text;
    *count = size;
    return LS_OK;
}

LsStatus ls_descriptor_read(int fd, const char *path, LsStatus code, char **bytes, int64_t *count)
{
    return read_to_end(fd, path, code, INT64_MAX, bytes, count);
}

LsStatus ls_input_read(const char *path, LsStatus code, char **bytes, int64_t *count)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISFIFO(st.st_mode))
        return ls_file_read(path, code, bytes, count);
    *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ls_fail(code, "%s: %s", path, strerror(errno));
    LsStatus status = read_to_end(fd, path, code, MOST_OF_PIPE, bytes, count);
    close(fd);
    return status;
}

char *ls_replace_name(const char *path)
{
    static atomic_int serial;
    return ls_format("%s.tmp-%ld-%d", path, (long)getpid(), atomic_fetch_add(&serial, 1));
}

bool ls_replace_is_temporary(const char *name)
{
    const char *at = strstr(name, ".tmp-");
    if (!at || at == name)
        return false;
    size_t first = strspn(at + 5, "0123456789");
    const char *dash = at + 5 + first;
    size_t second = *dash == '-' ? strspn(dash + 1, "0123456789") : 0;
    return first > 0 && second > 0 && dash[1 + second] == '\0';
}

static bool matches(const char *name, const char *const *patterns)
{
    char *target = ls_replace_is_temporary(name) ? ls_format("%.*s", (int)(strstr(name, ".tmp-") - name), name) : NULL;
    bool found = false;
    for (; target && *patterns && !found; patterns++)
        found = fnmatch(*patterns, target, 0) == 0;
    ls_free(target);
    return found;
}

void ls_remove_temporaries(const char *folder, const char *const *patterns)
{
    DIR *entries = opendir(folder);
    for (struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        char *path = matches(e->d_name, patterns) ? ls_format("%s/%s", folder, e->d_name) : NULL;
        if (path && unlink(path) != 0 && errno != ENOENT)
            ls_warn("%s: a left-over of a killed process could not be removed: %s", path, strerror(errno));
        ls_free(path);
    }
    if (entries)
        closedir(entries);
}

char *ls_pattern_of(const char *name)
{
    char *pattern = ls_alloc(2 * strlen(name) + 1), *to = pattern;
    for (; pattern && *name; *to++ = *name++)
        if (strchr("*?[\\", *name))
            *to++ = '\\';
    return pattern;
}

/* The folder that path stands in; the caller frees it. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ls_strdup(".");
    return slash == path ? ls_strdup("/") : ls_format("%.*s", (int)(slash - path), path);
}

/* Makes a rename itself last through a crash of the machine. */
static int sync_folder(const char *path)
{
    char *folder = folder_of(path);
    if (!folder) {
        errno = ENOMEM;
        return -1;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ls_free(folder);
    if (fd < 0)
        return -1;
    int result = ls_sys_sync(fd), error = errno;
    close(fd);
    if (result != 0 && error == EINVAL) /* file systems without it have nothing to sync */
        result = 0;
    errno = error;
    return result;
}

LsStatus ls_replace_finish(const char *temporary, const char *path)
{
    const char *doing = "open it again";
    int error = 0, fd = open(temporary, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        error = errno;
    if (!error) {
        doing = "sync";
        error = ls_sys_sync(fd) == 0 ? 0 : errno;
        if (ls_sys_close(fd) != 0 && !error)
            error = errno;
    }
    if (!error) {
        doing = "rename its temporary file";
        error = ls_temporary_rename(temporary, path) == 0 ? 0 : errno;
    }
    if (error) {
        ls_temporary_remove(temporary);
        return ls_fail_errno(LS_ERROR, error, path, doing);
    }
    if (sync_folder(path) != 0)
        return ls_fail_errno(LS_ERROR, errno, path, "sync its folder");
    return LS_OK;
}

LsStatus ls_file_replace_by(const char *path, LsStatus (*write)(void *self, int fd, const char *path), void *self)
{
    char *temporary = ls_replace_name(path);
    if (!temporary)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    int fd = ls_temporary_create(temporary);
    if (fd < 0) {
        status = ls_fail_place(errno, path, "create a file in its folder");
    } else {
        status = write(self, fd, path);
        if (ls_sys_close(fd) != 0 && status == LS_OK)
            status = ls_fail_errno(LS_ERROR, errno, path, "close");
        if (status == LS_OK)
            status = ls_replace_finish(temporary, path);
        else
            ls_temporary_remove(temporary);
    }
    ls_free(temporary);
    return status;
}

typedef struct Content {
    const void *bytes;
    int64_t count;
} Content;

static LsStatus write_content(void *self, int fd, const char *path)
{
    const Content *content = self;
    if (ls_sys_write_all(fd, content->bytes, content->count, 0) == 0)
        return LS_OK;
    return ls_fail_errno(LS_ERROR, errno, path, "write");
}

LsStatus ls_file_replace(const char *path, const void *bytes, int64_t count)
{
    return ls_file_replace_by(path, write_content, &(Content){bytes, count});
}

LsStatus ls_make_folders(const char *path)
{
    char *prefix = ls_strdup(path);
    if (!prefix)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    size_t length = strlen(prefix);
    for (size_t i = 1; i <= length && status == LS_OK; i++) {
        if (prefix[i] != '/' && prefix[i] != '\0')
            continue;
        char kept = prefix[i];
        prefix[i] = '\0';
        struct stat st;
        if (stat(prefix, &st) == 0) { /* asked first: a folder that exists needs no rights in its parent */
            if (!S_ISDIR(st.st_mode))
                status = ls_fail(LS_USAGE, "%s: a file of this name stands where a folder is needed", prefix);
        } else if (ls_sys_make_folder(prefix) != 0 && errno != EEXIST) {
            status = ls_fail_place(errno, prefix, "make the folder");
        }
        prefix[i] = kept;
    }
    ls_free(prefix);
    return status;
}

bool ls_file_exists(const char *path) { return access(path, F_OK) == 0; }

size_t ls_path_length(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

bool ls_file_exists_in(const char *folder, const char *name)
{
    char *path = ls_format("%s/%s", folder, name);
    bool exists = path && ls_file_exists(path);
    ls_free(path);
    return exists;
}

int64_t ls_free_bytes(const char *path)
{
    char *at = ls_strdup(path); /* the nearest folder above that exists */
    struct statvfs fs;
    int64_t bytes = -1;
    while (at) {
        if (statvfs(at, &fs) == 0) {
            bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
            break;
        }
        char *above = errno == ENOENT && strcmp(at, ".") != 0 && strcmp(at, "/") != 0 ? folder_of(at) : NULL;
        ls_free(at);
        at = above;
    }
    ls_free(at);
    return bytes;
}
