#include "io/temporary.h"

#include "io/fault.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A file is made and renamed under the lock: whoever removes all of them sees each, and none comes after. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char **paths;
static int count, room;

static bool note(const char *path)
{
    if (count == room) {
        char **grown = ls_alloc_array(room + 8, sizeof *grown);
        if (!grown)
            return false;
        if (count > 0)
            memcpy(grown, paths, (size_t)count * sizeof *grown);
        ls_free(paths);
        paths = grown;
        room += 8;
    }
    if (!(paths[count] = ls_strdup(path)))
        return false;
    count++;
    return true;
}

static void forget(const char *path)
{
    for (int i = count - 1; i >= 0; i--)
        if (strcmp(paths[i], path) == 0) {
            ls_free(paths[i]);
            paths[i] = paths[--count];
        }
    if (count == 0) {
        ls_free(paths);
        paths = NULL;
        room = 0;
    }
}

int ls_temporary_create(const char *path)
{
    pthread_mutex_lock(&lock);
    bool noted = note(path);
    int fd = noted ? ls_sys_create(path) : -1, error = noted ? errno : ENOMEM;
    if (noted && fd < 0)
        forget(path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

void ls_temporary_note(const char *path)
{
    pthread_mutex_lock(&lock);
    (void)note(path);
    pthread_mutex_unlock(&lock);
}

int ls_temporary_rename(const char *path, const char *to)
{
    pthread_mutex_lock(&lock);
    int result = ls_sys_rename(path, to), error = errno;
    if (result == 0)
        forget(path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

void ls_temporary_forget(const char *path)
{
    pthread_mutex_lock(&lock);
    forget(path);
    pthread_mutex_unlock(&lock);
}

void ls_temporary_remove(const char *path)
{
    int error = errno;
    pthread_mutex_lock(&lock);
    unlink(path);
    forget(path);
    pthread_mutex_unlock(&lock);
    errno = error;
}

void ls_temporary_remove_all(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    /* a server of files that does not answer may hold the lock: then nothing can be removed either */
    limit.tv_sec += 2;
    if (pthread_mutex_timedlock(&lock, &limit) == 0)
        for (int i = 0; i < count; i++)
            unlink(paths[i]);
}
