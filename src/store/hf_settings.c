#include "store/hf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Words: "theirs=ours|..." ------------------------------------------------------------------------------------ */

/* The other side of `word`, looked for on side 0 (theirs) or 1 (ours). The caller frees it; NULL where it is not
 * there. */
static char *translate(const char *words, const char *word, int side)
{
    for (const char *at = words; at && *at;) {
        size_t length = strcspn(at, "|"), left = strcspn(at, "=");
        const char *part[2] = {at, at + left + 1};
        size_t bytes[2] = {left, length - left - 1};
        if (bytes[side] == strlen(word) && memcmp(part[side], word, bytes[side]) == 0)
            return ls_format("%.*s", (int)bytes[1 - side], part[1 - side]);
        at += length + (at[length] == '|');
    }
    return NULL;
}

/* ---- In ---------------------------------------------------------------------------------------------------------- */

/* A list's members as "32,64"; NULL: they are no numbers or texts. */
static char *joined_text(const json_t *list)
{
    char *text = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        char *one = ls_json_scalar_text(json_array_get(list, i));
        char *longer = one ? ls_format("%s%s%s", text ? text : "", text ? "," : "", one) : NULL;
        ls_free(one);
        ls_free(text);
        if (!longer)
            return NULL;
        text = longer;
    }
    return text;
}

/* Our text for a key: its value or what its absence says, translated. NULL with a message. */
static char *setting_text(const char *path, const LsHfKey *key, const LsSetting *setting, const json_t *value)
{
    if (value && json_is_null(value) && (!key->words || key->element)) {
        if (setting->type == LS_SETTING_TYPE_INT && setting->low >= 1 && key->absent && !key->element) {
            ls_fail(LS_DATA, "%s: key %s: null where a number belongs; leave the key out for the default", path,
                    key->key);
            return NULL;
        }
        value = NULL;
    }
    if (value && key->element && !(value = json_array_get(value, (size_t)key->element - 1))) {
        ls_fail(LS_DATA, "%s: key %s: no list of %d", path, key->key, key->element);
        return NULL;
    }
    if (!value && !key->absent) {
        ls_fail(LS_DATA, "%s: has no key %s", path, key->key);
        return NULL;
    }
    char *theirs = !value                              ? ls_strdup(key->absent)
                   : key->each && json_is_array(value) ? joined_text(value)
                                                       : ls_json_scalar_text(value);
    if (!theirs) {
        ls_fail(LS_DATA, "%s: key %s: neither a number nor a text", path, key->key);
        return NULL;
    }
    char *ours = translate(key->words, theirs, 0);
    bool word = value ? json_is_string(value) || json_is_null(value) || json_is_object(value) : false;
    if (!ours && key->words && word)
        ls_fail(LS_DATA, "%s: key %s: '%s' is not supported; supported are (theirs=ours) %s", path, key->key, theirs,
                key->words);
    else if (!ours)
        ours = ls_strdup(theirs);
    ls_free(theirs);
    return ours;
}

/* Has the setting of "scaling=linear|llama3" one of these values? */
static bool applies(const LsModel *model, const LsHfKey *key, const void *base)
{
    size_t length = key->when ? strcspn(key->when, "=") : 0;
    for (const LsSetting *s = model->settings; key->when && s->name; s++)
        if (strncmp(s->name, key->when, length) == 0 && !s->name[length]) {
            char *value = ls_setting_text(s, base);
            bool is = value && ls_hf_is_listed(key->when + length + 1, value);
            ls_free(value);
            return is;
        }
    return true;
}

/* base: a structure of the model's settings. A setting that an earlier key has set must get the same value. */
static LsStatus set_from_key(const char *path, const LsHfForm *form, const LsHfKey *key, const json_t *keys, void *base)
{
    const LsModel *model = form->model;
    const LsSetting *setting = ls_settings_find(model->settings, key->setting);
    if (!setting)
        return ls_fail(LS_ERROR, "the table of model %s names a setting %s that it does not have", model->name,
                       key->setting);
    char *text = setting_text(path, key, setting, json_object_get(keys, key->key)),
         *before = ls_setting_text(setting, base), *after = NULL;
    LsStatus status = text && before ? LS_OK : ls_message_status();
    if (status == LS_OK) {
        status = ls_settings_set(model->settings, base, key->setting, text);
        if (status != LS_OK)
            status = ls_fail_in(LS_DATA, "%s: key %s", path, key->key);
    }
    if (status == LS_OK && !(after = ls_setting_text(setting, base)))
        status = ls_message_status();
    for (const LsHfKey *other = form->hf->keys; status == LS_OK && other != key; other++)
        if (other->setting && strcmp(other->setting, key->setting) == 0 && strcmp(before, after) != 0) {
            status = ls_fail(LS_DATA, "%s: keys %s and %s differ (%s, %s); one setting, %s, stands for both here", path,
                             other->key, key->key, before, after, key->setting);
        }
    ls_free(text);
    ls_free(before);
    ls_free(after);
    return status;
}

