#include "config/pattern.h"

#include "base/pcre2_reason.h"
#include "config/number.h"

#include <jansson.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct LsNamePattern {
    pcre2_code *code;
    pcre2_match_data *match; /* room for the match itself, which nobody asks for */
};

LsNamePattern *ls_name_pattern_new(const char *text)
{
    int error;
    PCRE2_SIZE at;
    LsNamePattern *pattern = ls_alloc(sizeof *pattern);
    if (!pattern)
        return NULL;
    pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &at, NULL);
    pattern->match = pattern->code ? pcre2_match_data_create(1, NULL) : NULL;
    if (pattern->match)
        return pattern;
    if (pattern->code || error == PCRE2_ERROR_HEAP_FAILED)
        ls_fail(LS_RESOURCE, "'%s': out of memory", text);
    else
        ls_fail(LS_USAGE, "'%s' is no regular expression: %s, at character %zu", text, ls_pcre2_reason(error).text,
                (size_t)at + 1);
    ls_name_pattern_free(pattern);
    return NULL;
}

void ls_name_pattern_free(LsNamePattern *pattern)
{
    if (!pattern)
        return;
    pcre2_match_data_free(pattern->match);
    pcre2_code_free(pattern->code);
    ls_free(pattern);
}

bool ls_name_pattern_matches(const LsNamePattern *pattern, const char *name)
{
    return pcre2_match(pattern->code, (PCRE2_SPTR)name, strlen(name), 0, 0, pattern->match, NULL) >= 0;
}

bool ls_name_pattern_factor(const char *text, double *factor) { return ls_number_float(text, factor) && *factor >= 0; }

/* ---- Of a configuration ------------------------------------------------------------------------------------------ */

static LsStatus check_text(const LsConfig *config, const char *section, const char *key, const char *text,
                           LsMistakes *mistakes)
{
    LsNamePattern *pattern = ls_name_pattern_new(text);
    if (!pattern && ls_message_status() != LS_USAGE)
        return ls_message_status();
    if (!pattern)
        ls_mistakes_add(mistakes, ls_config_line(config, section, key), "%s.%s: %s", section, key, ls_message());
    ls_name_pattern_free(pattern);
    return LS_OK;
}

/* json: a list of patterns, or a map of them to factors; NULL: none. */
static LsStatus check_members(const LsConfig *config, const char *key, const char *json, LsMistakes *mistakes)
{
    if (!json)
        return LS_OK;
    json_t *members = ls_members_read(json), *value;
    const char *name;
    size_t i;
    double factor;
    LsStatus status = members ? LS_OK : LS_RESOURCE;
    json_array_foreach(members, i, value)
    {
        if (status == LS_OK)
            status = check_text(config, "train", key, json_string_value(value), mistakes);
    }
    json_object_foreach(members, name, value)
    {
        if (status == LS_OK)
            status = check_text(config, "train", key, name, mistakes);
        if (!ls_name_pattern_factor(json_string_value(value), &factor))
            ls_mistakes_add(mistakes, ls_config_line(config, "train", key),
                            "train.%s: %s: '%s' is not a number from 0 on", key, name, json_string_value(value));
    }
    json_decref(members);
    return status;
}

LsStatus ls_patterns_check(const LsConfig *config, LsMistakes *mistakes)
{
    LS_TRY(check_members(config, "no_decay", config->train.no_decay, mistakes));
    LS_TRY(check_members(config, "freeze", config->train.freeze, mistakes));
    LS_TRY(check_members(config, "scale", config->train.scale, mistakes));
    return config->lora.targets ? check_text(config, "lora", "targets", config->lora.targets, mistakes) : LS_OK;
}
