#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <string.h>

LsStatus ls_check_stdout(void)
{
    errno = 0;
    bool flushed = fflush(stdout) == 0;
    if (flushed && !ferror(stdout))
        return LS_OK;
    LsStatus status = errno == ENOSPC || errno == EDQUOT ? LS_RESOURCE : LS_ERROR;
    return ls_fail(status, "standard output: %s; the results are not complete", errno ? strerror(errno) : "could not be written");
}

LsStatus ls_print_json(json_t *object)
{
    if (!object)
        return ls_fail(LS_RESOURCE, "out of memory for the JSON output");
    int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(object);
    fputc('\n', stdout);
    return failed ? ls_fail(LS_ERROR, "the JSON output could not be printed") : ls_check_stdout();
}

json_t *ls_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