/* A factor: a whole number, or a setting; one of 0 is what its key's `zero` says. -1: neither. */
static int64_t factor_of(const LsHfForm *form, const char *name, const void *base)
{
    const LsSetting *setting = ls_settings_find(form->model->settings, name);
    if (!setting || setting->type != LS_SETTING_TYPE_INT) {
        int64_t number = strtoll(name, NULL, 10);
        return number > 0 ? number : -1;
    }
    int64_t value = *(const int64_t *)(const void *)((const char *)base + setting->offset);
    for (const LsHfKey *key = form->hf->keys; key->key && value == 0; key++)
        if (key->zero && strcmp(key->setting, name) == 0)
            return ls_hf_product(form, key->zero, base);
    return value;
}

int64_t ls_hf_product(const LsHfForm *form, const char *product, const void *base)
{
    int64_t result = 1;
    bool divides = false;
    for (const char *at = product; *at;) {
        char name[64];
        size_t length = strcspn(at, "*/");
        if (length >= sizeof name)
            return -1;
        memcpy(name, at, length);
        name[length] = '\0';
        int64_t value = factor_of(form, name, base);
        if (value < 0 || (divides && value == 0))
            return -1;
        result = divides ? result / value : result * value;
        divides = at[length] == '/';
        at += length + (at[length] != '\0');
    }
    return result;
}

static LsStatus check_products(const char *path, const LsHfForm *form, const json_t *keys, const void *base)
{
    for (const LsHfKey *key = form->hf->keys; key->key; key++) {
        const json_t *value = json_object_get(keys, key->key);
        int64_t expected = key->product ? ls_hf_product(form, key->product, base) : 0;
        if (key->product && value && !json_is_null(value) &&
            (!json_is_integer(value) || json_integer_value(value) != expected))
            return ls_fail(LS_DATA, "%s: key %s: only %s = %lld is supported", path, key->key, key->product,
                           (long long)expected);
    }
    return LS_OK;
}

/* "name=value" texts, ended by NULL; with `section` those alone that begin with it, "model.name=value". */
static LsStatus set_presets(const LsModel *model, const char *const *preset, const char *section, void *base)
{
    for (; preset && *preset; preset++) {
        size_t skip = section ? strlen(section) : 0;
        if (skip && strncmp(*preset, section, skip) != 0)
            continue;
        const char *text = *preset + skip;
        char *name = ls_format("%.*s", (int)strcspn(text, "="), text);
        LsStatus status =
            name ? ls_settings_set(model->settings, base, name, text + strcspn(text, "=") + 1) : LS_RESOURCE;
        ls_free(name);
        LS_TRY(status);
    }
    return LS_OK;
}

/* The model's settings, at `base`, which begin as their defaults. */
static LsStatus settings_in(const char *path, const LsHfForm *form, const json_t *keys, void *base)
{
    const LsModel *model = form->model;
    LS_TRY(set_presets(model, form->hf->preset, NULL, base));
    LS_TRY(set_presets(model, form->hf->import, NULL, base));
    LS_TRY(set_presets(model, form->architecture->preset, "model.", base));
    for (const LsHfKey *key = form->hf->keys; key->key; key++)
        if (!key->product && applies(model, key, base))
            LS_TRY(set_from_key(path, form, key, keys, base));
    LS_TRY(ls_hf_check_keys(path, form->hf, keys));
    LS_TRY(check_products(path, form, keys, base));
    if (model->check && model->check(base) != LS_OK)
        return ls_fail_in(LS_DATA, "%s", path);
    return LS_OK;
}

