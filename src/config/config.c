#include "config/config.h"
#include "config/nearest.h"
#include "config/other_names.h"
#include "config/overriding.h"
#include "config/pattern.h"
#include "config/unknown.h"
#include "config/yaml.h"
#include "io/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES (1 << 20) /* of a configuration; a larger file is something else */

void ls_config_sections(const LsConfig *config, LsSection section[LS_SECTIONS])
{
    LsConfig *c = (LsConfig *)config; /* only writers write through base */
    section[0] = (LsSection){.name = "model", .kind_key = "kind"};
    section[1] = (LsSection){.name = "task", .kind_key = "kind"};
    section[2] = (LsSection){.name = "data", .kind_key = "kind", .table = {ls_data_settings}, .base = {&c->data}};
    section[3] =
        (LsSection){.name = "train", .kind_key = "procedure", .table = {ls_train_settings}, .base = {&c->train}};
    section[4] = (LsSection){.name = "lora", .table = {ls_lora_settings}, .base = {&c->lora}};
    section[5] = (LsSection){.name = "output", .table = {ls_output_settings}, .base = {&c->output}};
    if (c->model) {
        section[0].kind = c->model->name;
        section[0].table[1] = c->model->settings;
        section[0].base[1] = c->model_config;
    }
    if (c->task) {
        section[1].kind = c->task->name;
        section[1].table[1] = c->task->settings;
        section[1].base[1] = c->task_config;
    }
    if (c->data_kind) {
        section[2].kind = c->data_kind->name;
        section[2].table[1] = c->data_kind->use_settings;
        section[2].base[1] = c->data_config;
    }
    if (c->procedure) {
        section[3].kind = c->procedure->name;
        section[3].table[1] = c->procedure->settings;
        section[3].base[1] = c->procedure_config;
    }
}

void ls_config_free(LsConfig *config)
{
    if (!config)
        return;
    LsSection section[LS_SECTIONS];
    ls_config_sections(config, section);
    for (int i = 0; i < LS_SECTIONS; i++)
        for (int j = 0; j < 2; j++)
            if (section[i].table[j] && section[i].base[j])
                ls_settings_free(section[i].table[j], section[i].base[j]);
    ls_free(config->model_config);
    ls_free(config->task_config);
    ls_free(config->data_config);
    ls_free(config->procedure_config);
    if (config->said)
        ls_yaml_free(config->said);
    ls_free(config->said);
    ls_free(config->name);
    ls_free(config);
}

const LsYamlEntry *ls_config_entry(const LsConfig *config, const char *section, const char *key)
{
    const LsYamlEntry *found = NULL;
    for (int i = 0; config->said && i < config->said->count; i++) {
        const LsYamlEntry *entry = &config->said->list[i];
        if (strcmp(entry->section, section) == 0 && strcmp(entry->key, key) == 0)
            found = entry;
    }
    return found;
}

int ls_config_line(const LsConfig *config, const char *section, const char *key)
{
    const LsYamlEntry *entry = ls_config_entry(config, section, key);
    return entry ? entry->line : -1;
}

/* ---- From entries ------------------------------------------------------------------------------------------------ */

/* The setting of a section that chooses its kind; NULL: it has none. */
static const char *kind_key(const char *name)
{
    static const LsConfig none;
    LsSection section[LS_SECTIONS];
    ls_config_sections(&none, section);
    for (int i = 0; i < LS_SECTIONS; i++)
        if (strcmp(section[i].name, name) == 0)
            return section[i].kind_key;
    return NULL;
}

static bool is_kind(const LsYamlEntry *entry)
{
    const char *key = kind_key(entry->section);
    return key && strcmp(entry->key, key) == 0;
}

/* Lists whose members begin with a name, ended by NULL. */
static const char *name_at(const void *const *list, int i) { return list[i] ? *(const char *const *)list[i] : NULL; }

/* Finds what the last SECTION.kind (train.procedure) names in a list; `fallback` where there is none, NULL: there
 * must be one. NULL, with a mistake, where that is not in the list. */
