#include "config/no_job.h"

#include "config/config.h"

#include <jansson.h>
#include <string.h>

/* An object with members that are not all objects, as a job's sections are. */
static bool is_record(const json_t *value)
{
    const char *name;
    json_t *member;
    bool sections = true;
    json_object_foreach((json_t *)value, name, member) { sections = sections && json_is_object(member); }
    return json_is_object(value) && !sections;
}

const char *ls_looks_like_records(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    const char *end = at < bytes ? memchr(text + at, '\n', bytes - at) : NULL;
    if (at == bytes || (text[at] != '{' && text[at] != '['))
        return NULL;
    json_t *line = json_loadb(text + at, end ? (size_t)(end - text) - at : bytes - at, 0, NULL);
    json_t *whole = json_loadb(text + at, bytes - at, 0, NULL);
    const char *kind = is_record(line) ? "JSON lines" : NULL;
    if (!kind && (is_record(whole) || is_record(json_array_get(whole, 0))))
        kind = "JSON";
    json_decref(line);
    json_decref(whole);
    return kind;
}

bool ls_names_section(const char *text, size_t bytes)
{
    static const LsConfig none;
    LsSection section[LS_SECTIONS];
    ls_config_sections(&none, section);
    const char *end = text + bytes;
    for (const char *line = text; line && line < end; line = memchr(line, '\n', (size_t)(end - line))) {
        while (line < end && strchr("\n\r {\"'", *line) && *line)
            line++;
        for (int i = 0; i < LS_SECTIONS; i++) {
            size_t length = strlen(section[i].name);
            if ((size_t)(end - line) > length && memcmp(line, section[i].name, length) == 0 &&
                strchr(":\"'", line[length]) && line[length])
                return true;
        }
        if (line == end)
            break;
    }
    return false;
}
