/* Reading JSON files with messages that say where. */
#ifndef LS_IO_JSON_H
#define LS_IO_JSON_H

#include "lockstep/base.h"

#include <jansson.h>

/* An object; duplicate keys are refused. `code` is the status of a failure. The caller calls json_decref. */
LsStatus ls_json_parse(const char *path, LsStatus code, const char *text, int64_t bytes, json_t **object) LS_MUST_USE;
/* A copy of a text, ended by 0, in which Infinity, -Infinity and NaN, which Python writes bare, are texts of that name,
 * and whole numbers past 64 bits are real ones. The caller frees it; NULL when out of memory. */
char *ls_json_plain(const char *text, int64_t bytes, int64_t *length);
/* A file, by ls_json_plain. A pointer of git-lfs in the file's place is told. */
LsStatus ls_json_load(const char *path, LsStatus code, json_t **object) LS_MUST_USE;

/* A number, text, truth or null as text, a text without quotes, {"__float__": "Infinity"} as that text; the caller
 * frees it. NULL for lists and other objects, without a message, and when out of memory. */
char *ls_json_scalar_text(const json_t *value);

#endif
