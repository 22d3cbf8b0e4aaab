/* Files mapped for reading that somebody else may change meanwhile.
 *
 * A file that becomes shorter leaves a mapping without memory behind its end, where reading is a SIGBUS. The pages that
 * are gone read as zeros instead, and the file is remembered as changed: whoever made something of what was read asks
 * ls_mapped_check before it is kept, and ls_sealed_commit does so of all. Files on a disk that fails are told in the
 * same way.
 */
#ifndef LS_IO_MAPPED_H
#define LS_IO_MAPPED_H

#include "lockstep/base.h"

/* Maps a whole regular file that is not empty. `code` is the status of a failure. *text is to be given back to
 * ls_unmap_file with the same *bytes. Not thread-safe. */
LsStatus ls_map_file(const char *path, LsStatus code, const char **text, int64_t *bytes) LS_MUST_USE;
void ls_unmap_file(const char *text, int64_t bytes);

/* LS_DATA with the name of a file that lost pages while it was mapped, at any time since the process began. */
LsStatus ls_mapped_check(void) LS_MUST_USE;

#endif