static const void *choose(const char *section, const char *fallback, const void *list, const LsYamlEntries *entries,
                          LsMistakes *mistakes)
{
    const LsYamlEntry *kind = NULL;
    char names[1024] = "";
    size_t used = 0;
    for (int i = 0; name_at(list, i) && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name_at(list, i));
    for (int i = 0; i < entries->count; i++)
        if (is_kind(&entries->list[i]) && strcmp(entries->list[i].section, section) == 0)
            kind = &entries->list[i];
    const char *wanted = kind && kind->value ? kind->value : fallback;
    if (!wanted) {
        ls_mistakes_add(mistakes, kind ? kind->line : -1, "%s.%s: not set; choose one of %s%s", section,
                        kind_key(section), names,
                        strcmp(section, "model") == 0 ? ", or name a trained model as train.init" : "");
        return NULL;
    }
    LsNearest near = ls_nearest_to(wanted);
    for (int i = 0; name_at(list, i); i++) {
        if (strcmp(name_at(list, i), wanted) == 0)
            return ((const void *const *)list)[i];
        ls_nearest_offer(&near, name_at(list, i));
    }
    const char *key = kind_key(section);
    ls_mistakes_add(mistakes, kind ? kind->line : -1, "%s.%s: there is no %s '%s'%s (there are: %s)", section, key,
                    strcmp(section, "data") == 0 ? "kind of data"
                    : strcmp(key, "kind") == 0   ? section
                                                 : key,
                    wanted, ls_nearest_hint(&near), names);
    return NULL;
}

static const LsYamlEntry *last_of(const LsYamlEntries *entries, const char *section, const char *key)
{
    const LsYamlEntry *last = NULL;
    for (int i = 0; i < entries->count; i++)
        if (strcmp(entries->list[i].section, section) == 0 && strcmp(entries->list[i].key, key) == 0)
            last = &entries->list[i];
    return last && last->value && last->value[0] ? last : NULL;
}

/* Without model.kind and train.init, whose model it would be: adapters mean the latter. */
static bool lacks_init(const LsYamlEntries *entries, LsMistakes *mistakes)
{
    const LsYamlEntry *rank = last_of(entries, "lora", "rank");
    bool lacks = rank && strcmp(rank->value, "0") != 0 && !last_of(entries, "model", kind_key("model")) &&
                 !last_of(entries, "train", "init");
    if (lacks)
        ls_mistakes_add(mistakes, rank->line, "lora.rank: adapters stand on a trained model: name it as train.init");
    return lacks;
}

/* Room for settings, NULL with LS_OK where there are none. */
static LsStatus make_room(size_t bytes, void **room)
{
    *room = bytes > 0 ? ls_alloc(bytes) : NULL;
    return *room || bytes == 0 ? LS_OK : LS_RESOURCE;
}

static LsStatus choose_kinds(LsConfig *config, const LsYamlEntries *entries, LsMistakes *mistakes)
{
    config->model = lacks_init(entries, mistakes) ? NULL : choose("model", NULL, ls_models(), entries, mistakes);
    config->task = choose("task", ls_tasks()[0]->name, ls_tasks(), entries, mistakes);
    config->data_kind = choose("data", ls_data_kinds()[0]->name, ls_data_kinds(), entries, mistakes);
    config->procedure = choose("train", ls_config_procedure(config)->name, ls_procedures(), entries, mistakes);
    if (config->procedure)
        LS_TRY(make_room(config->procedure->settings_bytes, &config->procedure_config));
    if (config->model)
        LS_TRY(make_room(config->model->config_bytes, &config->model_config));
    if (config->task)
        LS_TRY(make_room(config->task->settings_bytes, &config->task_config));
    if (config->data_kind)
        LS_TRY(make_room(config->data_kind->use_settings_bytes, &config->data_config));
    return LS_OK;
}

