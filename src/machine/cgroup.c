#include "machine/cgroup.h"

#include "machine/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double lesser(double a, double b) { return b > 0 && (a == 0 || b < a) ? b : a; }

/* group: "/a/b", whose parents are "/a" and "/". */
static double least_upwards(const char *mount, const char *group, int version, LsGroupLimit limit)
{
    char folder[4096], at[2048];
    double least = 0;
    snprintf(at, sizeof at, "%s", strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", mount, at);
        least = lesser(least, limit(folder, version));
        char *last = strrchr(at, '/');
        if (!last)
            return least;
        *last = '\0';
    }
}

/* Whether one of the names in "cpu,cpuacct" is this one. */
static bool names(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (; *list; list += *list == ',') {
        size_t own = strcspn(list, ",");
        if (own == length && strncmp(list, name, length) == 0)
            return true;
        list += own;
    }
    return false;
}

double ls_cgroup_least(const char *membership, const char *mount, const char *controller, LsGroupLimit limit)
{
    char line[2048], below[2048];
    double least = 0;
    FILE *file = fopen(membership, "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        snprintf(below, sizeof below, "%.1500s/%s", mount, controller);
        if (names(controllers + 1, controller))
            least = lesser(least, least_upwards(below, group, 1, limit));
        else if (controllers[1] == '\0')
            least = lesser(least, least_upwards(mount, group, 2, limit));
    }
    if (file)
        fclose(file);
    return least;
}

static double processors_of(const char *folder, int version)
{
    char line[128];
    double quota = 0, period = 0;
    if (version == 2) {
        ls_system_line(line, sizeof line, folder, "/cpu.max"); /* "150000 100000", or "max 100000" */
        if (sscanf(line, "%lf %lf", &quota, &period) != 2)
            return 0;
    } else {
        ls_system_line(line, sizeof line, folder, "/cpu.cfs_quota_us"); /* -1: none */
        quota = atof(line);
        ls_system_line(line, sizeof line, folder, "/cpu.cfs_period_us");
        period = atof(line);
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

double ls_cgroup_processors(const char *root)
{
    char membership[2048], mount[2048];
    snprintf(membership, sizeof membership, "%.1500s/proc/self/cgroup", root);
    snprintf(mount, sizeof mount, "%.1500s/sys/fs/cgroup", root);
    return ls_cgroup_least(membership, mount, "cpu", processors_of);
}
