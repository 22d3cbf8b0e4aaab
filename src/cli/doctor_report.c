#include "cli/cli.h"
#include "cli/doctor.h"

#include <stdarg.h>

static const char *const words[] = {"ok", "warn", "FAIL"};

void ls_report(LsReport *report, LsVerdict verdict, const char *name, const char *cure, const char *found, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, found);
    vsnprintf(text, sizeof text, found, arguments);
    va_end(arguments);
    report->warnings += verdict == LS_WARNING;
    report->failures += verdict == LS_FAILURE;
    cure = verdict == LS_FINE ? NULL : cure;
    bool command = cure && cure[0] == '$' && cure[1] == ' ';
    cure += command ? 2 : 0;
    json_array_append_new(report->lines, json_pack("{s:s, s:s, s:s, s:s?}", "name", name, "verdict", words[verdict],
                                                   "found", text, "cure", cure));
    if (!report->prints)
        return;
    printf("%-5s %-18s ", words[verdict], name);
    ls_print_wrapped(stdout, text, 25, 25);
    if (cure) {
        printf("%25s-> ", "");
        if (command)
            puts(cure);
        else
            ls_print_wrapped(stdout, cure, 28, 28);
    }
    fflush(stdout);
}
