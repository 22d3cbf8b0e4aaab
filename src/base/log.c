#include "lockstep/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool muted;
static FILE *log_file;

static void say(const char *prefix, bool error, const char *format, va_list arguments)
{
    if (muted && !error)
        return;
    char text[16384];
    vsnprintf(text, sizeof text, format, arguments);
    fprintf(stderr, "lockstep: %s%s\n", prefix, text);
    if (!log_file)
        return;
    char stamp[32];
    time_t now = time(NULL);
    struct tm parts;
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &parts));
    fprintf(log_file, "%s %s%s\n", stamp, prefix, text);
    fflush(log_file);
}

void ls_log(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("", false, format, arguments);
    va_end(arguments);
}

void ls_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("warning: ", false, format, arguments);
    va_end(arguments);
}

void ls_log_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("error: ", true, format, arguments);
    va_end(arguments);
}

void ls_log_mute(bool mute) { muted = mute; }

LsStatus ls_log_open(const char *path)
{
    ls_log_close();
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) /* a link, and a pipe that nobody reads */
        return ls_fail(LS_USAGE,
                       "%s: is a link or a pipe, and what it leads to is not the log's to write to; remove it", path);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        return ls_fail(LS_USAGE, "%s: is no file; remove it", path);
    }
    log_file = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (log_file)
        return LS_OK;
    LsStatus status = ls_fail(LS_ERROR, "%s: %s; the run folder must be writable", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

void ls_log_close(void)
{
    if (log_file)
        fclose(log_file);
    log_file = NULL;
}

double ls_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
