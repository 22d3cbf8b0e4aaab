#include "base/trace.h"

#include "base/no_space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS 32768 /* gathered before they are written */
#define NAMES 8192   /* places for distinct names, a power of two */
#define TRACE_START "[\n{\"ph\":\"M\""
#define NAME_BYTES ((size_t)512 << 10)

typedef struct Event {
    double begin, end;
    const char *category;
    int32_t name; /* where it begins in the text; -1: the category stands for it */
    int32_t track;
} Event;

typedef struct Trace {
    FILE *file;
    char *path;
    int rank, error; /* error: errno of the first failed write */
    double zero;
    int64_t written;
    bool full;
    int events;
    Event event[EVENTS];
    int32_t place[NAMES]; /* hash table: 1 + where the name begins in text; 0: empty */
    size_t used;
    char text[NAME_BYTES];
} Trace;

static Trace *trace;

bool ls_trace_on(void) { return trace != NULL; }

char *ls_trace_path(const char *file, int rank, int ranks)
{
    if (ranks == 1)
        return ls_strdup(file);
    const char *folder = strrchr(file, '/'), *dot = strrchr(file, '.');
    if (!dot || dot == file || (folder && dot <= folder + 1))
        return ls_format("%s.%d", file, rank);
    return ls_format("%.*s.%d%s", (int)(dot - file), file, rank, dot);
}

/* Where the name's copy begins; -1 where there is no room for another one. */
static int32_t intern(Trace *t, const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    size_t length = strlen(name) + 1;
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    for (uint32_t tries = 0; tries < NAMES; tries++) {
        int32_t *place = &t->place[(hash + tries) % NAMES];
        if (*place > 0 && strcmp(t->text + *place - 1, name) == 0)
            return *place - 1;
        if (*place > 0)
            continue;
        if (t->used + length > NAME_BYTES)
            return -1;
        memcpy(t->text + t->used, name, length);
        *place = (int32_t)t->used + 1;
        t->used += length;
        return *place - 1;
    }
    return -1;
}

/* In JSON's quotes. */
static void put_text(FILE *file, const char *text)
{
    putc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20)
            fprintf(file, "\\u%04x", c);
        else
            putc(c, file);
    }
    putc('"', file);
}

static void put_meta(const Trace *t, int track, const char *key, const char *format, int number)
{
    char text[64];
    snprintf(text, sizeof text, format, number);
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"%s\",\"args\":{\"name\":\"%s\"}},\n", t->rank,
            track, key, text);
}

static void write_events(Trace *t)
{
    for (int i = 0; i < t->events; i++) {
        const Event *e = &t->event[i];
        fprintf(t->file,
                "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"cat\":\"%s\",\"name\":", t->rank,
                e->track, 1e6 * (e->begin - t->zero), 1e6 * (e->end - e->begin), e->category);
        put_text(t->file, e->name < 0 ? e->category : t->text + e->name);
        fputs("},\n", t->file);
    }
    errno = 0;
    if ((fflush(t->file) != 0 || ferror(t->file)) && t->error == 0)
        t->error = errno ? errno : EIO;
    t->written += t->events;
    t->events = 0;
}

/* Opens a file to write the trace to: a new one, or an older trace. Whatever else stands there is not the program's to
 * overwrite. NULL with a message. */
static FILE *open_file(const char *path)
{
    char start[16] = "";
    struct stat st = {.st_size = 0};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        ssize_t bytes = pread(fd, start, sizeof start - 1, 0);
        if (bytes < 0 || strncmp(start, TRACE_START, strlen(TRACE_START)) != 0) {
            close(fd);
            ls_fail(LS_USAGE, "%s: is there already and is no trace; name another file", path);
            return NULL;
        }
    }
    if (fd >= 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) { /* /dev/null is welcome */
        close(fd);
        ls_fail(LS_USAGE, "%s: is no file; name one that can be written", path);
        return NULL;
    }
    FILE *file = fd >= 0 && (S_ISCHR(st.st_mode) || ftruncate(fd, 0) == 0) ? fdopen(fd, "w") : NULL;
    if (!file) {
        ls_fail(LS_USAGE, "%s: %s; name a file that can be written", path,
                errno == ELOOP ? "is a symbolic link" : strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return file;
}

LsStatus ls_trace_open(const char *path, int rank)
{
    if (trace)
        return ls_fail(LS_ERROR, "%s: a trace is being written already", path);
    Trace *t = ls_alloc(sizeof *t);
    if (!t)
        return LS_RESOURCE;
    t->path = ls_strdup(path);
    t->file = t->path ? open_file(path) : NULL;
    if (!t->file) {
        LsStatus status = ls_message_status();
        ls_free(t->path);
        ls_free(t);
        return status;
    }
    t->rank = rank;
    t->zero = ls_seconds();
    fputs("[\n", t->file); /* with the next line's beginning: TRACE_START */
    put_meta(t, LS_TRACE_STEP, "process_name", "rank %d", rank);
    put_meta(t, LS_TRACE_STEP, "thread_name", "step", 0);
    put_meta(t, LS_TRACE_SUMS, "thread_name", "sums under way", 0);
    trace = t;
    return LS_OK;
}

void ls_trace_event(LsTraceTrack track, const char *category, const char *name, double begin, double end)
{
    Trace *t = trace;
    if (!t || t->full)
        return;
    if (t->written + t->events >= LS_TRACE_MOST) {
        t->full = true;
        return;
    }
    if (t->events == EVENTS)
        write_events(t);
    t->event[t->events++] = (Event){begin, end, category, intern(t, name), (int32_t)track};
}

void ls_trace_flush(void)
{
    if (!trace || trace->events < EVENTS / 2)
        return;
    double begin = ls_seconds();
    write_events(trace);
    ls_trace_event(LS_TRACE_STEP, "other", "writing the trace", begin, ls_seconds());
}

LsStatus ls_trace_close(void)
{
    Trace *t = trace;
    LsStatus status = LS_OK;
    if (!t)
        return LS_OK;
    trace = NULL;
    write_events(t);
    fprintf(t->file,
            "{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":\"process_labels\",\"args\":{\"labels\":\"%s\"}}\n]\n",
            t->rank, t->full ? "the trace was full: what came later is missing" : "complete");
    errno = 0;
    if (fclose(t->file) != 0 && t->error == 0)
        t->error = errno ? errno : EIO;
    if (t->error)
        status = ls_fail(ls_no_space(t->error) ? LS_RESOURCE : LS_ERROR, "%s: %s; the trace is not complete", t->path,
                         strerror(t->error));
    else if (t->full)
        ls_warn("%s: full after %lld events; what came later is not in it", t->path, (long long)LS_TRACE_MOST);
    ls_free(t->path);
    ls_free(t);
    return status;
}
