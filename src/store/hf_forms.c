/* Which architecture of a model's table a file or a run is, and what follows from it: presets, classes. */
#include "store/hf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Texts with settings in them --------------------------------------------------------------------------------- */

/* The text that replaces `name` in a template; the caller frees it, NULL with a message. */
static char *value_of(const LsModel *model, const void *config, int64_t labels, const char *name)
{
    if (strcmp(name, "labels") == 0)
        return ls_format("%lld", (long long)labels);
    const LsSetting *setting = ls_settings_find(model->settings, name);
    if (setting)
        return ls_setting_text(setting, config);
    ls_fail(LS_ERROR, "the table of model %s names a setting %s that it does not have", model->name, name);
    return NULL;
}

char *ls_hf_expand(const LsModel *model, const void *config, int64_t labels, const char *text)
{
    char *out = ls_strdup("");
    while (out && *text) {
        size_t plain = strcspn(text, "$"), length = 0;
        char *value = NULL, *longer = NULL;
        if (text[plain] == '$') {
            length = strspn(text + plain + 1, "abcdefghijklmnopqrstuvwxyz_0123456789");
            char *name = ls_format("%.*s", (int)length++, text + plain + 1);
            value = name ? value_of(model, config, labels, name) : NULL;
            ls_free(name);
        } else
            value = ls_strdup("");
        if (value)
            longer = ls_format("%s%.*s%s", out, (int)plain, text, value);
        ls_free(value);
        ls_free(out);
        out = longer;
        text += plain + length;
    }
    return out;
}

/* ---- A file's ---------------------------------------------------------------------------------------------------- */

/* Names of a list, each once: "gpt2, mamba". */
static void add_name(char *text, size_t room, const char *name)
{
    size_t used = strlen(text);
    if (!strstr(text, name) && used < room)
        snprintf(text + used, room - used, "%s%s", used ? ", " : "", name);
}

static LsStatus find_table(const char *path, const json_t *keys, LsHfForm *form)
{
    const char *type = json_string_value(json_object_get(keys, "model_type"));
    char known[512] = "lockstep";
    for (const LsModel *const *m = ls_models(); *m; m++)
        for (const LsHf *hf = (*m)->hf; hf; hf = hf->next) {
            if (type && strcmp(hf->model_type, type) == 0) {
                *form = (LsHfForm){.model = *m, .hf = hf};
                return LS_OK;
            }
            add_name(known, sizeof known, hf->model_type);
        }
    return ls_fail(LS_DATA, "%s: key model_type: '%s' is not known here; known are %s", path, type ? type : "", known);
}

static bool is_named(const json_t *keys, const char *name)
{
    const json_t *list = json_object_get(keys, "architectures");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* Of id2label, else num_labels; 2 where the file has neither. */
static int64_t count_labels(const json_t *keys)
{
    const json_t *names = json_object_get(keys, "id2label"), *count = json_object_get(keys, "num_labels");
    return json_is_object(names)    ? (int64_t)json_object_size(names)
           : json_is_integer(count) ? json_integer_value(count)
                                    : 2;
}

/* Whether the file's keys are as `when`, "key=value", says. */
static bool has_value(const json_t *keys, const char *when)
{
    size_t length = strcspn(when, "=");
    const char *name, *text = NULL;
    json_t *value;
    if (strncmp(when, "problem_type", length) == 0 && count_labels(keys) == 1)
        text = "regression"; /* as transformers takes one label */
    json_object_foreach((json_t *)keys, name, value)
    {
        if (strlen(name) != length || strncmp(name, when, length) != 0 || json_is_null(value))
            continue;
        text = json_is_true(value) ? "true" : json_is_false(value) ? "false" : json_string_value(value);
    }
    return text && strcmp(text, when + length + 1) == 0;
}

LsStatus ls_hf_find(const char *path, const json_t *keys, const LsSafetensors *tensors, LsHfForm *form)
{
    char known[512] = "";
    LS_TRY(find_table(path, keys, form));
    const LsHf *hf = form->hf;
    for (const LsHfArchitecture *a = hf->architectures; a->name; a++) {
        bool alone = a == hf->architectures && !a[1].name;
        form->architecture = a;
        if ((alone || is_named(keys, a->name)) && (!a->needs || ls_hf_has(hf, tensors, a->needs)) &&
            (!a->when || has_value(keys, a->when)))
            return LS_OK;
        add_name(known, sizeof known, a->name);
    }
    char *said = json_dumps(json_object_get(keys, "architectures"), JSON_ENCODE_ANY | JSON_COMPACT);
    LsStatus status = ls_fail(LS_DATA, "%s: key architectures: %s is not known here; of model_type %s are %s", path,
                              said ? said : "(missing)", hf->model_type, known);
    free(said);
    return status;
}

/* ---- A run's ----------------------------------------------------------------------------------------------------- */

/* A setting "section.name" of model or task as text; the caller frees it, NULL where there is none. */
static char *setting_of(const LsConfig *config, const char *name)
{
    LsSection section[LS_SECTIONS];
    ls_config_sections(config, section);
    for (int i = 0; i < LS_SECTIONS; i++) {
        size_t length = strlen(section[i].name);
        if (strncmp(name, section[i].name, length) != 0 || name[length] != '.')
            continue;
        for (int j = 0; j < 2; j++) {
            const LsSetting *setting = ls_settings_find(section[i].table[j], name + length + 1);
            if (setting)
                return ls_setting_text(setting, section[i].base[j]);
        }
    }
    return NULL;
}

/* "model.norm=layer": the configuration must have it so. LS_USAGE where it has not. */
static LsStatus check_preset(const LsHfForm *form, const LsConfig *config, const char *prefix, const char *text)
{
    char *preset = ls_hf_expand(form->model, config->model_config, 0, text);
    char *whole = preset ? ls_format("%s%s", prefix, preset) : NULL;
    ls_free(preset);
    if (!whole)
        return ls_message_status();
    char *wanted = strchr(whole, '=');
    *wanted++ = '\0';
    char *value = setting_of(config, whole);
    LsStatus status = !value                       ? ls_message_status()
                      : strcmp(value, wanted) == 0 ? LS_OK
                                                   : ls_fail(LS_USAGE, "%s is %s; the layout of %s holds only %s",
                                                             whole, value, form->architecture->name, wanted);
    ls_free(value);
    ls_free(whole);
    return status;
}

/* *held: how many it has so, up to the first that it has not. */
static LsStatus check_presets(const LsHfForm *form, const LsConfig *config, int *held)
{
    *held = 0;
    for (const char *const *preset = form->hf->preset; preset && *preset; preset++, ++*held)
        LS_TRY(check_preset(form, config, "model.", *preset));
    for (const char *const *preset = form->architecture->preset; preset && *preset; preset++, ++*held)
        LS_TRY(check_preset(form, config, "", *preset));
    return LS_OK;
}

LsStatus ls_hf_find_for(const LsConfig *config, LsHfForm *form)
{
    const char *task = ls_config_task(config)->name;
    char tasks[256] = "", *nearest = NULL; /* what the one says that holds most of the settings */
    int held = 0, most = -1;
    LsStatus status = LS_USAGE;
    for (const LsHf *hf = config->model->hf; hf; hf = hf->next)
        for (const LsHfArchitecture *a = hf->architectures; a->name; a++) {
            add_name(tasks, sizeof tasks, a->task);
            if (strcmp(a->task, task) != 0)
                continue;
            *form = (LsHfForm){config->model, hf, a};
            status = check_presets(form, config, &held);
            if (status == LS_USAGE && held > most) {
                ls_free(nearest);
                nearest = ls_strdup(ls_message());
                most = held;
            }
            if (status != LS_USAGE) {
                ls_free(nearest);
                return status;
            }
        }
    if (nearest)
        ls_fail(LS_USAGE, "%s", nearest);
    else
        ls_fail(LS_USAGE, "task.kind is %s; the layout of %s holds only %s", task, config->model->hf->model_type,
                tasks);
    ls_free(nearest);
    return LS_USAGE;
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

/* Name of class k in id2label, NULL where it has none. */
static const char *label_of(const json_t *names, int64_t k)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)k);
    return json_string_value(json_object_get(names, number));
}