#define MOST_SETTINGS 128

/* "section.name=value" texts. */
typedef struct Assigned {
    char *list[MOST_SETTINGS];
    int count;
} Assigned;

/* Takes the text over. */
static LsStatus assign(Assigned *all, char *text)
{
    if (!text || all->count == MOST_SETTINGS) {
        ls_free(text);
        return text ? ls_fail(LS_ERROR, "a model of more than %d settings", MOST_SETTINGS) : LS_RESOURCE;
    }
    all->list[all->count++] = text;
    return LS_OK;
}

/* A model that learnt conversations goes on with data of the kind that holds them. */
static LsStatus assign_conversations(Assigned *all)
{
    const LsDataKind *const *kind = ls_data_kinds();
    while (*kind && !(*kind)->converse)
        kind++;
    return *kind ? assign(all, ls_format("data.kind=%s", (*kind)->name)) : LS_OK;
}

static LsStatus assign_all(const LsHfForm *form, const void *base, int64_t labels, const char *run, Assigned *all)
{
    const LsHfArchitecture *a = form->architecture;
    LS_TRY(assign(all, ls_format("model.kind=%s", form->model->name)));
    for (const LsSetting *s = form->model->settings; s->name; s++) {
        char *value = ls_setting_text(s, base);
        LsStatus status = value ? assign(all, ls_format("model.%s=%s", s->name, value)) : ls_message_status();
        ls_free(value);
        LS_TRY(status);
    }
    LS_TRY(assign(all, ls_format("task.kind=%s", a->task)));
    for (const char *const *preset = a->preset; preset && *preset; preset++)
        if (strncmp(*preset, "task.", 5) == 0)
            LS_TRY(assign(all, ls_hf_expand(form->model, base, labels, *preset)));
    if (a->fields) {
        char *fields = ls_hf_expand(form->model, base, labels, a->fields);
        LsStatus status = fields ? assign(all, ls_format("data.fields=%s", fields)) : LS_RESOURCE;
        ls_free(fields);
        LS_TRY(status);
    }
    char *quoted = run ? ls_setting_quote(run) : NULL;
    LsStatus status = !run ? LS_OK : quoted ? assign(all, ls_format("output.path=%s", quoted)) : LS_RESOURCE;
    ls_free(quoted);
    return status;
}

LsStatus ls_hf_config_in(const char *path, const LsHfForm *form, const json_t *keys, const char *run,
                         const json_t *markers, LsConfig **config, char **info)
{
    Assigned all = {.count = 0};
    json_t *flat = NULL;
    int64_t labels = 0;
    *config = NULL;
    *info = NULL;
    void *base = ls_alloc(form->model->config_bytes);
    if (!base)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_settings_defaults(form->model->settings, base));
    LS_TRY_CLEANUP(ls_hf_flatten(path, form->hf, keys, &flat));
    LS_TRY_CLEANUP(settings_in(path, form, flat, base));
    if (form->architecture->labels)
        LS_TRY_CLEANUP(ls_hf_labels_in(path, keys, &labels, info));
    LS_TRY_CLEANUP(assign_all(form, base, labels, run, &all));
    if (markers)
        LS_TRY_CLEANUP(assign_conversations(&all));
    if (!(*config = ls_config_of(path, all.count, all.list)))
        status = ls_message_status();
cleanup:
    for (int i = 0; i < all.count; i++)
        ls_free(all.list[i]);
    json_decref(flat);
    ls_settings_free(form->model->settings, base);
    ls_free(base);
    return status;
}

/* ---- Out --------------------------------------------------------------------------------------------------------- */

/* A word of theirs: null, true and false are no texts. */
static json_t *word_value(const char *word)
{
    return strcmp(word, "null") == 0    ? json_null()
           : strcmp(word, "true") == 0  ? json_true()
           : strcmp(word, "false") == 0 ? json_false()
                                        : json_string(word);
}

/* "32,64" as one number, or as a list of `count`; a new reference. */
static json_t *split_value(const char *text, int64_t count)
{
    char *end;
    int64_t number = strtoll(text, &end, 10);
    if (!*end)
        return json_integer(number);
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++) {
        if (json_array_append_new(list, json_integer(number)) != 0)
            break;
        number = *end ? strtoll(end + 1, &end, 10) : number;
    }
    return list;
}

