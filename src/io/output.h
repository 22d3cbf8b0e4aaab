/* A place that a command writes to: a folder (a run, an export), or one file. While it is held no other process of this
 * program writes there (io/lock.h), and what a killed one left half-written is removed.
 *
 *     LsOutput *output = NULL;
 *     LS_TRY(ls_output_file("data/text.h5", "prepare", &output));
 *     LsStatus status = write(...);
 *     ls_output_release(output, status == LS_OK);
 */
#ifndef LS_IO_OUTPUT_H
#define LS_IO_OUTPUT_H

#include "lockstep/base.h"

typedef struct LsOutput LsOutput;

#define LS_OUTPUT_LOCK "lockstep.lock" /* the lock of a folder stands in it; that of a file is named FILE.lock */

/* Makes the folders that are missing and takes the lock. command: for whoever is refused. temporaries: patterns
 * (fnmatch) of the files that are written in this folder, ended by NULL: their left-over temporary files are removed.
 * *output is NULL on failure, and no folder is left. LS_USAGE where another process writes there. */
LsStatus ls_output_folder(const char *path, const char *command, const char *const *temporaries,
                          LsOutput **output) LS_MUST_USE;
LsStatus ls_output_file(const char *path, const char *command, LsOutput **output) LS_MUST_USE;

/* LS_ERROR where the place was removed or taken over meanwhile: nothing more must be written. */
LsStatus ls_output_check(const LsOutput *output) LS_MUST_USE;

/* keep false: folders that were made for it are removed where they are empty. NULL is allowed. */
void ls_output_release(LsOutput *output, bool keep);

#endif
