/* Folders that were fetched without git-lfs hold small texts in the place of large files. */
#ifndef LS_IO_LFS_H
#define LS_IO_LFS_H

#include "lockstep/base.h"

#include <string.h>

#define LS_LFS_START "version https://git-lfs"
#define LS_LFS_CURE                                                                                                    \
    "this is a pointer of git-lfs in the place of the file; fetch the file itself, as with 'git lfs pull' in its "     \
    "folder"

static inline bool ls_is_lfs_pointer(const char *bytes, int64_t count)
{
    return count >= (int64_t)sizeof LS_LFS_START - 1 && memcmp(bytes, LS_LFS_START, sizeof LS_LFS_START - 1) == 0;
}

#endif
