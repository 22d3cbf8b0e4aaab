#include "store/native.h"

#include "base/text.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INFO_FILE "lockstep_info.json"
#define FORMAT_VERSION 1

bool ls_native_is(const json_t *keys)
{
    const char *type = json_string_value(json_object_get(keys, "model_type"));
    return type && strcmp(type, LS_NATIVE_TYPE) == 0;
}

/* Sections that say where a run lies have no place in a folder that goes elsewhere. */
static bool is_carried(const char *section) { return strcmp(section, "output") != 0; }

/* ---- Settings in ------------------------------------------------------------------------------------------------- */

typedef struct Settings {
    char **list; /* "section.name=value" */
    int count, room;
} Settings;

static void free_settings(Settings *s)
{
    for (int i = 0; i < s->count; i++)
        ls_free(s->list[i]);
    ls_free(s->list);
}

/* A value as it stands behind "=" of a setting; the caller frees it. */
static char *value_text(const json_t *value)
{
    if (json_is_array(value) || json_is_object(value)) {
        char *json = json_dumps(value, JSON_COMPACT), *text = json ? ls_strdup(json) : NULL;
        free(json);
        return text;
    }
    return json_is_string(value) ? ls_setting_quote(json_string_value(value))
           : json_is_null(value) ? ls_strdup("")
                                 : ls_json_scalar_text(value);
}

static LsStatus add_setting(Settings *s, const char *section, const char *name, const char *value)
{
    if (s->count == s->room) {
        char **grown = ls_alloc_array(2 * s->room + 64, sizeof *grown);
        if (!grown)
            return LS_RESOURCE;
        if (s->count)
            memcpy(grown, s->list, sizeof *grown * (size_t)s->count);
        ls_free(s->list);
        s->list = grown;
        s->room = 2 * s->room + 64;
    }
    s->list[s->count] = ls_format("%s.%s=%s", section, name, value);
    return s->list[s->count++] ? LS_OK : LS_RESOURCE;
}

static LsStatus add_section(const char *path, const char *section, const json_t *object, Settings *s)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return ls_fail(LS_DATA, "%s: key %s: not an object of settings", path, section);
    json_object_foreach((json_t *)object, name, value)
    {
        char *text = value_text(value);
        LsStatus status = text ? add_setting(s, section, name, text) : ls_message_status();
        ls_free(text);
        LS_TRY(status);
    }
    return LS_OK;
}

/* A key at the top is a section, or one of those that say what file this is. */
static LsStatus add_keys(const char *path, const json_t *keys, Settings *s)
{
    static const LsConfig none;
    static const char *const others[] = {"model_type", "format_version", "program_version"};
    LsSection section[LS_SECTIONS];
    ls_config_sections(&none, section);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)keys, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < LS_COUNT_OF(others); i++)
            known = known || strcmp(others[i], name) == 0;
        for (int i = 0; i < LS_SECTIONS && !known; i++)
            if (is_carried(section[i].name) && strcmp(section[i].name, name) == 0) {
                LS_TRY(add_section(path, name, value, s));
                known = true;
            }
        if (!known)
            return ls_fail(LS_DATA, "%s: key %s is not known: of this layout are model, task, data and train", path,
                           name);
    }
    return LS_OK;
}

static LsStatus check_version(const char *path, const json_t *keys)
{
    const json_t *version = json_object_get(keys, "format_version");
    if (version && (!json_is_integer(version) || json_integer_value(version) != FORMAT_VERSION))
        return ls_fail(LS_DATA, "%s: key format_version: only %d is read by this program", path, FORMAT_VERSION);
    if (!json_is_string(json_object_get(json_object_get(keys, "task"), "kind")))
        return ls_fail(LS_DATA,
                       "%s: says no task: the parameters of the head depend on it; write \"task\": {\"kind\": "
                       "\"language\"}, or another of 'lockstep models NAME'",
                       path);
    return LS_OK;
}

LsStatus ls_native_config_in(const char *path, const json_t *keys, const char *run, LsConfig **config)
{
    Settings s = {0};
    char *quoted = run ? ls_setting_quote(run) : NULL;
    LsStatus status = run && !quoted ? LS_RESOURCE : check_version(path, keys);
    if (status == LS_OK)
        status = add_keys(path, keys, &s);
    if (status == LS_OK && run)
        status = add_setting(&s, "output", "path", quoted);
    if (status == LS_OK && !(*config = ls_config_of(path, s.count, s.list)))
        status = ls_message_status() == LS_RESOURCE ? LS_RESOURCE : ls_fail(LS_DATA, "%s", ls_message());
    ls_free(quoted);
    free_settings(&s);
    return status;
}

/* ---- Settings out ------------------------------------------------------------------------------------------------ */

/* A new reference; NULL when out of memory. */
static json_t *setting_value(const LsSetting *setting, const void *base)
{
    const char *field = (const char *)base + setting->offset;
    const char *text = NULL;
    switch (setting->type) {
    case LS_SETTING_TYPE_INT:
    case LS_SETTING_TYPE_BYTES:
        return json_integer(*(const int64_t *)(const void *)field);
    case LS_SETTING_TYPE_FLOAT:
        return json_real(*(const double *)(const void *)field);
    case LS_SETTING_TYPE_BOOL:
        return json_boolean(*(const bool *)(const void *)field);
    case LS_SETTING_TYPE_STRING:
    case LS_SETTING_TYPE_CHOICE:
        text = *(char *const *)(const void *)field;
        return text ? json_string(text) : json_null();
    case LS_SETTING_TYPE_LIST:
    case LS_SETTING_TYPE_MAP:
        text = *(char *const *)(const void *)field;
        return text ? json_loads(text, 0, NULL) : json_null();
    }
    return NULL;
}