static LsStatus apply(const LsYamlEntry *entry, const LsSection section[LS_SECTIONS], LsMistakes *mistakes)
{
    const LsSection *of = NULL;
    for (int i = 0; i < LS_SECTIONS; i++)
        if (strcmp(section[i].name, entry->section) == 0)
            of = &section[i];
    bool whole_section = !entry->key[0];
    if (!of) {
        if (whole_section || entry->line == 0)
            ls_unknown_section(entry, section, mistakes);
        return LS_OK;
    }
    bool has_kinds = strcmp(of->name, "model") == 0 || strcmp(of->name, "task") == 0;
    if (whole_section || is_kind(entry) || (has_kinds && !of->kind))
        return LS_OK;
    int table = ls_table_with(of, entry->key);
    if (table < 0 && of->kind_key && !of->kind)
        return LS_OK; /* it may be a setting of the kind that is not known */
    if (table < 0) {
        ls_unknown_key(entry, section, of, mistakes);
        return LS_OK;
    }
    if (entry->line == 0 && !entry->value) /* ls_overrides_unset found no line of it: it has its default */
        return LS_OK;
    LsStatus status = entry->form == LS_YAML_SCALAR
                          ? ls_settings_set(of->table[table], of->base[table], entry->key, entry->value)
                          : ls_settings_set_members(of->table[table], of->base[table], entry->key,
                                                    entry->form == LS_YAML_LIST, entry->value);
    if (status != LS_USAGE)
        return status;
    ls_mistakes_add(mistakes, entry->line, "%s.%s", entry->section, ls_message());
    return LS_OK;
}

/* Adapters are described, whether or not there are any. */
static bool describes_adapters(const LsConfig *config)
{
    return !ls_setting_is_default(ls_settings_find(ls_lora_settings, "alpha"), &config->lora) ||
           !ls_setting_is_default(ls_settings_find(ls_lora_settings, "targets"), &config->lora);
}

/* Mistakes in how settings fit together. They are looked for only where every setting is valid by itself. */
static void check_together(const LsConfig *config, LsMistakes *mistakes)
{
    const LsTrainSettings *train = &config->train;
    if (train->min_learning_rate > train->learning_rate)
        ls_mistakes_add(mistakes, -1, "train.min_learning_rate %g is above train.learning_rate %g",
                        train->min_learning_rate, train->learning_rate);
    if (config->task->procedure && strcmp(config->task->procedure, config->procedure->name) != 0)
        ls_mistakes_add(mistakes, -1, "train.procedure %s does not train task.kind %s: leave it out, or take %s",
                        config->procedure->name, config->task->name, config->task->procedure);
    if (ls_config_adapts(config) && !train->init)
        ls_mistakes_add(mistakes, -1, "lora.rank: adapters stand on a trained model: name it as train.init");
    if (!ls_config_adapts(config) && describes_adapters(config))
        ls_mistakes_add(
            mistakes, -1,
            "lora.rank is 0, which is no adapters: set it (8, say), or leave lora.alpha and lora.targets out");
    if (!train->init && strcmp(train->init_match, "strict") != 0)
        ls_mistakes_add(mistakes, -1, "train.init_match: %s is of train.init, which is not set", train->init_match);
    if (ls_config_adapts(config) && config->procedure != ls_procedures()[0])
        ls_mistakes_add(mistakes, -1, "lora.rank: adapters are trained by train.procedure %s, not by %s",
                        ls_procedures()[0]->name, config->procedure->name);
    if (config->model->check && config->model->check(config->model_config) != LS_OK)
        ls_mistakes_add(mistakes, -1, "%s", ls_message());
    LsFields fields;
    if (config->data.fields && ls_fields_parse(config->data.fields, &fields) != LS_OK)
        ls_mistakes_add(mistakes, -1, "data.%s", ls_message());
}

