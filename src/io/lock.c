#include "io/lock_internal.h"

#include "io/fault.h"
#include "io/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct LsLock {
    char *path, *guarded;
    int fd;
    pthread_t thread;
    bool beating, ends; /* ends: the thread is to end; under `mutex` */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static double beat_seconds = LS_LOCK_BEAT, silence_seconds = LS_LOCK_SILENCE;

void ls_lock_timing(double beat, double silence)
{
    beat_seconds = beat;
    silence_seconds = silence;
}

static void wait_for(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* ---- The system's lock ------------------------------------------------------------------------------------------- */

/* Locks of the open file description: another open of the same process does not drop them, and they can be asked for
 * without being taken. */
static LsFileLock file_lock(int fd, int command)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, command, &lock) == 0)
        return command == F_OFD_GETLK && lock.l_type != F_UNLCK ? LS_FILE_LOCKED : LS_FILE_UNLOCKED;
    return errno == EAGAIN || errno == EACCES ? LS_FILE_LOCKED : LS_FILE_NO_LOCKS;
}

static bool is_at(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0 && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

/* ---- Signs of life ----------------------------------------------------------------------------------------------- */

static void *beat(void *self)
{
    LsLock *lock = self;
    pthread_mutex_lock(&lock->mutex);
    while (!lock->ends) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)beat_seconds;
        until.tv_nsec += (long)((beat_seconds - (double)(time_t)beat_seconds) * 1e9);
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&lock->wake, &lock->mutex, &until);
        if (!lock->ends)
            futimens(lock->fd, NULL); /* one that fails is as one that was late */
    }
    pthread_mutex_unlock(&lock->mutex);
    return NULL;
}