static int put_section(const LsSection *section, json_t *keys)
{
    json_t *object = json_object();
    int failed = json_object_set_new(keys, section->name, object);
    if (section->kind)
        failed |= json_object_set_new(object, section->kind_key, json_string(section->kind));
    for (int j = 0; j < 2 && !failed; j++)
        for (const LsSetting *s = section->table[j]; s && s->name; s++)
            failed |= json_object_set_new(object, s->name, setting_value(s, section->base[j]));
    return failed;
}

LsStatus ls_native_config_out(const LsConfig *config, json_t **keys)
{
    LsSection section[LS_SECTIONS];
    ls_config_sections(config, section);
    *keys = json_object();
    int failed = json_object_set_new(*keys, "model_type", json_string(LS_NATIVE_TYPE));
    failed |= json_object_set_new(*keys, "format_version", json_integer(FORMAT_VERSION));
    failed |= json_object_set_new(*keys, "program_version", json_string(LOCKSTEP_VERSION));
    for (int i = 0; i < LS_SECTIONS && !failed; i++)
        if (is_carried(section[i].name))
            failed |= put_section(&section[i], *keys);
    if (!failed)
        return LS_OK;
    json_decref(*keys);
    *keys = NULL;
    return ls_fail(LS_RESOURCE, "out of memory for config.json");
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

static bool is_number(const char *dtype)
{
    static const char *const read[] = {"F32", "F16", "BF16", "F64"};
    for (size_t i = 0; i < LS_COUNT_OF(read); i++)
        if (strcmp(read[i], dtype) == 0)
            return true;
    return false;
}

static void check_one(const LsParam *p, const LsSafeTensor *t, LsNotes *all)
{
    if (!t)
        ls_note(all, "%s %s is missing", p->name, ls_dims_text(p->rank, p->dim));
    else if (t->rank != p->rank || memcmp(t->dim, p->dim, sizeof *p->dim * (size_t)p->rank) != 0)
        ls_note(all, "%s has shape %s, the settings ask for %s", p->name, ls_dims_text(t->rank, t->dim),
                ls_dims_text(p->rank, p->dim));
    else if (!is_number(t->dtype))
        ls_note(all, "%s has elements of type %s; F32, F16, BF16 and F64 are read", p->name, t->dtype);
}

LsStatus ls_native_tensors_in(const LsSafetensors *tensors, LsParams *params)
{
    LsNotes *all = ls_alloc(sizeof *all);
    if (!all)
        return LS_RESOURCE;
    for (LsParams *store = params; store; store = store->running)
        for (int i = 0; i < store->count; i++)
            check_one(&store->list[i], ls_safetensors_find(tensors, store->list[i].name), all);
    for (int i = 0; i < tensors->count; i++) {
        const LsSafeTensor *t = &tensors->list[i];
        bool known = ls_params_find(params, t->name) >= 0;
        if (!known && !(params->running && ls_params_find(params->running, t->name) >= 0))
            ls_note(all, "%s %s is not a parameter of this model", t->name, ls_dims_text(t->rank, t->dim));
    }
    LsStatus status = all->count ? ls_fail(tensors->code, "%s: does not fit the settings in config.json:%s",
                                           tensors->files[0].path, ls_notes_text(all))
                                 : LS_OK;
    ls_free(all);
    for (LsParams *store = params; store && status == LS_OK; store = store->running)
        for (int i = 0; i < store->count && status == LS_OK; i++)
            status = ls_safetensors_read(tensors, ls_safetensors_find(tensors, store->list[i].name),
                                         store->value + store->list[i].offset);
    return status;
}

/* Parameters, then running values. */
static const float *values_of(void *self, int i)
{
    const LsParams *params = self;
    if (i < params->count)
        return params->value + params->list[i].offset;
    return params->running->value + params->running->list[i - params->count].offset;
}

LsStatus ls_native_tensors_out(const LsParams *params, const char *path)
{
    int count = params->count + (params->running ? params->running->count : 0);
    LsSafeOut *list = ls_alloc_array(count, sizeof *list);
    if (!list)
        return LS_RESOURCE;
    for (int i = 0; i < count; i++) {
        const LsParam *p = i < params->count ? &params->list[i] : &params->running->list[i - params->count];
        list[i] = (LsSafeOut){.name = p->name, .rank = p->rank};
        memcpy(list[i].dim, p->dim, sizeof *p->dim * (size_t)p->rank);
    }
    LsStatus status = ls_safetensors_write(path, count, list, values_of, (void *)(uintptr_t)params);
    ls_free(list);
    return status;
}

/* ---- What the training data said --------------------------------------------------------------------------------- */

LsStatus ls_native_info_in(const char *folder, char **info)
{
    json_t *object = NULL;
    int64_t bytes = 0;
    *info = NULL;
    char *path = ls_format("%s/" INFO_FILE, folder);
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    if (path && ls_file_exists(path)) {
        status = ls_file_read(path, LS_DATA, info, &bytes);
        if (status == LS_OK)
            status = ls_json_parse(path, LS_DATA, *info, bytes, &object);
        json_decref(object);
    }
    ls_free(path);
    return status;
}

LsStatus ls_native_info_out(const char *folder, const char *info)
{
    if (!info)
        return LS_OK;
    char *path = ls_format("%s/" INFO_FILE, folder);
    LsStatus status = path ? ls_file_replace(path, info, (int64_t)strlen(info)) : LS_RESOURCE;
    ls_free(path);
    return status;
}
