#include "data/name_regex.h"

#include "base/pcre2_reason.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct LsNameRegex {
    char *option;
    pcre2_code *code;
    pcre2_match_data *match;
    uint32_t groups;
};

static LsStatus compile(LsNameRegex *regex, const char *text, bool group)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)text, strlen(text), 0, &error, &at, NULL);
    if (!regex->code)
        return ls_fail(LS_USAGE, "%s: '%.200s' is no regular expression: %s at character %zu", regex->option, text,
                       ls_pcre2_reason(error).text, (size_t)at + 1);
    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &regex->groups);
    if (group && regex->groups == 0)
        return ls_fail(LS_USAGE, "%s: '%.200s' has no group in parentheses, which says what is taken of a name",
                       regex->option, text);
    regex->match = pcre2_match_data_create_from_pattern(regex->code, NULL);
    return regex->match ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for %s", regex->option);
}

LsStatus ls_name_regex_new(const char *option, const char *text, bool group, LsNameRegex **made)
{
    LsNameRegex *regex = ls_alloc(sizeof *regex);
    *made = NULL;
    if (!regex)
        return LS_RESOURCE;
    regex->option = ls_strdup(option);
    LsStatus status = regex->option ? compile(regex, text, group) : LS_RESOURCE;
    if (status == LS_OK)
        *made = regex;
    else
        ls_name_regex_free(regex);
    return status;
}

LsStatus ls_name_regex_find(const LsNameRegex *regex, const char *name, LsSpan *found)
{
    *found = (LsSpan){0};
    int result = pcre2_match(regex->code, (PCRE2_SPTR)name, strlen(name), 0, 0, regex->match, NULL);
    if (result == PCRE2_ERROR_NOMATCH)
        return LS_OK;
    if (result < 0)
        return ls_fail(LS_USAGE, "%s on the name '%s': %s", regex->option, name, ls_pcre2_reason(result).text);
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(regex->match) + (regex->groups > 0 ? 2 : 0);
    if (place[0] != PCRE2_UNSET)
        *found = (LsSpan){name + place[0], (int64_t)(place[1] - place[0])};
    return LS_OK;
}

void ls_name_regex_free(LsNameRegex *regex)
{
    if (!regex)
        return;
    pcre2_match_data_free(regex->match);
    pcre2_code_free(regex->code);
    ls_free(regex->option);
    ls_free(regex);
}
