/* The markers of a run's conversations as a chat template: the Jinja program chat_template.jinja, which transformers and
 * servers of models read. A folder's own template is a program of anybody's; that of an export alone is read back. */
#include "store/hf_internal.h"

#include "base/text.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>

#define TEMPLATE "chat_template.jinja"
#define BEGIN "{%- set marker = "
#define REST                                                                                                           \
    " -%}\n"                                                                                                           \
    "{%- for message in messages -%}\n"                                                                                \
    "{{- marker[message['role']] + message['content'] + marker['end'] -}}\n"                                           \
    "{%- endfor -%}\n"                                                                                                 \
    "{%- if add_generation_prompt -%}{{- marker['assistant'] -}}{%- endif -%}\n"

/* The program for markers: {"system": TEXT, "user": ..., "assistant": ..., "end": ...}; NULL where the end or the
 * assistant's is no text. The caller frees it. LS_RESOURCE. */
static LsStatus program_of(const json_t *markers, char **program)
{
    static const char *const names[] = {"system", "user", "assistant", "end"};
    json_t *known = json_object();
    bool whole = true, failed = !known;
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        json_t *text = json_object_get(markers, names[i]);
        if (json_is_string(text))
            failed |= json_object_set(known, names[i], text) != 0;
        else
            whole = whole && strcmp(names[i], "assistant") != 0 && strcmp(names[i], "end") != 0;
    }
    char *json = whole && !failed ? json_dumps(known, JSON_COMPACT) : NULL;
    *program = json ? ls_format("%s%s%s", BEGIN, json, REST) : NULL;
    free(json);
    json_decref(known);
    return whole && !*program ? LS_RESOURCE : LS_OK;
}

LsStatus ls_hf_template_out(const char *folder, const char *info)
{
    json_t *all = info ? json_loads(info, 0, NULL) : NULL, *markers = json_object_get(all, LS_HF_TEMPLATE);
    char *program = NULL;
    LsStatus status = markers ? program_of(markers, &program) : LS_OK;
    char *path = program ? ls_format("%s/" TEMPLATE, folder) : NULL;
    if (program)
        status = path ? ls_file_replace(path, program, (int64_t)strlen(program)) : LS_RESOURCE;
    ls_free(path);
    ls_free(program);
    json_decref(all);
    return status;
}

/* The markers of a program of program_of, a new reference; NULL of any other. LS_RESOURCE. */
static LsStatus markers_of(const char *program, json_t **markers)
{
    *markers = NULL;
    if (strncmp(program, BEGIN, strlen(BEGIN)) != 0)
        return LS_OK;
    json_t *read = json_loads(program + strlen(BEGIN), JSON_DISABLE_EOF_CHECK, NULL);
    char *same = NULL;
    LsStatus status = read ? program_of(read, &same) : LS_OK;
    if (same && strcmp(same, program) == 0)
        *markers = json_incref(read);
    json_decref(read);
    ls_free(same);
    return status;
}

LsStatus ls_hf_template_in(const char *folder, json_t **markers)
{
    char *path = ls_format("%s/" TEMPLATE, folder), *program = NULL;
    int64_t bytes = 0;
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (path && ls_file_exists(path))
        status = ls_file_read(path, LS_DATA, &program, &bytes);
    *markers = NULL;
    if (program)
        status = markers_of(program, markers);
    ls_free(program);
    ls_free(path);
    return status;
}
