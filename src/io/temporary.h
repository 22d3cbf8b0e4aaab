/* Temporary files that this process is writing, so that a signal that ends it at once leaves none behind. The calls
 * may come from any thread. */
#ifndef LS_IO_TEMPORARY_H
#define LS_IO_TEMPORARY_H

#include "lockstep/base.h"

/* ls_sys_create, and the path is known from then on. -1 and errno on failure. */
int ls_temporary_create(const char *path);

/* A file that is yet to come, under its own name, and is not to stay (doctor). Without memory it is not known. */
void ls_temporary_note(const char *path);

/* ls_sys_rename of one of them, which then is none any more. */
int ls_temporary_rename(const char *path, const char *to);

/* One that is somebody else's by now, and stays. */
void ls_temporary_forget(const char *path);

/* Removes one; errno is kept. */
void ls_temporary_remove(const char *path);

/* Removes all there are, as the last thing before the process is ended: who would make or rename one from now on
 * waits for ever. Allocates nothing. */
void ls_temporary_remove_all(void);

#endif
