/* Files that gzip may have compressed, read from start to end. */
#include "data/images.h"

#include "io/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

struct LsGzip {
    gzFile file;
    char *path;
};

LsGzip *ls_gzip_open(const char *path)
{
    int fd = ls_open_regular(path, LS_DATA);
    if (fd < 0)
        return NULL;
    LsGzip *file = ls_alloc(sizeof *file);
    if (file && (file->path = ls_strdup(path)) && (file->file = gzdopen(fd, "rb"))) {
        (void)gzbuffer(file->file, 1 << 18);
        return file;
    }
    if (file && file->path)
        ls_fail(LS_RESOURCE, "%s: out of memory for reading it", path);
    close(fd);
    ls_gzip_close(file);
    return NULL;
}

static LsStatus fail_reading(const LsGzip *file)
{
    int code = Z_OK;
    const char *text = gzerror(file->file, &code);
    if (code == Z_ERRNO)
        return ls_fail(LS_DATA, "%s: cannot be read: %s", file->path, strerror(errno));
    return ls_fail(LS_DATA, "%s: the compressed file is cut short or damaged (%s)", file->path, text);
}

LsStatus ls_gzip_read(LsGzip *file, void *to, int64_t bytes, const char *what)
{
    char *at = to;
    while (bytes > 0) {
        unsigned wanted = bytes < 1 << 30 ? (unsigned)bytes : 1u << 30;
        int read = gzread(file->file, at, wanted);
        int code = Z_OK;
        if (read < 0)
            return fail_reading(file);
        if (read == 0) {
            (void)gzerror(file->file, &code);
            if (code != Z_OK && code != Z_STREAM_END)
                return fail_reading(file);
            return ls_fail(LS_DATA, "%s: is cut short: it ends at byte %lld, in %s", file->path,
                           (long long)gztell(file->file), what);
        }
        at += read;
        bytes -= read;
    }
    return LS_OK;
}

LsStatus ls_gzip_end(LsGzip *file)
{
    char more;
    int read = gzread(file->file, &more, 1), code = Z_OK;
    (void)gzerror(file->file, &code);
    if (read < 0 || (code != Z_OK && code != Z_STREAM_END))
        return fail_reading(file);
    if (read > 0)
        return ls_fail(LS_DATA, "%s: is longer than its first bytes say: more follows byte %lld", file->path,
                       (long long)gztell(file->file) - 1);
    return LS_OK;
}

LsStatus ls_gzip_count(LsGzip *file, int64_t *bytes)
{
    static const int64_t piece = (int64_t)1 << 18;
    char *room = ls_alloc((size_t)piece);
    int read = room ? 1 : 0, code = Z_OK;
    *bytes = 0;
    while (read > 0 && (read = gzread(file->file, room, (unsigned)piece)) > 0)
        *bytes += read;
    ls_free(room);
    if (!room)
        return LS_RESOURCE;
    (void)gzerror(file->file, &code);
    if (read < 0 || (code != Z_OK && code != Z_STREAM_END) || gzrewind(file->file) != 0)
        return fail_reading(file);
    return LS_OK;
}

void ls_gzip_close(LsGzip *file)
{
    if (!file)
        return;
    if (file->file)
        (void)gzclose(file->file);
    ls_free(file->path);
    ls_free(file);
}
