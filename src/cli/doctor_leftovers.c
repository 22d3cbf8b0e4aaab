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
    char names[512]; /* of the first ones, as a shell takes them */
    size_t used;
} Leftovers;

static void add(Leftovers *all, const char *path, int64_t bytes)
{
    int room = (int)(sizeof all->names - all->used);
    int used = snprintf(all->names + all->used, (size_t)room, " %s", path);
    if (used < room)
        all->used += (size_t)used;
    else
        all->names[all->used] = '\0';
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
    ls_free(folder);
    if (segments.count + sessions.count == 0)
        return;
    char *cure = ls_format("rm -r%s%s", segments.names, sessions.names);
    ls_report(report, LS_WARNING, "left by killed jobs", cure ? cure : "remove them",
              "%d segments of shared memory that no process has mapped (%.0f MB), %d session folders of Open MPI",
              segments.count, 1e-6 * (double)segments.bytes, sessions.count);
    ls_free(cure);
}
