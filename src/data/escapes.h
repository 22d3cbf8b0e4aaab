/* Texts of options in which \n, \t and \\ stand for a new line, a tab and a backslash. */
#ifndef LS_DATA_ESCAPES_H
#define LS_DATA_ESCAPES_H

#include "lockstep/base.h"

/* option: for the message, "--end". NULL stays NULL; the caller frees *read. LS_USAGE where a backslash stands before
 * anything else. */
LsStatus ls_escapes_read(const char *option, const char *text, char **read) LS_MUST_USE;
/* The same text as the option takes it; NULL when out of memory. */
char *ls_escapes_write(const char *text);

#endif
