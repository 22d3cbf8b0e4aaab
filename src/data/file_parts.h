/* Parts that every file of a kind of data set has (LsDataKind.parts): all that is missing is said at once. */
#ifndef LS_DATA_FILE_PARTS_H
#define LS_DATA_FILE_PARTS_H

#include "io/sealed.h"
#include "lockstep/data.h"

/* LS_DATA with the names of those that the file lacks. */
LsStatus ls_file_parts_check(LsSealed *file, const LsDataKind *kind) LS_MUST_USE;

#endif
