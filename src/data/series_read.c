/* Tables of numbers from comma-separated values. */
#include "data/series.h"

#include "config/number.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_COLUMNS 256
#define NO_COLUMN (-1)

/* Reading one file. */
typedef struct Reader {
    const LsSeriesSettings *o;
    LsSeriesTable *table;
    LsLines lines;
    LsSpan field[MOST_COLUMNS];
    int fields;               /* of every line */
    int chosen[MOST_COLUMNS]; /* which field each column of the table is */
    int count;
    int date, only;  /* fields; NO_COLUMN: none */
    char *only_name; /* of --only NAME=VALUE */
    const char *only_value;
    char *scratch;
    int64_t scratch_room;
} Reader;

/* A number that fills the field, finite. */
static bool parse_number(LsSpan field, double *value)
{
    char text[64], *end = text;
    field = ls_span_trim(field);
    if (field.bytes == 0 || field.bytes >= (int64_t)sizeof text)
        return false;
    memcpy(text, field.text, (size_t)field.bytes);
    text[field.bytes] = '\0';
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value) && isfinite((float)*value);
}

/* Splits the line into fields; *there false for an empty line. */
static LsStatus split_line(Reader *r, bool *there)
{
    *there = ls_span_trim((LsSpan){r->lines.text, r->lines.bytes}).bytes > 0;
    if (!*there)
        return LS_OK;
    LS_TRY(ls_lines_check(&r->lines));
    if (r->lines.bytes >= r->scratch_room) {
        ls_free(r->scratch);
        r->scratch_room = 2 * r->lines.bytes + 256;
        r->scratch = ls_alloc((size_t)r->scratch_room);
        if (!r->scratch)
            return LS_RESOURCE;
    }
    int fields = 0;
    LS_TRY(ls_lines_split_csv(&r->lines, MOST_COLUMNS, r->field, &fields, r->scratch));
    if (fields > MOST_COLUMNS)
        return ls_lines_fail(&r->lines, "has %d columns, at most %d are read", fields, MOST_COLUMNS);
    if (r->fields > 0 && fields != r->fields)
        return ls_lines_fail(&r->lines, "has %d column%s, the lines before have %d", fields, fields == 1 ? "" : "s",
                             r->fields);
    r->fields = fields;
    return LS_OK;
}

/* ---- Which columns ----------------------------------------------------------------------------------------------- */

static LsStatus find_field(const Reader *r, const char *option, const char *wanted, int *index, bool *header)
{
    LsColumn column = {option, wanted, 0};
    bool named = false;
    LS_TRY(ls_columns_resolve(&column, 1, &r->lines, r->fields, r->field, &named));
    *header = *header || named;
    *index = column.index;
    return LS_OK;
}

/* Chooses the columns of --columns; without it all but the dates and the column that --only looks at. */
static LsStatus choose_fields(Reader *r, bool *header)
{
    r->count = 0;
    for (int i = 0; !r->o->columns && i < r->fields; i++)
        if (i != r->date && i != r->only)
            r->chosen[r->count++] = i;
    char *list = r->o->columns ? ls_strdup(r->o->columns) : NULL;
    LsStatus status = r->o->columns && !list ? LS_RESOURCE : LS_OK;
    for (char *at = list; at && status == LS_OK;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = '\0';
        if (r->count == MOST_COLUMNS)
            status = ls_fail(LS_USAGE, "--columns names more than %d columns", MOST_COLUMNS);
        else
            status = find_field(r, "--columns", at, &r->chosen[r->count++], header);
        at = comma ? comma + 1 : NULL;
    }
    ls_free(list);
    if (status == LS_OK && r->count == 0)
        status = ls_lines_fail(&r->lines, "has no column of numbers beside the dates");
    return status;
}

static LsStatus name_columns(Reader *r, bool header)
{
    LsSeriesTable *table = r->table;
    if (!table->name) {
        table->columns = r->count;
        table->name = ls_alloc_array(r->count, sizeof *table->name);
        if (!table->name)
            return LS_RESOURCE;
    } else if (table->columns != r->count) {
        return ls_lines_fail(&r->lines, "this file has %d columns to read, those before it have %d", r->count,
                             table->columns);
    }
    for (int i = 0; i < r->count; i++) {
        LsSpan name = ls_span_trim(r->field[r->chosen[i]]);
        if (table->name[i]) {
            if (header && !ls_span_is(name, table->name[i]))
                return ls_lines_fail(&r->lines, "column %d is '%.*s', but '%s' in the files before", r->chosen[i] + 1,
                                     (int)name.bytes, name.text, table->name[i]);
            continue;
        }
        table->name[i] = header ? ls_span_copy(name) : ls_format("column_%d", r->chosen[i] + 1);
        if (!table->name[i])
            return LS_RESOURCE;
    }
    return LS_OK;
}