static LsStatus fill(LsConfig *config, const LsYamlEntries *entries, LsMistakes *mistakes)
{
    LS_TRY(choose_kinds(config, entries, mistakes));
    LsSection section[LS_SECTIONS];
    ls_config_sections(config, section);
    for (int i = 0; i < LS_SECTIONS; i++)
        for (int j = 0; j < 2; j++)
            if (section[i].table[j])
                LS_TRY(ls_settings_defaults(section[i].table[j], section[i].base[j]));
    for (int i = 0; i < entries->count; i++)
        LS_TRY(apply(&entries->list[i], section, mistakes));
    LS_TRY(ls_patterns_check(config, mistakes));
    if (mistakes->count == 0)
        check_together(config, mistakes);
    return LS_OK;
}

/* text: NULL: the settings alone, which are not from a command line. below: a text whose entries come first, or NULL.
 * saved: a run wrote the text. */
static LsConfig *parse(const char *name, const char *below, const char *text, size_t bytes, bool saved, int overrides,
                       char *const *override)
{
    LsMistakes mistakes = {.name = name};
    LsYamlEntries entries = {0};
    LsConfig *config = ls_alloc(sizeof *config);
    LsStatus status = config && (config->name = ls_strdup(name)) && (config->said = ls_alloc(sizeof *config->said))
                          ? LS_OK
                          : LS_RESOURCE;
    if (status == LS_OK && below)
        status = ls_yaml_read(below, strlen(below), &entries, &mistakes);
    int first = entries.count;
    for (int i = 0; i < first; i++)
        entries.list[i].line = -1;
    if (status == LS_OK && text)
        status = ls_yaml_read(text, bytes, &entries, &mistakes);
    /* a syntax error leaves nothing to say about settings */
    bool readable = mistakes.count == 0 || entries.count > first;
    for (int i = 0; i < overrides && status == LS_OK; i++)
        status = ls_yaml_override(override[i], &entries, &mistakes);
    if (status == LS_OK && text)
        status = ls_overrides_unset(&entries);
    if (status == LS_OK && saved)
        status = ls_overrides_drop_kinds(&entries, &mistakes);
    for (int i = 0; i < entries.count && !text; i++)
        entries.list[i].line = -1;
    if (config && config->said)
        *config->said = entries;
    else
        ls_yaml_free(&entries);
    if (status == LS_OK && readable)
        status = fill(config, &entries, &mistakes);
    LsStatus told = ls_mistakes_status(&mistakes);
    if (status == LS_OK && told == LS_OK)
        return config;
    ls_config_free(config);
    return NULL;
}

LsConfig *ls_config_parse(const char *name, const char *text, int overrides, char *const *override)
{
    return parse(name, NULL, text, strlen(text), true, overrides, override);
}

LsConfig *ls_config_of(const char *name, int settings, char *const *setting)
{
    return parse(name, NULL, NULL, 0, false, settings, setting);
}

/* ---- From a file ------------------------------------------------------------------------------------------------- */

/* What people name in the place of a job. */
static LsStatus refuse_others(const char *path)
{
    const char *setting = ls_setting_of_file(path);
    if (ls_file_exists_in(path, "config.yaml"))
        return ls_fail(LS_USAGE, "%s: this is a folder, a file is needed: the job of this run is %s/config.yaml", path,
                       path);
    if (ls_file_exists_in(path, "config.json"))
        return ls_fail(LS_USAGE,
                       "%s: this is a folder, a file is needed: a job file (YAML) names these weights as train.init",
                       path);
    return setting ? ls_fail(LS_USAGE, "%s: is no job file (YAML); a job names it: lockstep train JOB.yaml %s=%s", path,
                             setting, path)
                   : LS_OK;
}

