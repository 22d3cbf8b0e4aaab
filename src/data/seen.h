/* Files that are read, to find those that were named twice: as themselves and in a folder, or by two names. */
#ifndef LS_DATA_SEEN_H
#define LS_DATA_SEEN_H

#include "lockstep/base.h"

typedef struct LsSeenFile {
    uint64_t device, number;
    int64_t place; /* in the order of ls_seen_add */
    char *name;
} LsSeenFile;

/* Begins as {0}. */
typedef struct LsSeen {
    LsSeenFile *list;
    int64_t count, room;
} LsSeen;

/* One that is no regular file is passed over. */
LsStatus ls_seen_add(LsSeen *seen, const char *path) LS_MUST_USE;
/* One warning of the first that is there again, and how many they are; sorts the list. */
void ls_seen_warn(LsSeen *seen);
void ls_seen_free(LsSeen *seen);

#endif
