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

json_t *ls_json_text(const char *text)
{
    char *repaired = ls_utf8_repair(text);
    json_t *made = repaired ? json_string(repaired) : NULL;
    ls_free(repaired);
    return made;
}

json_t *ls_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* A key of an object as people read it: underscores as spaces. */
static void print_key(const char *key, int indent)
{
    printf("%*s", indent, "");
    int used = indent;
    for (; *key; key++, used++)
        putchar(*key == '_' ? ' ' : *key);
    printf("%*s", used < 24 ? 24 - used : 1, "");
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
        print_key(key, indent);
        if (json_is_string(value))
            printf("%s\n", json_string_value(value));
        else if (json_is_integer(value))
            printf("%lld\n", (long long)json_integer_value(value));
        else if (json_is_real(value))
            printf("%.8g\n", json_real_value(value));
        else
            printf("%s\n", json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
    }
}
