/* The entries of a folder. */
#ifndef LS_IO_FOLDER_H
#define LS_IO_FOLDER_H

#include "lockstep/base.h"

/* path: FOLDER/name, valid during the call */
typedef LsStatus (*LsVisitEntry)(void *self, const char *path, const char *name);

/* Calls `visit` with each entry, in order of the names' bytes, until one fails; names that begin with a dot are passed
 * over. LS_DATA where the folder cannot be read. */
LsStatus ls_folder_each(const char *folder, LsVisitEntry visit, void *self) LS_MUST_USE;

#endif
