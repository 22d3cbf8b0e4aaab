#include "config/config.h"
#include "config/nearest.h"
#include "config/yaml.h"
#include "io/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES (1 << 20) /* of a configuration; a larger file is something else */

/* A section of the file: its table and the structure it fills. */
typedef struct Section {
    const char *name;
    const LsSetting *table;
    void *base;
} Section;

#define SECTIONS 4

/* model, data, train, output, in the order they are printed in. */
static void sections_of(const LsConfig *config, Section section[SECTIONS])
{
    LsConfig *c = (LsConfig *)config; /* only writers write through base */
    section[0] = (Section){"model", c->model ? c->model->settings : NULL, c->model_config};
    section[1] = (Section){"data", ls_data_settings, &c->data};
    section[2] = (Section){"train", ls_train_settings, &c->train};
    section[3] = (Section){"output", ls_output_settings, &c->output};
}

void ls_config_free(LsConfig *config)
{
    if (!config)
        return;
    Section section[SECTIONS];
    sections_of(config, section);
    for (int i = 0; i < SECTIONS; i++)
        if (section[i].table)
            ls_settings_free(section[i].table, section[i].base);
    ls_free(config->model_config);
    ls_free(config);
}

/* ---- From entries ------------------------------------------------------------------------------------------------ */

static bool is_kind(const LsYamlEntry *entry)
{
    return strcmp(entry->section, "model") == 0 && strcmp(entry->key, "kind") == 0;
}

/* "gpt, mamba" */
static void model_names(char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (const LsModel *const *model = ls_models(); *model && used < room; model++)
        used += (size_t)snprintf(text + used, room - used, "%s%s", used ? ", " : "", (*model)->name);
}

/* Finds the model that the last model.kind names. Leaves config->model NULL, with a mistake, where there is none. */
static LsStatus choose_model(LsConfig *config, const LsYamlEntries *entries, LsMistakes *mistakes)
{
    const LsYamlEntry *kind = NULL;
    char names[1024];
    model_names(names, sizeof names);
    for (int i = 0; i < entries->count; i++)
        if (is_kind(&entries->list[i]))
            kind = &entries->list[i];
    if (!kind || !kind->value) {
        ls_mistakes_add(mistakes, kind ? kind->line : -1, "model.kind: not set; choose one of %s", names);
        return LS_OK;
    }
    LsNearest near = ls_nearest_to(kind->value);
    for (const LsModel *const *model = ls_models(); *model; model++) {
        if (strcmp((*model)->name, kind->value) == 0)
            config->model = *model;
        ls_nearest_offer(&near, (*model)->name);
    }
    if (!config->model) {
        ls_mistakes_add(mistakes, kind->line, "model.kind: there is no model '%s'%s (models: %s)", kind->value,
                        ls_nearest_hint(near.best), names);
        return LS_OK;
    }
    config->model_config = ls_alloc(config->model->config_bytes);
    return config->model_config ? LS_OK : LS_RESOURCE;
}

static void unknown_section(const LsYamlEntry *entry, const Section section[SECTIONS], LsMistakes *mistakes)
{
    LsNearest near = ls_nearest_to(entry->section);
    for (int i = 0; i < SECTIONS; i++)
        ls_nearest_offer(&near, section[i].name);
    ls_mistakes_add(mistakes, entry->line, "section %s: unknown%s (sections: model, data, train, output)",
                    entry->section, ls_nearest_hint(near.best));
}

/* A name that this section lacks: the nearest here, else the section that has it. */
static void unknown_key(const LsYamlEntry *entry, const Section section[SECTIONS], const LsSetting *table,
                        LsMistakes *mistakes)
{
    for (int i = 0; i < SECTIONS; i++)
        for (const LsSetting *setting = section[i].table; setting && setting->name; setting++)
            if (strcmp(setting->name, entry->key) == 0) {
                ls_mistakes_add(mistakes, entry->line, "%s.%s: unknown; it belongs to the section %s", entry->section,
                                entry->key, section[i].name);
                return;
            }
    ls_mistakes_add(mistakes, entry->line, "%s.%s: unknown%s", entry->section, entry->key,
                    ls_nearest_hint(ls_settings_nearest(table, entry->key)));
}

static bool has_setting(const LsSetting *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return true;
    return false;
}

static LsStatus apply(const LsYamlEntry *entry, const Section section[SECTIONS], LsMistakes *mistakes)
{
    const Section *of = NULL;
    for (int i = 0; i < SECTIONS; i++)
        if (strcmp(section[i].name, entry->section) == 0)
            of = &section[i];
    bool whole_section = !entry->key[0];
    if (!of) {
        if (whole_section || entry->line == 0)
            unknown_section(entry, section, mistakes);
        return LS_OK;
    }
    if (whole_section || is_kind(entry) || !of->table)
        return LS_OK;
    if (!has_setting(of->table, entry->key)) {
        unknown_key(entry, section, of->table, mistakes);
        return LS_OK;
    }
    LsStatus status = ls_settings_set(of->table, of->base, entry->key, entry->value);
    if (status != LS_USAGE)
        return status;
    ls_mistakes_add(mistakes, entry->line, "%s.%s", entry->section, ls_message());
    return LS_OK;
}

