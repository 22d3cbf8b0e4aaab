#include "cli/cli.h"

#include "base/no_space.h"
#include "data/utf8.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static bool pipe_closed;

bool ls_stdout_closed(void) { return pipe_closed; }

LsStatus ls_check_stdout(void)
{
    errno = 0;
    bool flushed = fflush(stdout) == 0;
    if (flushed && !ferror(stdout))
        return LS_OK;
    /* it failed before, inside a printf that kept its reason to itself: a further byte fails for the same */
    if (flushed) {
        errno = 0;
        ssize_t ignored = write(STDOUT_FILENO, "\n", 1);
        (void)ignored;
    }
    pipe_closed = pipe_closed || errno == EPIPE;
    LsStatus status = ls_no_space(errno) ? LS_RESOURCE : LS_ERROR;
    return ls_fail(status, "standard output: %s; the results are not complete",
                   errno ? strerror(errno) : "could not be written");
}

LsStatus ls_print_json(json_t *object)
{
    if (!object)
        return ls_fail(LS_RESOURCE, "out of memory for the JSON output");
    int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(object);
    fputc('\n', stdout);
    LS_TRY(ls_check_stdout());
    return failed ? ls_fail(LS_ERROR, "the JSON output could not be printed") : LS_OK;
}

json_t *ls_json_bytes(const char *text, int64_t bytes)
{
    int64_t made_bytes = 0;
    char *repaired = ls_utf8_repair_bytes(text, bytes, &made_bytes);
    json_t *made = repaired ? json_stringn(repaired, (size_t)made_bytes) : NULL;
    ls_free(repaired);
    return made;
}

json_t *ls_json_text(const char *text) { return ls_json_bytes(text, (int64_t)strlen(text)); }

json_t *ls_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* A key of an object as people read it: underscores as spaces. The column behind it. */
static int print_key(const char *key, int indent)
{
    printf("%*s", indent, "");
    int used = indent;
    for (; *key; key++, used++)
        putchar(*key == '_' ? ' ' : *key);
    printf("%*s", used < 24 ? 24 - used : 1, "");
    return used < 24 ? 24 : used + 1;
}

/* Further lines of a text stand below its first. */
static void print_lines(const char *text, int column)
{
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        printf("%.*s\n%*s", (int)(end - text), text, column, "");
    puts(text);
}

void ls_print_fields(json_t *object, int indent)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (json_is_object(value)) {
            print_key(key, indent);
            putchar('\n');
            ls_print_fields(value, indent + 2);
            continue;
        }
        if (json_is_array(value))
            continue; /* tables are printed by those who know their columns */
        int column = print_key(key, indent);
        if (json_is_string(value))
            print_lines(json_string_value(value), column);
        else if (json_is_integer(value))
            printf("%lld\n", (long long)json_integer_value(value));
        else if (json_is_real(value))
            printf("%.8g\n", json_real_value(value));
        else
            printf("%s\n", json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
    }
}

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

#define MOST_COLUMNS 24

typedef struct Column {
    const char *key;
    bool text;
    int width;
    int decimals; /* of real numbers, so that they stand below each other; below 0: five digits of each */
} Column;

/* Characters rather than bytes. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += (*text & 0xC0) != 0x80;
    return width;
}

static const char *cell_text(const Column *column, const json_t *value, char room[48])
{
    if (json_is_string(value))
        return json_string_value(value);
    room[0] = '\0';
    if (json_is_integer(value))
        snprintf(room, 48, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value) && column->decimals >= 0)
        snprintf(room, 48, "%.*f", column->decimals, json_real_value(value));
    else if (json_is_real(value))
        snprintf(room, 48, "%.5g", json_real_value(value));
    return room;
}

/* Five digits for the largest of the column; where they would leave less than two of the smallest, each has its own. */
static int decimals_of(const json_t *rows, const char *key)
{
    double most = 0, least = HUGE_VAL;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        double size = fabs(json_real_value(json_object_get(row, key)));
        most = fmax(most, size);
        least = size > 0 ? fmin(least, size) : least;
    }
    int decimals = most > 0 ? 4 - (int)floor(log10(most)) : 0;
    return most == 0 ? 0 : decimals >= 0 && decimals < 10 && least * pow(10, decimals) >= 10 ? decimals : -1;
}

static int find_columns(json_t *rows, Column *column)
{
    int columns = 0;
    size_t i;
    json_t *row, *value;
    const char *key;
    char room[48];
    json_array_foreach(rows, i, row)
    {
        json_object_foreach(row, key, value)
        {
            int j = 0;
            while (j < columns && strcmp(column[j].key, key) != 0)
                j++;
            if (j == MOST_COLUMNS)
                continue;
            if (j == columns)
                column[columns++] = (Column){key, json_is_string(value), width_of(key), decimals_of(rows, key)};
            int width = width_of(cell_text(&column[j], value, room));
            column[j].width = width > column[j].width ? width : column[j].width;
        }
    }
    return columns;
}

static void print_cell(const Column *column, const char *text, bool name, bool last)
{
    int space = column->width - width_of(text);
    printf("%*s", column->text ? 0 : space, "");
    for (; *text; text++)
        putchar(name && *text == '_' ? ' ' : *text);
    printf("%*s", last ? 0 : (column->text ? space : 0) + 2, "");
}

LsStatus ls_print_table(json_t *rows)
{
    Column column[MOST_COLUMNS];
    int columns = find_columns(rows, column);
    size_t i;
    json_t *row;
    char room[48];
    for (int j = 0; j < columns; j++)
        print_cell(&column[j], column[j].key, true, j + 1 == columns);
    putchar('\n');
    json_array_foreach(rows, i, row)
    {
        for (int j = 0; j < columns; j++)
            print_cell(&column[j], cell_text(&column[j], json_object_get(row, column[j].key), room), false,
                       j + 1 == columns);
        putchar('\n');
    }
    return ls_check_stdout();
}

static void print_csv_text(const char *text)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    printf("%s", quoted ? "\"" : "");
    for (; *text; text++)
        printf("%s%c", *text == '"' ? "\"" : "", *text);
    printf("%s", quoted ? "\"" : "");
}

LsStatus ls_print_csv(json_t *rows)
{
    Column column[MOST_COLUMNS];
    int columns = find_columns(rows, column);
    char room[48];
    size_t i;
    json_t *row;
    for (int j = 0; j < columns; j++) {
        print_csv_text(column[j].key);
        printf("%s", j + 1 < columns ? "," : "\r\n");
    }
    json_array_foreach(rows, i, row)
    {
        for (int j = 0; j < columns; j++) {
            const json_t *value = json_object_get(row, column[j].key);
            if (json_is_real(value))
                printf("%.17g", json_real_value(value));
            else
                print_csv_text(cell_text(&column[j], value, room));
            printf("%s", j + 1 < columns ? "," : "\r\n");
        }
    }
    return ls_check_stdout();
}
