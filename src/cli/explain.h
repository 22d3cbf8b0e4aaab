/* The origin of each setting's value in a job. */
#ifndef LS_CLI_EXPLAIN_H
#define LS_CLI_EXPLAIN_H

#include "config/config.h"

/* Prints a line for each setting to stdout, or an array of objects. job: the file's name. */
LsStatus ls_explain(const LsConfig *config, const char *job, bool json) LS_MUST_USE;

#endif