/* A setting's value as their key's; a new reference. */
static json_t *key_value(const LsHfForm *form, const LsHfKey *key, const void *config)
{
    if (key->product)
        return json_integer(ls_hf_product(form, key->product, config));
    const LsSetting *s = ls_settings_find(form->model->settings, key->setting);
    const char *field = s ? (const char *)config + s->offset : NULL;
    char *text = s ? ls_setting_text(s, config) : NULL, *word = text ? translate(key->words, text, 1) : NULL;
    json_t *value = NULL;
    if (key->zero && text && strcmp(text, "0") == 0)
        value = json_integer(ls_hf_product(form, key->zero, config));
    else if (word)
        value = word_value(word);
    else if (key->each && s)
        value = split_value(*(char *const *)(const void *)field, ls_hf_product(form, key->each, config));
    else if (s && s->type == LS_SETTING_TYPE_INT)
        value = json_integer(*(const int64_t *)(const void *)field);
    else if (s && s->type == LS_SETTING_TYPE_FLOAT)
        value = json_real(*(const double *)(const void *)field);
    else if (s && s->type == LS_SETTING_TYPE_BOOL)
        value = json_boolean(*(const bool *)(const void *)field);
    else
        ls_fail(LS_USAGE, "model.%s is %s; the layout of %s has no word for it in its key %s", key->setting,
                text ? text : "not there", form->hf->model_type, key->key);
    ls_free(text);
    ls_free(word);
    return value;
}

/* Whether export leaves the key out for these settings. */
static bool left_out(const LsModel *model, const LsHfKey *key, const void *config)
{
    const LsSetting *s = key->omit ? ls_settings_find(model->settings, key->setting) : NULL;
    char *text = s ? ls_setting_text(s, config) : NULL;
    bool omitted = text && strcmp(text, key->omit) == 0;
    ls_free(text);
    return omitted || !applies(model, key, config);
}

/* Takes the value over. Elements of a list come in order. */
static bool set_value(json_t *all, const LsHfKey *key, json_t *value)
{
    if (!key->element)
        return ls_hf_set_member(all, key->key, value);
    json_t *list = ls_hf_member(all, key->key);
    if (!list && ls_hf_set_member(all, key->key, json_array()))
        list = ls_hf_member(all, key->key);
    return json_array_append_new(list, value) == 0;
}

LsStatus ls_hf_config_out(const LsHfForm *form, const LsConfig *config, int64_t end, const char *info, json_t **keys)
{
    const LsHf *hf = form->hf;
    json_t *all = NULL, *written = NULL;
    *keys = NULL;
    LS_TRY(ls_hf_parse_table(hf, hf->written, &written));
    LsStatus status = ls_hf_parse_table(hf, hf->fixed, &all);
    int failed = status == LS_OK ? json_object_update(all, written) : 0;
    json_decref(written);
    LS_TRY(status);
    failed |= json_object_set_new(all, "architectures", json_pack("[s]", form->architecture->name));
    failed |= json_object_set_new(all, "model_type", json_string(hf->model_type));
    failed |= json_object_set_new(all, "torch_dtype", json_string("float32"));
    failed |= json_object_set_new(all, "bos_token_id", end < 0 ? json_null() : json_integer(end));
    failed |= json_object_set_new(all, "eos_token_id", end < 0 ? json_null() : json_integer(end));
    for (const LsHfKey *key = hf->keys; key->key && !failed && status == LS_OK; key++) {
        if (left_out(form->model, key, config->model_config))
            continue;
        json_t *value = key_value(form, key, config->model_config);
        status = value ? LS_OK : ls_message_status();
        failed |= value && !set_value(all, key, value);
    }
    if (form->architecture->when) {
        const char *when = form->architecture->when, *equals = strchr(when, '=');
        char *name = ls_format("%.*s", (int)(equals - when), when);
        failed |= !name || json_object_set_new(all, name, word_value(equals + 1));
        ls_free(name);
    }
    if (status == LS_OK && form->architecture->labels)
        status = ls_hf_labels_out(config, form->architecture->labels, info, all);
    if (status == LS_OK && failed)
        status = ls_fail(LS_RESOURCE, "out of memory for config.json");
    if (status == LS_OK)
        *keys = all;
    else
        json_decref(all);
    return status;
}
