#include "cli/metrics_file.h"

#include "io/file.h"

#include <jansson.h>
#include <string.h>

#define UNREADABLE ((int64_t)-1)

typedef struct Line {
    const char *text;
    int64_t bytes, step; /* its newline included; UNREADABLE where it is no row */
} Line;

typedef struct Lines {
    Line *line;
    int64_t count, last; /* last: the newest row up to the step, -1: none */
} Lines;

static int64_t step_of(const char *text, int64_t bytes)
{
    json_t *row = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, NULL), *step = json_object_get(row, "step");
    int64_t number = json_is_integer(step) && json_integer_value(step) > 0 ? json_integer_value(step) : UNREADABLE;
    json_decref(row);
    return number;
}

/* Whole lines; one without its end is left out. */
static LsStatus split(const char *text, int64_t bytes, int64_t step, Lines *lines)
{
    int64_t count = 0;
    for (int64_t i = 0; i < bytes; i++)
        count += text[i] == '\n';
    *lines = (Lines){.line = ls_alloc_array(count + 1, sizeof(Line)), .last = -1};
    if (!lines->line)
        return LS_RESOURCE;
    const char *at = text;
    for (int64_t i = 0; i < count; i++) {
        const char *end = memchr(at, '\n', (size_t)(bytes - (at - text)));
        lines->line[i] = (Line){at, end - at + 1, step_of(at, end - at)};
        if (lines->line[i].step != UNREADABLE && lines->line[i].step <= step)
            lines->last = i;
        at = end + 1;
    }
    lines->count = count;
    return LS_OK;
}

/* Rows are in order of steps. One of whose step a digit has changed stands out: before a smaller one, or after a
 * larger. */
static bool in_order(const Lines *lines, int64_t i, int64_t before, int64_t step)
{
    int64_t own = lines->line[i].step, next = i + 1;
    while (next <= lines->last && lines->line[next].step == UNREADABLE)
        next++;
    return own != UNREADABLE && own > before && own <= step && (next > lines->last || own < lines->line[next].step);
}

/* Appends lines to PATH.damaged by a safe replace. */
static LsStatus set_aside(const char *path, const char *text, int64_t bytes)
{
    char *aside = ls_format("%s.damaged", path), *older = NULL, *all = NULL;
    int64_t count = 0;
    LsStatus status = aside ? LS_OK : LS_RESOURCE;
    if (aside && ls_file_exists(aside))
        status = ls_file_read(aside, LS_ERROR, &older, &count);
    if (status == LS_OK && !(all = ls_alloc((size_t)(count + bytes) + 1)))
        status = LS_RESOURCE;
    if (status == LS_OK) {
        if (count > 0)
            memcpy(all, older, (size_t)count);
        memcpy(all + count, text, (size_t)bytes);
        status = ls_file_replace(aside, all, count + bytes);
    }
    ls_free(aside);
    ls_free(older);
    ls_free(all);
    return status;
}

LsStatus ls_metrics_cut(const char *path, int64_t step, int64_t rows)
{
    char *text = NULL, *kept = NULL, *damaged = NULL;
    int64_t bytes = 0, kept_bytes = 0, damaged_bytes = 0, kept_rows = 0, damaged_rows = 0, first = 0, before = 0;
    Lines lines = {0};
    LsStatus status = LS_OK;
    if (ls_file_exists(path))
        LS_TRY_CLEANUP(ls_file_read(path, LS_ERROR, &text, &bytes));
    LS_TRY_CLEANUP(split(text, bytes, step, &lines));
    kept = ls_alloc((size_t)bytes + 1);
    damaged = ls_alloc((size_t)bytes + 1);
    if (!kept || !damaged)
        LS_TRY_CLEANUP(LS_RESOURCE);
    for (int64_t i = 0; i < lines.count; i++) {
        const Line *line = &lines.line[i];
        if (i <= lines.last && in_order(&lines, i, before, step)) {
            memcpy(kept + kept_bytes, line->text, (size_t)line->bytes);
            kept_bytes += line->bytes;
            kept_rows++;
            before = line->step;
        } else if (i <= lines.last || line->step == UNREADABLE) {
            memcpy(damaged + damaged_bytes, line->text, (size_t)line->bytes);
            damaged_bytes += line->bytes;
            first = damaged_rows++ == 0 ? i + 1 : first;
        } /* else a row past the step */
    }
    if (damaged_rows > 0) {
        LS_TRY_CLEANUP(set_aside(path, damaged, damaged_bytes));
        ls_warn("%s: %lld of its lines cannot be read or stand out of order (the first is line %lld); they are kept in "
                "%s.damaged",
                path, (long long)damaged_rows, (long long)first, path);
    }
    if (kept_rows < rows)
        ls_warn("%s: has %lld rows up to step %lld, of %lld that were written; the training goes on without the others",
                path, (long long)kept_rows, (long long)step, (long long)rows);
    if (kept_bytes < bytes)
        LS_TRY_CLEANUP(ls_file_replace(path, kept, kept_bytes));
cleanup:
    ls_free(text);
    ls_free(kept);
    ls_free(damaged);
    ls_free(lines.line);
    return status;
}
