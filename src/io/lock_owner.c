/* Who holds a lock, as its file says, and whether that process lives. */
#include "io/lock_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- This process ------------------------------------------------------------------------------------------------ */

/* The first word of a small file; "" where it cannot be read. */
static void read_word(const char *path, char *word, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, word, room - 1);
    if (fd >= 0)
        close(fd);
    word[bytes > 0 ? bytes : 0] = '\0';
    word[strcspn(word, " \t\n")] = '\0';
}

/* State and start of a process, from /proc. False where they cannot be read. */
static bool read_process(long pid, char *state, unsigned long long *started)
{
    char path[64], text[1024] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[bytes > 0 ? bytes : 0] = '\0';
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    if (!at || sscanf(at + 1, " %c", state) != 1)
        return false;
    at += 2;
    for (int field = 3; field < 22 && at; field++) /* the state is field 3, the start is field 22 */
        if ((at = strchr(at, ' ')))
            at++;
    return at && sscanf(at, "%llu", started) == 1;
}

void ls_lock_describe_self(const char *command, LsLockOwner *owner)
{
    *owner = (LsLockOwner){.pid = (long)getpid()};
    char state;
    snprintf(owner->command, sizeof owner->command, "%s", command);
    if (gethostname(owner->host, sizeof owner->host - 1) != 0 || !owner->host[0])
        snprintf(owner->host, sizeof owner->host, "unknown");
    read_word("/proc/sys/kernel/random/boot_id", owner->boot, sizeof owner->boot);
    read_word("/etc/machine-id", owner->machine, sizeof owner->machine);
    ssize_t bytes = readlink("/proc/self/ns/pid", owner->namespace, sizeof owner->namespace - 1);
    owner->namespace[bytes > 0 ? bytes : 0] = '\0';
    const char *job = getenv("SLURM_JOB_ID"), *restart = getenv("SLURM_RESTART_COUNT");
    snprintf(owner->job, sizeof owner->job, "%.*s", job ? (int)strspn(job, "0123456789") : 0, job ? job : "");
    owner->restart = restart ? strtol(restart, NULL, 10) : 0;
    if (!read_process(owner->pid, &state, &owner->started))
        owner->started = 0;
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(owner->since, sizeof owner->since, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* ---- The file's text --------------------------------------------------------------------------------------------- */

#define MAGIC "LOCKSTEP lock 1\n"

int ls_lock_write(const LsLockOwner *o, char text[LS_LOCK_BYTES])
{
    return snprintf(text, LS_LOCK_BYTES,
                    MAGIC "command %s\nhost %s\npid %ld\nstarted %llu\nboot %s\nmachine %s\nnamespace %s\njob %s\n"
                          "restart %ld\nsince %s\n",
                    o->command, o->host, o->pid, o->started, o->boot, o->machine, o->namespace, o->job, o->restart,
                    o->since);
}

static void parse_line(const char *line, LsLockOwner *o)
{
    const struct {
        const char *name;
        char *value;
        size_t room;
    } texts[] = {{"command ", o->command, sizeof o->command},
                 {"host ", o->host, sizeof o->host},
                 {"boot ", o->boot, sizeof o->boot},
                 {"machine ", o->machine, sizeof o->machine},
                 {"job ", o->job, sizeof o->job},
                 {"namespace ", o->namespace, sizeof o->namespace},
                 {"since ", o->since, sizeof o->since}};
    for (size_t i = 0; i < LS_COUNT_OF(texts); i++)
        if (strncmp(line, texts[i].name, strlen(texts[i].name)) == 0)
            snprintf(texts[i].value, texts[i].room, "%s", line + strlen(texts[i].name));
    if (strncmp(line, "pid ", 4) == 0)
        o->pid = strtol(line + 4, NULL, 10);
    if (strncmp(line, "restart ", 8) == 0)
        o->restart = strtol(line + 8, NULL, 10);
    if (strncmp(line, "started ", 8) == 0)
        o->started = strtoull(line + 8, NULL, 10);
}

/* Control characters would reach the terminal with the message. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' && *text != '\n')
            *text = '?';
}

LsLockText ls_lock_read(int fd, LsLockOwner *owner)
{
    char text[LS_LOCK_BYTES];
    *owner = (LsLockOwner){.pid = 0};
    ssize_t bytes = pread(fd, text, sizeof text - 1, 0);
    text[bytes > 0 ? bytes : 0] = '\0';
    if (bytes <= 0)
        return LS_LOCK_EMPTY;
    if (strncmp(text, MAGIC, strlen(MAGIC)) != 0)
        return strncmp(MAGIC, text, (size_t)bytes) == 0 ? LS_LOCK_EMPTY
                                                        : LS_LOCK_FOREIGN; /* half written: as if empty */
    make_printable(text);
    char *place, *line = strtok_r(text, "\n", &place);
    for (; line; line = strtok_r(NULL, "\n", &place))
        parse_line(line, owner);
    return owner->pid > 0 && owner->since[0] ? LS_LOCK_OWNED : LS_LOCK_EMPTY;
}

const char *ls_lock_owner_text(const LsLockOwner *o, char text[LS_LOCK_TEXT])
{
    int used = snprintf(text, LS_LOCK_TEXT, "lockstep %s, process %ld on %s, since %.10s %.8s UTC", o->command, o->pid,
                        o->host, o->since, strlen(o->since) > 11 ? o->since + 11 : "");
    if (o->job[0] && used > 0 && used < LS_LOCK_TEXT)
        snprintf(text + used, (size_t)(LS_LOCK_TEXT - used), ", SLURM job %s", o->job);
    return text;
}

/* ---- Does it live? ----------------------------------------------------------------------------------------------- */

static bool process_lives(const LsLockOwner *owner)
{
    char state = ' ';
    unsigned long long started = 0;
    if (kill((pid_t)owner->pid, 0) != 0 && errno == ESRCH)
        return false;
    if (!read_process(owner->pid, &state, &started)) /* another user's, hidden from this one */
        return true;
    return started == owner->started && state != 'Z' && state != 'X';
}

LsLockState ls_lock_judge(const LsLockOwner *owner, LsLockText content, LsFileLock lock)
{
    LsLockOwner self;
    if (lock == LS_FILE_LOCKED)
        return LS_LOCK_HELD;
    LsLockState otherwise = lock == LS_FILE_UNLOCKED ? LS_LOCK_STALE : LS_LOCK_UNKNOWN;
    if (content != LS_LOCK_OWNED)
        return otherwise;
    ls_lock_describe_self("", &self);
    bool this_boot = self.boot[0] && strcmp(self.boot, owner->boot) == 0;
    if (this_boot && strcmp(self.namespace, owner->namespace) == 0)
        return process_lives(owner) ? LS_LOCK_HELD : LS_LOCK_STALE;
    if (this_boot) /* in another container of this machine: its number says nothing here, the file's lock does */
        return otherwise;
    if (self.machine[0] && strcmp(self.machine, owner->machine) == 0 && strcmp(self.host, owner->host) == 0)
        return LS_LOCK_STALE;
    if (self.job[0] && strcmp(self.job, owner->job) == 0 && owner->restart < self.restart)
        return LS_LOCK_STALE;
    return LS_LOCK_UNKNOWN;
}