/* From the first line. *header: it holds names. */
static LsStatus choose_columns(Reader *r, bool *header)
{
    double number;
    *header = false;
    r->date = r->only = NO_COLUMN;
    if (r->o->date)
        LS_TRY(find_field(r, "--date", r->o->date, &r->date, header));
    if (r->only_name)
        LS_TRY(find_field(r, "--only", r->only_name, &r->only, header));
    LS_TRY(choose_fields(r, header));
    for (int i = 0; i < r->count; i++)
        *header = *header || !parse_number(r->field[r->chosen[i]], &number);
    return name_columns(r, *header);
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static LsStatus reserve_row(LsSeriesTable *table)
{
    if (table->rows < table->room)
        return LS_OK;
    int64_t room = table->room ? 2 * table->room : 1024;
    double *grown = ls_alloc_array(room * table->columns, sizeof *grown);
    if (!grown)
        return LS_RESOURCE;
    if (table->rows)
        memcpy(grown, table->value, (size_t)(table->rows * table->columns) * sizeof *grown);
    ls_free(table->value);
    table->value = grown;
    table->room = room;
    return LS_OK;
}

/* "1981-01-02", perhaps with a time behind it: such dates order as texts do. */
static bool is_iso_date(const char *date)
{
    for (int i = 0; i < 7; i++)
        if (i == 4 ? date[i] != '-' : !isdigit((unsigned char)date[i]))
            return false;
    return true;
}

static LsStatus add_date(Reader *r)
{
    LsSpan field = ls_span_trim(r->field[r->date]);
    if (field.bytes == 0)
        return ls_lines_fail(&r->lines, "the date is empty");
    size_t count = json_array_size(r->table->dates);
    const char *before = count ? json_string_value(json_array_get(r->table->dates, count - 1)) : NULL;
    char *date = ls_span_copy(field);
    if (!date)
        return LS_RESOURCE;
    bool ordered = !before || !is_iso_date(before) || !is_iso_date(date) || strcmp(before, date) < 0;
    LsStatus status = LS_OK;
    if (!ordered)
        status = ls_lines_fail(&r->lines, "the date %s does not come after %s before it; sort the rows%s", date, before,
                               r->only == NO_COLUMN ? ", or choose one series of several by --only" : "");
    else if (json_array_append_new(r->table->dates, json_string(date)) != 0)
        status = ls_fail(LS_RESOURCE, "out of memory for the dates");
    ls_free(date);
    return status;
}

static LsStatus add_row(Reader *r)
{
    LsSeriesTable *table = r->table;
    if (r->only != NO_COLUMN && !ls_span_is(ls_span_trim(r->field[r->only]), r->only_value)) {
        table->others++;
        return LS_OK;
    }
    LS_TRY(reserve_row(table));
    for (int i = 0; i < r->count; i++) {
        LsSpan field = ls_span_trim(r->field[r->chosen[i]]);
        if (field.bytes == 0)
            return ls_lines_fail(&r->lines, "column %d (%s) is empty; fill it in or leave the row out",
                                 r->chosen[i] + 1, table->name[i]);
        if (!parse_number(field, &table->value[table->rows * table->columns + i]))
            return ls_lines_fail(&r->lines, "column %d (%s) is '%.*s', which is no finite number", r->chosen[i] + 1,
                                 table->name[i], field.bytes < 60 ? (int)field.bytes : 60, field.text);
    }
    if (table->dates)
        LS_TRY(add_date(r));
    table->rows++;
    return LS_OK;
}

static LsStatus read_lines(Reader *r)
{
    bool there, header = false;
    while (ls_lines_next(&r->lines)) {
        bool first = r->fields == 0;
        LS_TRY(split_line(r, &there));
        if (!there) {
            r->table->blank++;
            continue;
        }
        if (first)
            LS_TRY(choose_columns(r, &header));
        if (!first || !header)
            LS_TRY(add_row(r));
    }
    return LS_OK;
}

LsStatus ls_series_read(const LsSeriesSettings *o, const LsRawFiles *raw, LsSeriesTable *table)
{
    Reader *reader = ls_alloc(sizeof *reader);
    if (!reader)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    reader->o = o;
    reader->table = table;
    if (o->date && !(table->dates = json_array()))
        status = ls_fail(LS_RESOURCE, "out of memory for the dates");
    if (o->only) {
        const char *sign = strchr(o->only, '=');
        reader->only_value = sign ? sign + 1 : NULL;
        reader->only_name = sign ? ls_span_copy((LsSpan){o->only, sign - o->only}) : NULL;
        if (!sign)
            status = ls_fail(LS_USAGE, "--only '%s' is not COLUMN=VALUE", o->only);
    }
    for (int i = 0; i < raw->files && status == LS_OK; i++) {
        reader->lines = ls_lines(&raw->file[i]);
        reader->fields = 0;
        status = read_lines(reader);
    }
    ls_free(reader->only_name);
    ls_free(reader->scratch);
    ls_free(reader);
    return status;
}

void ls_series_free(LsSeriesTable *table)
{
    for (int i = 0; i < table->columns && table->name; i++)
        ls_free(table->name[i]);
    ls_free(table->name);
    ls_free(table->value);
    json_decref(table->dates);
    *table = (LsSeriesTable){0};
}