/* *text is the caller's to free; what stands behind *bytes of it is zero. */
static LsStatus read_file(const char *path, char **text, size_t *bytes)
{
    LS_TRY(refuse_others(path));
    FILE *file = ls_stream_regular(path, LS_USAGE);
    if (!file)
        return ls_message_status();
    LsStatus status = (*text = ls_alloc(MOST_BYTES + 2)) ? LS_OK : LS_RESOURCE;
    if (*text)
        *bytes = fread(*text, 1, MOST_BYTES + 1, file);
    if (ferror(file))
        status = ls_fail(LS_USAGE, "%s: %s", path, strerror(errno));
    else if (*text && *bytes > MOST_BYTES)
        status = ls_fail(
            LS_USAGE,
            "%s: larger than 1 MiB; this is no job file (YAML): 'lockstep prepare' makes a data set of such a file",
            path);
    fclose(file);
    return status;
}

LsConfig *ls_config_load_over(const char *path, const char *below, int overrides, char *const *override)
{
    char *text = NULL;
    size_t bytes = 0;
    LsStatus status = read_file(path, &text, &bytes);
    LsConfig *config = status == LS_OK ? parse(path, below, text, bytes, false, overrides, override) : NULL;
    ls_free(text);
    return config;
}

LsConfig *ls_config_load(const char *path, int overrides, char *const *override)
{
    return ls_config_load_over(path, NULL, overrides, override);
}

LsStatus ls_config_said(const char *path, int overrides, char *const *override, const char *section, const char *key,
                        char **value)
{
    LsMistakes mistakes = {.name = path};
    LsYamlEntries entries = {0};
    char *text = NULL;
    const char *last = NULL;
    size_t bytes = 0;
    *value = NULL;
    LsStatus status = read_file(path, &text, &bytes);
    if (status == LS_OK)
        status = ls_yaml_read(text, bytes, &entries, &mistakes);
    for (int i = 0; i < overrides && status == LS_OK; i++)
        status = ls_yaml_override(override[i], &entries, &mistakes);
    for (int i = 0; i < entries.count && status == LS_OK; i++)
        if (strcmp(entries.list[i].section, section) == 0 && strcmp(entries.list[i].key, key) == 0)
            last = entries.list[i].form == LS_YAML_SCALAR ? entries.list[i].value : NULL;
    if (last && !(*value = ls_strdup(last)))
        status = LS_RESOURCE;
    ls_yaml_free(&entries);
    ls_free(text);
    if (ls_mistakes_status(&mistakes) == LS_RESOURCE)
        status = LS_RESOURCE;
    return status;
}

/* ---- To text ----------------------------------------------------------------------------------------------------- */

static bool print_setting(FILE *out, const LsSetting *setting, const void *base)
{
    char *text = ls_setting_text(setting, base);
    if (text)
        fprintf(out, "  %s: %s\n", setting->name, text);
    ls_free(text);
    return text != NULL;
}

/* The sections whose names are `only`; NULL: all. */
static char *print_sections(const LsConfig *config, const char *only)
{
    char *buffer = NULL, *text = NULL;
    size_t bytes = 0;
    bool fine = true;
    LsSection section[LS_SECTIONS];
    ls_config_sections(config, section);
    FILE *out = open_memstream(&buffer, &bytes);
    if (!out) {
        ls_fail(LS_RESOURCE, "out of memory for the configuration's text");
        return NULL;
    }
    for (int i = 0; i < LS_SECTIONS; i++) {
        if (only && strcmp(section[i].name, only) != 0)
            continue;
        fprintf(out, "%s:\n", section[i].name);
        if (section[i].kind)
            fprintf(out, "  %s: %s\n", section[i].kind_key, section[i].kind);
        for (int j = 0; j < 2; j++)
            for (const LsSetting *setting = section[i].table[j]; setting && setting->name && fine; setting++)
                fine = print_setting(out, setting, section[i].base[j]);
    }
    if (fclose(out) != 0)
        ls_fail(LS_RESOURCE, "out of memory for the configuration's text");
    else if (fine)
        text = ls_strdup(buffer);
    free(buffer);
    return text;
}

char *ls_config_yaml(const LsConfig *config) { return print_sections(config, NULL); }

char *ls_config_model_yaml(const LsConfig *config) { return print_sections(config, "model"); }
