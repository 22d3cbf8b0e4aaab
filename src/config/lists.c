/* Settings that hold several texts. */
#include "config/config.h"
#include "config/number.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *ls_members_read(const char *setting)
{
    json_t *members = setting ? json_loads(setting, 0, NULL) : json_array();
    if (!members)
        ls_fail(LS_RESOURCE, "out of memory for a list of settings");
    return members;
}

LsStatus ls_list_append(char **list, const char *text)
{
    json_t *members = ls_members_read(*list), *added = json_string(text);
    if (members && !added) { /* JSON is UTF-8 */
        json_decref(members);
        return ls_fail(LS_USAGE, "'%s' is no UTF-8", text);
    }
    char *json = members && json_array_append_new(members, added) == 0 ? json_dumps(members, JSON_COMPACT) : NULL;
    char *copy = json ? ls_strdup(json) : NULL;
    json_decref(members);
    free(json);
    if (!copy)
        return ls_fail(LS_RESOURCE, "out of memory for a list of settings");
    ls_free(*list);
    *list = copy;
    return LS_OK;
}

/* Numbers stand without quotes. */
static bool write_scalar(FILE *out, const char *text)
{
    double number;
    char *scalar = ls_number_float(text, &number) ? ls_strdup(text) : ls_setting_scalar(text);
    if (scalar)
        fputs(scalar, out);
    ls_free(scalar);
    return scalar != NULL;
}

static bool write_members(FILE *out, json_t *members)
{
    const char *name;
    json_t *value;
    size_t i;
    bool fine = true, first = true;
    fputc(json_is_array(members) ? '[' : '{', out);
    json_array_foreach(members, i, value)
    {
        fputs(i ? ", " : "", out);
        fine = write_scalar(out, json_string_value(value)) && fine;
    }
    json_object_foreach(members, name, value)
    {
        fputs(first ? "" : ", ", out);
        fine = write_scalar(out, name) && fine;
        fputs(": ", out);
        fine = write_scalar(out, json_string_value(value)) && fine;
        first = false;
    }
    fputc(json_is_array(members) ? ']' : '}', out);
    return fine;
}

char *ls_members_yaml(const char *setting)
{
    if (!setting)
        return ls_strdup("null");
    json_t *members = ls_members_read(setting);
    char *buffer = NULL, *text = NULL;
    size_t bytes = 0;
    FILE *out = members ? open_memstream(&buffer, &bytes) : NULL;
    bool fine = out && write_members(out, members);
    if (out && fclose(out) == 0 && fine)
        text = ls_strdup(buffer);
    if (!text)
        ls_fail(LS_RESOURCE, "out of memory for a list of settings");
    free(buffer);
    json_decref(members);
    return text;
}
