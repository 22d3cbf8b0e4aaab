/* A file without a name for what is made on the way and may be larger than memory: written once, then read as a
 * mapping. Nothing of it is left when the process ends, however it ends.
 *
 *     LsSpool *spool = ls_spool_new(folder);
 *     int64_t at = ls_spool_size(spool);
 *     LS_TRY(ls_spool_write(spool, bytes, count));
 *     LS_TRY(ls_spool_map(&spool, &text, &all));   // spool is gone; text[at .. at + count) is what was written
 *     ls_spool_unmap(text, all);
 */
#ifndef LS_IO_SPOOL_H
#define LS_IO_SPOOL_H

#include "lockstep/base.h"

typedef struct LsSpool LsSpool;

/* In a folder with room for it; NULL: TMPDIR, or /tmp. NULL with a message. */
LsSpool *ls_spool_new(const char *folder);
LsStatus ls_spool_write(LsSpool *spool, const void *bytes, int64_t count) LS_MUST_USE;
int64_t ls_spool_size(const LsSpool *spool);
void ls_spool_cut(LsSpool *spool, int64_t size); /* forgets what was written behind this size */

/* Maps what was written and frees the spool, whatever happens. *text is NULL where nothing was. */
LsStatus ls_spool_map(LsSpool **spool, const char **text, int64_t *bytes) LS_MUST_USE;
void ls_spool_unmap(const char *text, int64_t bytes);
void ls_spool_free(LsSpool *spool); /* NULL is allowed */

#endif
