#include "io/spool.h"

#include "io/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER ((int64_t)1 << 20)

struct LsSpool {
    int fd;
    int64_t written, held; /* bytes in the file; in the buffer */
    char *folder, *buffer;
};

/* Not every file system has files without a name. */
static int open_nameless(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    char *name = ls_format("%s/lockstep-spool-XXXXXX", folder);
    fd = name ? mkostemp(name, O_CLOEXEC) : -1;
    if (fd >= 0)
        unlink(name);
    ls_free(name);
    return fd;
}

LsSpool *ls_spool_new(const char *folder)
{
    const char *temporary = getenv("TMPDIR");
    LsSpool *spool = ls_alloc(sizeof *spool);
    if (!spool)
        return NULL;
    spool->fd = -1;
    spool->folder = ls_strdup(folder ? folder : temporary && *temporary ? temporary : "/tmp");
    spool->buffer = spool->folder ? ls_alloc((size_t)BUFFER) : NULL;
    if (spool->buffer && (spool->fd = open_nameless(spool->folder)) < 0)
        (void)ls_fail_errno(LS_ERROR, errno, spool->folder, "making a temporary file");
    if (spool->fd >= 0)
        return spool;
    ls_spool_free(spool);
    return NULL;
}

static LsStatus write_out(LsSpool *spool, const char *bytes, int64_t count)
{
    if (ls_sys_write_all(spool->fd, bytes, count, spool->written) != 0)
        return ls_fail_errno(LS_ERROR, errno, spool->folder, "writing a temporary file");
    spool->written += count;
    return LS_OK;
}

static LsStatus write_buffer(LsSpool *spool)
{
    LsStatus status = spool->held > 0 ? write_out(spool, spool->buffer, spool->held) : LS_OK;
    spool->held = 0;
    return status;
}

LsStatus ls_spool_write(LsSpool *spool, const void *bytes, int64_t count)
{
    if (spool->held + count > BUFFER)
        LS_TRY(write_buffer(spool));
    if (count >= BUFFER)
        return write_out(spool, bytes, count);
    if (count > 0)
        memcpy(spool->buffer + spool->held, bytes, (size_t)count);
    spool->held += count;
    return LS_OK;
}

int64_t ls_spool_size(const LsSpool *spool) { return spool->written + spool->held; }

void ls_spool_cut(LsSpool *spool, int64_t size)
{
    spool->held = size > spool->written ? size - spool->written : 0;
    spool->written = size < spool->written ? size : spool->written;
}

LsStatus ls_spool_map(LsSpool **from, const char **text, int64_t *bytes)
{
    LsSpool *spool = *from;
    *from = NULL;
    *text = NULL;
    *bytes = ls_spool_size(spool);
    LsStatus status = write_buffer(spool);
    void *start = NULL;
    if (status == LS_OK && *bytes > 0)
        start = mmap(NULL, (size_t)*bytes, PROT_READ, MAP_PRIVATE, spool->fd, 0);
    if (start == MAP_FAILED)
        status = ls_fail_errno(LS_ERROR, errno, spool->folder, "reading a temporary file");
    else
        *text = start;
    ls_spool_free(spool);
    return status;
}

void ls_spool_unmap(const char *text, int64_t bytes)
{
    if (text)
        munmap((void *)(uintptr_t)text, (size_t)bytes);
}

void ls_spool_free(LsSpool *spool)
{
    if (!spool)
        return;
    if (spool->fd >= 0)
        close(spool->fd);
    ls_free(spool->folder);
    ls_free(spool->buffer);
    ls_free(spool);
}