static LsStatus start_beating(LsLock *lock)
{
    sigset_t all, before;
    pthread_attr_t small;
    pthread_condattr_t clock;
    pthread_mutex_init(&lock->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&lock->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 << 10);
    sigfillset(&all); /* signals are the other threads' business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&lock->thread, &small, beat, lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&small);
    lock->beating = error == 0;
    return error == 0 ? LS_OK : ls_fail(LS_RESOURCE, "%s: no thread could be started: %s", lock->path, strerror(error));
}

static void stop_beating(LsLock *lock)
{
    if (!lock->beating)
        return;
    pthread_mutex_lock(&lock->mutex);
    lock->ends = true;
    pthread_cond_signal(&lock->wake);
    pthread_mutex_unlock(&lock->mutex);
    pthread_join(lock->thread, NULL);
    pthread_cond_destroy(&lock->wake);
    pthread_mutex_destroy(&lock->mutex);
    lock->beating = false;
}

/* ---- Taking ------------------------------------------------------------------------------------------------------ */

/* *again: somebody else was faster, or a stale lock was removed. */
static LsStatus make_file(LsLock *lock, const LsLockOwner *self, bool *again)
{
    char text[LS_LOCK_BYTES];
    int bytes = ls_lock_write(self, text);
    lock->fd = ls_sys_create_new(lock->path);
    if (lock->fd < 0 && errno == EEXIST) {
        *again = true;
        return LS_OK;
    }
    if (lock->fd < 0)
        return ls_fail_place(errno, lock->path, "make the lock file");
    LsFileLock locked = file_lock(lock->fd, F_OFD_SETLK);
    if (locked == LS_FILE_LOCKED || !is_at(lock->fd, lock->path)) { /* taken for one that a killed process left */
        *again = true;
    } else if (ls_sys_write_all(lock->fd, text, bytes, 0) != 0) {
        LsStatus status = ls_fail_errno(LS_ERROR, errno, lock->path, "write");
        unlink(lock->path);
        return status;
    } else if (locked == LS_FILE_NO_LOCKS) { /* two that remove the same stale lock are told apart by who is left */
        wait_for(0.1);
        *again = !is_at(lock->fd, lock->path);
    }
    if (*again) {
        close(lock->fd);
        lock->fd = -1;
    }
    return LS_OK;
}

static LsStatus refuse(const LsLock *lock, const LsLockOwner *owner, LsLockText content)
{
    char text[LS_LOCK_TEXT];
    if (content != LS_LOCK_OWNED)
        return ls_fail(LS_USAGE, "%s: another process writes there (%s is locked); try again when it has ended",
                       lock->guarded, lock->path);
    return ls_fail(LS_USAGE,
                   "%s: another process writes there: %s. Wait for it, stop it, or choose another place; where it is "
                   "certain that it no longer runs, remove %s",
                   lock->guarded, ls_lock_owner_text(owner, text), lock->path);
}

/* Watches a lock whose owner can only be seen by what it does to the file. */
static LsLockState watch(const LsLock *lock, int fd, const LsLockOwner *owner)
{
    char text[LS_LOCK_TEXT];
    struct stat before, now;
    ls_log("%s: %s left no sign of its end: watching for %.0f s whether it still writes", lock->guarded,
           owner->pid > 0 ? ls_lock_owner_text(owner, text) : "another process", silence_seconds);
    if (fstat(fd, &before) != 0)
        return LS_LOCK_FREE;
    for (double end = ls_seconds() + silence_seconds; ls_seconds() < end;) {
        wait_for(silence_seconds / 45 < 0.02 ? 0.02 : silence_seconds / 45);
        /* an open asks the server anew */
        int again = open(lock->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        bool there = again >= 0 && fstat(again, &now) == 0;
        if (again >= 0)
            close(again);
        if (!there || now.st_ino != before.st_ino)
            return LS_LOCK_FREE;
        if (now.st_mtim.tv_sec != before.st_mtim.tv_sec || now.st_mtim.tv_nsec != before.st_mtim.tv_nsec)
            return LS_LOCK_HELD;
    }
    return LS_LOCK_STALE;
}

/* Removes the lock of an owner that is gone, unless another process does so at this moment. */
static LsStatus remove_stale(const LsLock *lock, int judged, const LsLockOwner *owner)
{
    char text[LS_LOCK_TEXT];
    int fd = open(lock->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool mine = fd < 0 ? errno != ENOENT : file_lock(fd, F_OFD_SETLK) != LS_FILE_LOCKED;
    LsStatus status = LS_OK;
    if (mine && is_at(judged, lock->path)) {
        if (owner->pid > 0)
            ls_warn("%s: %s is gone without having ended in order; its lock is taken over", lock->guarded,
                    ls_lock_owner_text(owner, text));
        if (unlink(lock->path) != 0 && errno != ENOENT)
            status = ls_fail_errno(LS_ERROR, errno, lock->path, "remove the lock of a process that is gone");
    }
    if (fd >= 0)
        close(fd);
    return status;
}

/* Locked by somebody who is about to write into it, or to remove it: its text is not the locker's. */
static bool is_changing(const LsLockOwner *owner, LsLockText content)
{
    return content == LS_LOCK_EMPTY || ls_lock_judge(owner, content, LS_FILE_UNLOCKED) == LS_LOCK_STALE;
}

/* There is a lock file: refuses, or removes it where its owner is gone. patient: a file that is changing is left to its
 * owner, to be looked at again. */
static LsStatus meet_other(const LsLock *lock, bool patient)
{
    LsLockOwner owner;
    struct stat st;
    LsStatus status = LS_OK;
    int fd = open(lock->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return LS_OK;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        return ls_fail(LS_USAGE, "%s: a file of this name is in the way of the lock that %s needs; move it away",
                       lock->path, lock->guarded);
    }
    LsLockText content = ls_lock_read(fd, &owner);
    LsLockState state = ls_lock_judge(&owner, content, file_lock(fd, F_OFD_GETLK));
    if (content == LS_LOCK_FOREIGN)
        status = ls_fail(LS_USAGE, "%s: is no lock of this program; move it away, for %s needs the name", lock->path,
                         lock->guarded);
    else if (state == LS_LOCK_UNKNOWN)
        state = watch(lock, fd, &owner);
    if (status == LS_OK && state == LS_LOCK_HELD && !(patient && is_changing(&owner, content)))
        status = refuse(lock, &owner, content);
    else if (status == LS_OK && state == LS_LOCK_STALE)
        status = remove_stale(lock, fd, &owner);
    close(fd);
    return status;
}

LsStatus ls_lock_take(const char *path, const char *guarded, const char *command, LsLock **taken)
{
    LsLockOwner self;
    *taken = NULL;
    LsLock *lock = ls_alloc(sizeof *lock);
    if (!lock)
        return LS_RESOURCE;
    lock->fd = -1;
    lock->path = ls_strdup(path);
    lock->guarded = ls_strdup(guarded);
    LsStatus status = lock->path && lock->guarded ? LS_OK : LS_RESOURCE;
    ls_lock_describe_self(command, &self);
    for (int tries = 0; status == LS_OK && lock->fd < 0; tries++) {
        bool again = false;
        status = tries < 200 ? make_file(lock, &self, &again)
                             : ls_fail(LS_USAGE, "%s: other processes take it again and again; try later", path);
        if (status == LS_OK && again)
            status = meet_other(lock, tries < 60);
        if (status == LS_OK && again && tries > 2)
            wait_for(0.005);
    }
    if (status == LS_OK)
        status = start_beating(lock);
    if (status == LS_OK) {
        ls_temporary_note(lock->path); /* a signal that ends the process ends the lock in order too */
        *taken = lock;
    } else
        ls_lock_release(lock);
    return status;
}

LsStatus ls_lock_check(const LsLock *lock)
{
    if (is_at(lock->fd, lock->path))
        return LS_OK;
    return ls_fail(
        LS_ERROR, "%s: its lock, %s, was removed or taken over while this process wrote there; nothing more is written",
        lock->guarded, lock->path);
}

void ls_lock_release(LsLock *lock)
{
    if (!lock)
        return;
    stop_beating(lock);
    if (lock->fd >= 0) {
        if (is_at(lock->fd, lock->path))
            ls_temporary_remove(lock->path);
        else
            ls_temporary_forget(lock->path);
        close(lock->fd);
    }
    ls_free(lock->path);
    ls_free(lock->guarded);
    ls_free(lock);
}

LsLockState ls_lock_look(const char *path, LsLockOwner *owner)
{
    struct stat st;
    *owner = (LsLockOwner){.pid = 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return LS_LOCK_FREE;
    LsLockState state = LS_LOCK_FREE;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        LsLockText content = ls_lock_read(fd, owner);
        state = content == LS_LOCK_FOREIGN ? LS_LOCK_FREE : ls_lock_judge(owner, content, file_lock(fd, F_OFD_GETLK));
    }
    close(fd);
    return state;
}
