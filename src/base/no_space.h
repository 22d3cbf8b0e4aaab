/* Errors of writing that mean: there is no room. */
#ifndef LS_BASE_NO_SPACE_H
#define LS_BASE_NO_SPACE_H

#include <errno.h>
#include <stdbool.h>

/* A full disk, a quota that is used up, a limit on the size of files. */
static inline bool ls_no_space(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

#endif
