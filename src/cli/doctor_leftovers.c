/* Files that Open MPI leaves behind where mpirun or a rank was killed: segments of shared memory, which count as memory
 * in use, and session folders. A process that is gone holds neither. */
#include "cli/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEGMENTS "/dev/shm"
#define YOUNG 60 /* seconds: of a job that may just be starting */

typedef struct Leftovers {
    int count;
    int64_t bytes;
    char *first;
} Leftovers;

static void add(Leftovers *all, const char *path, int64_t bytes)
{
    if (!all->first)
        all->first = ls_strdup(path);
    all->count++;
    all->bytes += bytes;
}

/* Calls visit for every entry of a folder that begins with a prefix. */
static void each(const char *folder, const char *prefix, void (*visit)(void *self, const char *name, const char *path),
                 void *self)
{
    DIR *entries = opendir(folder);
    for (struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        char *path = strncmp(e->d_name, prefix, strlen(prefix)) == 0 ? ls_format("%s/%s", folder, e->d_name) : NULL;
        if (path)
            visit(self, e->d_name, path);
        ls_free(path);
    }
    if (entries)
        closedir(entries);
}

/* ---- Segments: those that no process has mapped ------------------------------------------------------------------ */

typedef struct Search {
    const char *path;
    bool found;
} Search;

static void look_into(void *self, const char *name, const char *path)
{
    (void)name;
    Search *search = self;
    char *maps = search->found ? NULL : ls_format("%s/maps", path);
    FILE *file = maps ? fopen(maps, "r") : NULL;
    char line[1024];
    while (file && !search->found && fgets(line, sizeof line, file))
        search->found = strstr(line, search->path) != NULL;
    if (file)
        fclose(file);
    ls_free(maps);
}

static void look_at_segment(void *self, const char *name, const char *path)
{
    (void)name;
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != getuid() || time(NULL) - st.st_mtime < YOUNG)
        return;
    Search search = {.path = path};
    for (char digit[2] = "1"; digit[0] <= '9'; digit[0]++)
        each("/proc", digit, look_into, &search);
    if (!search.found)
        add(self, path, 512 * (int64_t)st.st_blocks);
}

/* ---- Session folders: pid.N of an mpirun that is gone ------------------------------------------------------------ */

static void look_at_session(void *self, const char *name, const char *path)
{
    struct stat st;
    char *process = ls_format("/proc/%s", name + strlen("pid."));
    if (process && isdigit((unsigned char)name[strlen("pid.")]) && access(process, F_OK) != 0 &&
        lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid())
        add(self, path, 0);
    ls_free(process);
}

static const char *temporary_folder(void)
{
    static const char *const variables[] = {"TMPDIR", "TEMP", "TMP"}; /* in Open MPI's order */
    for (size_t i = 0; i < LS_COUNT_OF(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value && value[0])
            return value;
    }
    return "/tmp";
}

/* ---- Cures: commands that look again, at each one by itself, whether it is this user's and nobody has it --------- */

static void tell_segments(LsReport *report, const Leftovers *all)
{
    if (all->count == 0)
        return;
    char *cure =
        ls_format("$ find " SEGMENTS " -maxdepth 1 -name 'vader_segment.*' -uid %u -mmin +1 | while read -r f; do "
                  "grep -qsF \"$f\" /proc/[0-9]*/maps || rm \"$f\"; done",
                  getuid());
    ls_report(report, LS_WARNING, "left by killed jobs", cure ? cure : "remove them",
              "%d segment%s of shared memory of yours that no process has mapped (%.0f MB): %s%s", all->count,
              all->count == 1 ? "" : "s", 1e-6 * (double)all->bytes, all->first ? all->first : "",
              all->count == 1 ? "" : " and others");
    ls_free(cure);
}

static void tell_sessions(LsReport *report, const Leftovers *all, const char *folder)
{
    if (all->count == 0 || !folder)
        return;
    char *cure = ls_format("$ for d in '%s'/pid.[0-9]*; do [ -e \"/proc/${d##*.}\" ] || rm -r \"$d\"; done", folder);
    ls_report(report, LS_WARNING, "left by killed jobs", cure ? cure : "remove them",
              "%d session folder%s of Open MPI, of processes of yours that are gone: %s%s", all->count,
              all->count == 1 ? "" : "s", all->first ? all->first : "", all->count == 1 ? "" : " and others");
    ls_free(cure);
}

void ls_doctor_leftovers(LsReport *report)
{
    Leftovers segments = {0}, sessions = {0};
    char host[256] = "", *folder = NULL;
    each(SEGMENTS, "vader_segment.", look_at_segment, &segments);
    gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    folder = ls_format("%s/ompi.%s.%u", temporary_folder(), host, getuid());
    if (folder)
        each(folder, "pid.", look_at_session, &sessions);
    tell_segments(report, &segments);
    tell_sessions(report, &sessions, folder);
    ls_free(folder);
    ls_free(segments.first);
    ls_free(sessions.first);
}
