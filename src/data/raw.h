/* Raw text files, as `prepare` reads them: mapped into memory, line by line, with file and line in every message.
 *
 *     LsCorpusPart part = {0};
 *     LS_TRY(ls_raw_map("reviews.tsv", &part));
 *     LsLines lines = ls_lines(&part);
 *     while (ls_lines_next(&lines))
 *         if (lines.bytes == 0)
 *             return ls_lines_fail(&lines, "the line is empty");
 *     ls_raw_unmap(&part);
 */
#ifndef LS_DATA_RAW_H
#define LS_DATA_RAW_H

#include "data/tokenizer.h"

#include <jansson.h>

/* LS_DATA where the file is missing, unreadable, empty, or no regular file. */
LsStatus ls_raw_map(const char *path, LsCorpusPart *part) LS_MUST_USE;
void ls_raw_unmap(LsCorpusPart *part); /* one that is not mapped is allowed */

/* Whether two names mean one file that exists. */
bool ls_is_same_file(const char *a, const char *b);

typedef struct LsLines {
    const LsCorpusPart *part;
    int64_t at;
    const char *text; /* of this line, without its end (\n or \r\n); not NUL-terminated */
    int64_t bytes, number;
} LsLines;

/* A byte order mark at the start is passed over. */
LsLines ls_lines(const LsCorpusPart *part);
bool ls_lines_next(LsLines *lines);

/* LS_DATA with "PATH: line N: " before the message. */
LsStatus ls_lines_fail(const LsLines *lines, const char *format, ...) LS_PRINTF(2, 3);

/* LS_DATA unless the line is UTF-8 without a NUL. */
LsStatus ls_lines_check(const LsLines *lines) LS_MUST_USE;

/* A piece of text that somebody else holds. */
typedef struct LsSpan {
    const char *text;
    int64_t bytes;
} LsSpan;

/* Cuts the line at each `separator` into field[0 .. *count); fields past `room` are counted only. */
void ls_lines_split(const LsLines *lines, char separator, int room, LsSpan *field, int *count);

/* The same of comma-separated values (RFC 4180): a field in double quotes may hold commas, and "" for a quote. Such
 * fields are unquoted into scratch, which has room for lines->bytes. LS_DATA where a quote is not closed in the
 * line. */
LsStatus ls_lines_split_csv(const LsLines *lines, int room, LsSpan *field, int *count, char *scratch) LS_MUST_USE;

/* The line as a JSON object (*object is the caller's). LS_DATA where it is none. */
LsStatus ls_lines_json(const LsLines *lines, json_t **object) LS_MUST_USE;

/* Without white space (ASCII) at both ends. */
LsSpan ls_span_trim(LsSpan span);
bool ls_span_is(LsSpan span, const char *text);
char *ls_span_copy(LsSpan span); /* NUL-terminated; the caller frees it */

#endif
