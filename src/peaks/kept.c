#include "peaks/kept.h"

#include "io/file.h"
#include "machine/cores.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ls_machine_path(void)
{
    static char path[1024];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/')
        snprintf(path, sizeof path, "%s/lockstep/machine.json", cache);
    else if (home && home[0] == '/')
        snprintf(path, sizeof path, "%s/.cache/lockstep/machine.json", home);
    else
        return NULL;
    return path;
}

LsStatus ls_machine_key(char *key, size_t room)
{
    LsIsa isa = LS_ISA_BASELINE;
    LS_TRY(ls_isa_choose(&isa));
    snprintf(key, room, "%s, %s, %d thread%s", ls_processor(), ls_isa_name(isa), ls_threads(),
             ls_threads() == 1 ? "" : "s");
    return LS_OK;
}

/* The file's content, an empty object where there is none or it is no JSON. NULL when out of memory. */
static json_t *load(void)
{
    const char *path = ls_machine_path();
    FILE *file = path ? ls_stream_regular(path, LS_ERROR) : NULL;
    json_t *all = file ? json_loadf(file, 0, NULL) : NULL;
    if (file)
        fclose(file);
    if (json_is_object(all))
        return all;
    json_decref(all);
    return json_object();
}

bool ls_machine_read(const char *key, int count, const char *const *name, double *value)
{
    json_t *all = load();
    const json_t *entry = json_object_get(all, key);
    bool found = true;
    for (int i = 0; i < count; i++) {
        const json_t *number = json_object_get(entry, name[i]);
        found = found && json_is_number(number);
        value[i] = json_number_value(number);
    }
    json_decref(all);
    if (!found)
        memset(value, 0, (size_t)count * sizeof *value);
    return found;
}

void ls_machine_write(const char *key, int count, const char *const *name, const double *value)
{
    char folder[1024], *text = NULL;
    const char *path = ls_machine_path();
    json_t *all = path ? load() : NULL, *entry = json_object();
    for (int i = 0; i < count; i++)
        json_object_set_new(entry, name[i], json_real(value[i]));
    if (all && json_object_set_new(all, key, entry) == 0)
        text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    else
        json_decref(all ? NULL : entry);
    if (text) {
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
        if (ls_make_folders(folder) != LS_OK || ls_file_replace(path, text, (int64_t)strlen(text)) != LS_OK)
            ls_clear_message();
    }
    free(text);
    json_decref(all);
}
