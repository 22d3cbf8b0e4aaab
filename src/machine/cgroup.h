/* The limits of a control group: those of the group that this process is in, and of all groups above it. */
#ifndef LS_MACHINE_CGROUP_H
#define LS_MACHINE_CGROUP_H

#include "lockstep/base.h"

/* The limit that one group sets, 0: none. folder: of the group; version: 1 or 2 of control groups. */
typedef double (*LsGroupLimit)(const char *folder, int version);

/* The least limit of the group and those above it, 0: none. membership: a file like /proc/self/cgroup; mount:
 * /sys/fs/cgroup (version 2, or version 1 with a folder for each controller); controller: "memory". A container may see
 * its own group as "/" alone. */
double ls_cgroup_least(const char *membership, const char *mount, const char *controller, LsGroupLimit limit);

/* Processors' worth of time that the groups allow, 1.5; 0: no limit. root: as in machine/system.h. */
double ls_cgroup_processors(const char *root);

#endif
