/* The files of an exported model beside those of others and of older exports. */
#ifndef LS_STORE_EXPORT_FILES_H
#define LS_STORE_EXPORT_FILES_H

#include "lockstep/base.h"

#include <sys/types.h>

/* Names that an export writes, as patterns; ends with NULL. */
extern const char *const ls_export_names[];

/* LS_USAGE where the folder has files of such names and is none that an export made: nothing of others is replaced, a
 * published model least of all. */
LsStatus ls_export_check_folder(const char *folder) LS_MUST_USE;

/* Files of the tokenizer and its tokens that are there before an export writes its own. One that it does not write is
 * an older model's, and readers would take it for the new one's. */
enum { LS_OLDER_FILES = 16 };
typedef struct LsOlderFiles {
    int count;
    struct {
        const char *name;
        ino_t inode; /* a file that is replaced is another one */
    } file[LS_OLDER_FILES];
} LsOlderFiles;

void ls_older_files_find(LsOlderFiles *older, const char *folder);
/* A warning that names those which are the same as before. */
void ls_older_files_warn(const LsOlderFiles *older, const char *folder);

#endif
