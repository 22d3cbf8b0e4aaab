#include "io/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static LsFault armed;
static int64_t armed_call;
static atomic_llong calls, reads;
static pthread_once_t environment_read = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
    static const struct {
        const char *name;
        LsFault kind;
    } kinds[] = {{"full", LS_FAULT_FULL}, {"error", LS_FAULT_ERROR}, {"short", LS_FAULT_SHORT},
                 {"kill", LS_FAULT_KILL}, {"read", LS_FAULT_READ},   {"stop", LS_FAULT_STOP}};
    const char *text = getenv("LOCKSTEP_FAULT");
    if (!text || !*text)
        return;
    for (size_t i = 0; i < LS_COUNT_OF(kinds); i++) {
        size_t length = strlen(kinds[i].name);
        char *end = NULL;
        if (strncmp(text, kinds[i].name, length) != 0 || text[length] != ':')
            continue;
        armed_call = strtoll(text + length + 1, &end, 10);
        if (armed_call > 0 && *end == '\0') {
            armed = kinds[i].kind;
            return;
        }
    }
    fprintf(stderr,
            "lockstep: LOCKSTEP_FAULT=%s is not full:N, error:N, short:N, kill:N, read:N or stop:N with N from 1\n",
            text);
    abort();
}

void ls_fault_arm(LsFault kind, int64_t call)
{
    pthread_once(&environment_read, read_environment);
    armed = kind;
    armed_call = call;
    atomic_store(&calls, 0);
    atomic_store(&reads, 0);
}

int64_t ls_fault_calls(void) { return atomic_load(&calls); }

/* Counts a call. True: it is to fail, errno is set. *part: it is to do half. */
static bool faulty(bool needs_space, bool *part)
{
    pthread_once(&environment_read, read_environment);
    int64_t call = atomic_fetch_add(&calls, 1) + 1;
    if (armed == LS_FAULT_NONE || armed == LS_FAULT_READ || call < armed_call)
        return false;
    if (armed == LS_FAULT_FULL && needs_space) {
        errno = ENOSPC;
        return true;
    }
    if (call != armed_call)
        return false;
    if (armed == LS_FAULT_KILL)
        kill(getpid(), SIGKILL);
    if (armed == LS_FAULT_STOP)
        kill(getpid(), SIGSTOP);
    if (armed == LS_FAULT_SHORT && part)
        *part = true;
    errno = EIO;
    return armed == LS_FAULT_ERROR;
}

int ls_sys_create(const char *path)
{
    return faulty(true, NULL) ? -1 : open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
}

int ls_sys_create_new(const char *path)
{
    return faulty(true, NULL) ? -1 : open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
}

ssize_t ls_sys_pwrite(int fd, const void *bytes, size_t count, int64_t offset)
{
    bool part = false;
    if (faulty(true, &part))
        return -1;
    return pwrite(fd, bytes, part && count > 1 ? count / 2 : count, offset);
}

int ls_sys_truncate(int fd, int64_t size) { return faulty(true, NULL) ? -1 : ftruncate(fd, size); }

int ls_sys_sync(int fd) { return faulty(true, NULL) ? -1 : fsync(fd); }

void ls_sys_start_sync(int fd)
{
#ifdef SYNC_FILE_RANGE_WRITE
    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* advice: what fails here fails in fsync */
#else
    (void)fd;
#endif
}

int ls_sys_close(int fd)
{
    if (!faulty(true, NULL))
        return close(fd);
    int error = errno; /* the descriptor is gone even where close fails */
    close(fd);
    errno = error;
    return -1;
}

int ls_sys_rename(const char *from, const char *to) { return faulty(true, NULL) ? -1 : rename(from, to); }

int ls_sys_make_folder(const char *path) { return faulty(true, NULL) ? -1 : mkdir(path, 0777); }

int ls_sys_write_all(int fd, const void *bytes, int64_t count, int64_t offset)
{
    const int64_t most = 1 << 30; /* Linux writes at most 2^31 - 4096 bytes a call */
    const char *from = bytes;
    while (count > 0) {
        ssize_t done = ls_sys_pwrite(fd, from, (size_t)(count < most ? count : most), offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = ENOSPC;
        if (done <= 0)
            return -1;
        from += done;
        offset += done;
        count -= done;
    }
    return 0;
}

int ls_sys_read_all(int fd, void *bytes, int64_t count, int64_t offset)
{
    const int64_t most = 1 << 30;
    char *to = bytes;
    pthread_once(&environment_read, read_environment);
    if (atomic_fetch_add(&reads, 1) + 1 == armed_call && armed == LS_FAULT_READ) {
        errno = EIO;
        return -1;
    }
    while (count > 0) {
        ssize_t done = pread(fd, to, (size_t)(count < most ? count : most), offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = 0;
        if (done <= 0)
            return -1;
        to += done;
        offset += done;
        count -= done;
    }
    return 0;
}

LsStatus ls_fail_errno(LsStatus code, int error, const char *path, const char *doing)
{
    if (error == EFBIG)
        return ls_fail(
            LS_RESOURCE,
            "%s: larger than files may become here (%s: %s); raise the limit (ulimit -f), or write to another disk",
            path, doing, strerror(error));
    if (error == ENOSPC || error == EDQUOT)
        return ls_fail(LS_RESOURCE, "%s: the disk is full (%s: %s); free some space, or write to another disk", path,
                       doing, strerror(error));
    if (error == ENOMEM) /* says nothing of the file */
        return ls_fail(
            LS_RESOURCE,
            "%s: out of memory (%s: %s); close other programs, or raise the limit (ulimit -v, the job's memory)", path,
            doing, strerror(error));
    if (error == EROFS || error == EACCES || error == EPERM)
        return ls_fail(
            code, "%s: not permitted (%s: %s); choose a folder that this user may write to, or change its permissions",
            path, doing, strerror(error));
    return ls_fail(code, "%s: could not %s: %s", path, doing, strerror(error));
}

LsStatus ls_fail_place(int error, const char *path, const char *doing)
{
    static const int refused[] = {EACCES, EPERM, EROFS, ENOENT, ENOTDIR, EISDIR, ENAMETOOLONG, ELOOP, EINVAL};
    LsStatus code = LS_ERROR;
    for (size_t i = 0; i < LS_COUNT_OF(refused); i++)
        code = error == refused[i] ? LS_USAGE : code;
    return ls_fail_errno(code, error, path, doing);
}
