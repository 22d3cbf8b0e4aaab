/* Token ids on the command line: "1,2,3" or "1 2 3". */
#ifndef LS_CLI_IDS_H
#define LS_CLI_IDS_H

#include "lockstep/base.h"

/* *ids is the caller's to free. LS_USAGE for anything but numbers that fit an int32_t, for none where a comma
 * says that there is one, and for none at all. */
LsStatus ls_parse_ids(const char *text, int32_t **ids, int64_t *count) LS_MUST_USE;

#endif
