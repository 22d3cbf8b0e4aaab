/* Files that are no job, and are named as one. */
#ifndef LS_CONFIG_NO_JOB_H
#define LS_CONFIG_NO_JOB_H

#include <stdbool.h>
#include <stddef.h>

/* "JSON lines" or "JSON" for records of data; NULL for anything else, a job written as JSON with it. */
const char *ls_looks_like_records(const char *text, size_t bytes);

/* Whether a line of the text begins with the name of a section and a colon. */
bool ls_names_section(const char *text, size_t bytes);

#endif