/* What no single setting can know. Told only where all settings are right by themselves. */
static void check_together(const LsConfig *config, LsMistakes *mistakes)
{
    const LsTrainSettings *train = &config->train;
    if (train->min_learning_rate > train->learning_rate)
        ls_mistakes_add(mistakes, -1, "train.min_learning_rate %g is above train.learning_rate %g",
                        train->min_learning_rate, train->learning_rate);
    if (config->model->check && config->model->check(config->model_config) != LS_OK)
        ls_mistakes_add(mistakes, -1, "%s", ls_message());
}

static LsStatus fill(LsConfig *config, const LsYamlEntries *entries, LsMistakes *mistakes)
{
    LS_TRY(choose_model(config, entries, mistakes));
    Section section[SECTIONS];
    sections_of(config, section);
    for (int i = 0; i < SECTIONS; i++)
        if (section[i].table)
            LS_TRY(ls_settings_defaults(section[i].table, section[i].base));
    for (int i = 0; i < entries->count; i++)
        LS_TRY(apply(&entries->list[i], section, mistakes));
    if (mistakes->count == 0)
        check_together(config, mistakes);
    return LS_OK;
}

static LsConfig *parse(const char *name, const char *text, size_t bytes, int overrides, char *const *override)
{
    LsMistakes mistakes = {.name = name};
    LsYamlEntries entries = {0};
    LsConfig *config = ls_alloc(sizeof *config);
    LsStatus status = config ? ls_yaml_read(text, bytes, &entries, &mistakes) : LS_RESOURCE;
    /* a syntax error leaves nothing to say about settings */
    bool readable = mistakes.count == 0 || entries.count > 0;
    for (int i = 0; i < overrides && status == LS_OK; i++)
        status = ls_yaml_override(override[i], &entries, &mistakes);
    if (status == LS_OK && readable)
        status = fill(config, &entries, &mistakes);
    ls_yaml_free(&entries);
    LsStatus told = ls_mistakes_status(&mistakes);
    if (status == LS_OK && told == LS_OK)
        return config;
    ls_config_free(config);
    return NULL;
}

LsConfig *ls_config_parse(const char *name, const char *text, int overrides, char *const *override)
{
    return parse(name, text, strlen(text), overrides, override);
}

/* ---- From a file ------------------------------------------------------------------------------------------------- */

LsConfig *ls_config_load(const char *path, int overrides, char *const *override)
{
    LsConfig *config = NULL;
    char *text = NULL;
    FILE *file = ls_stream_regular(path, LS_USAGE);
    if (!file)
        return NULL;
    text = ls_alloc(MOST_BYTES + 2);
    if (!text)
        goto cleanup;
    size_t bytes = fread(text, 1, MOST_BYTES + 1, file);
    if (ferror(file))
        ls_fail(LS_USAGE, "%s: %s", path, strerror(errno));
    else if (bytes > MOST_BYTES)
        ls_fail(LS_USAGE, "%s: larger than 1 MiB; this is no configuration", path);
    else
        config = parse(path, text, bytes, overrides, override);
cleanup:
    ls_free(text);
    fclose(file);
    return config;
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

char *ls_config_yaml(const LsConfig *config)
{
    char *buffer = NULL, *text = NULL;
    size_t bytes = 0;
    bool fine = true;
    Section section[SECTIONS];
    sections_of(config, section);
    FILE *out = open_memstream(&buffer, &bytes);
    if (!out) {
        ls_fail(LS_RESOURCE, "out of memory for the configuration's text");
        return NULL;
    }
    for (int i = 0; i < SECTIONS; i++) {
        fprintf(out, "%s:\n", section[i].name);
        if (i == 0)
            fprintf(out, "  kind: %s\n", config->model->name);
        for (const LsSetting *setting = section[i].table; setting->name && fine; setting++)
            fine = print_setting(out, setting, section[i].base);
    }
    if (fclose(out) != 0)
        ls_fail(LS_RESOURCE, "out of memory for the configuration's text");
    else if (fine)
        text = ls_strdup(buffer);
    free(buffer);
    return text;
}

/* ---- The model's integers by name -------------------------------------------------------------------------------- */

static int64_t *model_int(const LsConfig *config, const char *name)
{
    for (const LsSetting *setting = config->model->settings; setting->name; setting++)
        if (setting->type == LS_SETTING_TYPE_INT && strcmp(setting->name, name) == 0)
            return (int64_t *)((char *)config->model_config + setting->offset);
    return NULL;
}

bool ls_config_model_int(const LsConfig *config, const char *name, int64_t *value)
{
    const int64_t *found = model_int(config, name);
    if (found)
        *value = *found;
    return found != NULL;
}

bool ls_config_set_model_int(LsConfig *config, const char *name, int64_t value)
{
    int64_t *found = model_int(config, name);
    if (found)
        *found = value;
    return found != NULL;
}
