/* Words of a command line, as a shell reads them. */
#ifndef LS_DATA_SHELL_WORDS_H
#define LS_DATA_SHELL_WORDS_H

#include "lockstep/settings.h"

/* The caller frees it; NULL: out of memory. */
char *ls_shell_word(const char *text);

/* "--hold-out documents --separator '\n\n'": the options that are not as their table has them by default; "" where all
 * are. The caller frees it; NULL: out of memory. */
char *ls_shell_options(const LsSetting *table, const void *values);

#endif