LsStatus ls_hf_labels_in(const char *path, const json_t *keys, int64_t *labels, char **info)
{
    const json_t *names = json_object_get(keys, "id2label");
    bool named = false;
    *labels = count_labels(keys);
    if (*labels < 1 || *labels > 1 << 24)
        return ls_fail(LS_DATA, "%s: key num_labels: a head of %lld classes", path, (long long)*labels);
    json_t *list = json_array();
    for (int64_t k = 0; k < *labels && json_is_object(names); k++) {
        char common[40];
        const char *name = label_of(names, k);
        snprintf(common, sizeof common, "LABEL_%lld", (long long)k);
        named = named || (name && strcmp(name, common) != 0);
        if (!name || json_array_append_new(list, json_string(name)) != 0) {
            json_decref(list);
            return ls_fail(LS_DATA, "%s: key id2label: has no name for class %lld", path, (long long)k);
        }
    }
    json_t *object = json_pack("{s:o}", "classes", list);
    char *text = object && named ? json_dumps(object, JSON_COMPACT) : NULL;
    *info = text ? ls_strdup(text) : NULL;
    free(text);
    json_decref(object);
    return named && !*info ? ls_fail(LS_RESOURCE, "out of memory for the names of classes") : LS_OK;
}

LsStatus ls_hf_labels_out(const LsConfig *config, const char *field, const char *info, json_t *keys)
{
    LsFields fields;
    LS_TRY(ls_config_fields(config, &fields));
    const LsField *labels = ls_field_find(&fields, field);
    int64_t count = labels ? labels->classes : 0;
    if (labels && labels->dtype == LS_REAL) { /* numbers, not classes */
        count = 1;
        for (int i = 0; i < labels->rank; i++)
            count *= labels->dim[i];
    }
    if (count < 1)
        return ls_fail(LS_USAGE, "data.fields: the field %s has no fixed number of values for id2label", field);
    json_t *object = info ? json_loads(info, 0, NULL) : NULL, *to = json_object(), *from = json_object();
    int failed = 0;
    for (int64_t k = 0; k < count; k++) {
        char number[24], common[40];
        const char *name = json_string_value(json_array_get(json_object_get(object, "classes"), (size_t)k));
        snprintf(number, sizeof number, "%lld", (long long)k);
        snprintf(common, sizeof common, "LABEL_%lld", (long long)k);
        failed |= json_object_set_new(to, number, json_string(name ? name : common));
        failed |= json_object_set_new(from, name ? name : common, json_integer((json_int_t)k));
    }
    json_decref(object);
    failed |= json_object_set_new(keys, "id2label", to);
    failed |= json_object_set_new(keys, "label2id", from);
    return failed ? ls_fail(LS_RESOURCE, "out of memory for config.json") : LS_OK;
}
