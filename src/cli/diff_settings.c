#include "cli/diff_settings.h"

#include "base/text.h"
#include "cli/cli.h"
#include "io/file.h"
#include "store/model_folder.h"

#include <string.h>

/* The resolved settings of a run as they are written: those of its config.yaml, else of its checkpoint. */
static LsStatus read_text(const char *run, char **text, int64_t *bytes)
{
    LsConfig *config = NULL;
    char *path = ls_format("%s/config.yaml", run);
    if (!path)
        return LS_RESOURCE;
    bool there = ls_file_exists(path);
    LsStatus status = there ? ls_file_read(path, LS_CHECKPOINT, text, bytes) : LS_OK;
    ls_free(path);
    if (there)
        return status;
    if (!ls_file_exists(run))
        return ls_fail(LS_CHECKPOINT, "%s: there is no such run or checkpoint", run);
    LS_TRY(ls_stored_config(run, &config));
    *text = ls_config_yaml(config);
    *bytes = *text ? (int64_t)strlen(*text) : 0;
    ls_config_free(config);
    return *text ? LS_OK : LS_RESOURCE;
}

static LsStatus read_settings(const char *run, LsYamlEntries *settings)
{
    LsMistakes mistakes = {.name = run};
    char *text = NULL;
    int64_t bytes = 0;
    LsStatus status = read_text(run, &text, &bytes);
    if (status == LS_OK) {
        status = ls_yaml_read(text, (size_t)bytes, settings, &mistakes);
        LsStatus told = ls_mistakes_status(&mistakes);
        status = status == LS_OK ? told : status;
    }
    ls_free(text);
    return status;
}

/* NULL: it has none. */
static const LsYamlEntry *find(const LsYamlEntries *settings, const LsYamlEntry *like)
{
    for (int i = 0; i < settings->count; i++)
        if (strcmp(settings->list[i].section, like->section) == 0 && strcmp(settings->list[i].key, like->key) == 0)
            return &settings->list[i];
    return NULL;
}

static bool is_same(const LsYamlEntry *a, const LsYamlEntry *b)
{
    if (!a || !b)
        return a == b;
    return a->value && b->value ? strcmp(a->value, b->value) == 0 : a->value == b->value;
}

bool ls_diff_is_compared(const LsYamlEntry *entry)
{
    return strcmp(entry->section, "output") != 0 || strcmp(entry->key, "path") != 0;
}

/* One setting's row, where the runs have not all the same. */
static LsStatus compare(int runs, const LsYamlEntries *settings, const LsYamlEntry *entry, json_t *rows)
{
    bool same = true;
    for (int i = 1; i < runs; i++)
        same = same && is_same(find(&settings[0], entry), find(&settings[i], entry));
    if (same || !ls_diff_is_compared(entry))
        return LS_OK;
    json_t *values = json_array();
    char *name = ls_format("%s.%s", entry->section, entry->key);
    int failed = !values || !name;
    for (int i = 0; i < runs && !failed; i++) {
        const LsYamlEntry *own = find(&settings[i], entry);
        failed = json_array_append_new(values, ls_json_text(!own ? "" : own->value ? own->value : "null"));
    }
    json_t *row = failed ? NULL : json_pack("{s:s, s:O}", "setting", name, "values", values);
    failed |= json_array_append_new(rows, row);
    json_decref(values);
    ls_free(name);
    return failed ? ls_fail(LS_RESOURCE, "out of memory for the comparison") : LS_OK;
}

/* The settings of the first run in its order, and then those that only later ones have. */
static LsStatus compare_all(int runs, const LsYamlEntries *settings, json_t *rows)
{
    for (int i = 0; i < runs; i++)
        for (int j = 0; j < settings[i].count; j++) {
            const LsYamlEntry *entry = &settings[i].list[j];
            bool seen = false;
            for (int before = 0; before < i; before++)
                seen = seen || find(&settings[before], entry);
            if (!seen)
                LS_TRY(compare(runs, settings, entry, rows));
        }
    return LS_OK;
}

/* Column 0 is the setting, the others are the runs. */
static const char *cell(const json_t *row, char *const *run, int column)
{
    const json_t *values = json_object_get(row, "values");
    if (!row)
        return column == 0 ? "setting" : run[column - 1];
    return json_string_value(column == 0 ? json_object_get(row, "setting")
                                         : json_array_get(values, (size_t)column - 1));
}

/* Rows from -1, the names, on. */
static LsStatus print_table(int runs, char *const *run, const json_t *rows)
{
    int count = (int)json_array_size(rows);
    for (int i = -1; i < count; i++) {
        for (int j = 0; j <= runs; j++) {
            size_t width = 0;
            for (int k = -1; k < count; k++) {
                size_t length = strlen(cell(k < 0 ? NULL : json_array_get(rows, (size_t)k), run, j));
                width = length > width ? length : width;
            }
            const char *text = cell(i < 0 ? NULL : json_array_get(rows, (size_t)i), run, j);
            printf("%-*s%s", j < runs ? (int)width : 0, text, j < runs ? "  " : "\n");
        }
    }
    return ls_check_stdout();
}

static LsStatus print(int runs, char *const *run, bool json, json_t *rows)
{
    if (!json && json_array_size(rows) == 0) {
        printf("equal\n");
        return ls_check_stdout();
    }
    if (!json)
        return print_table(runs, run, rows);
    json_t *names = json_array();
    for (int i = 0; i < runs; i++)
        json_array_append_new(names, ls_json_text(run[i]));
    return ls_print_json(
        json_pack("{s:o, s:O, s:b}", "runs", names, "settings", rows, "equal", json_array_size(rows) == 0));
}

LsStatus ls_diff_settings(int runs, char *const *run, bool json, bool *different)
{
    LsYamlEntries *settings = ls_alloc_array(runs, sizeof *settings);
    json_t *rows = json_array();
    LsStatus status = settings && rows ? LS_OK : LS_RESOURCE;
    for (int i = 0; status == LS_OK && i < runs; i++)
        status = read_settings(run[i], &settings[i]);
    if (status == LS_OK)
        status = compare_all(runs, settings, rows);
    if (status == LS_OK)
        status = print(runs, run, json, rows);
    *different = json_array_size(rows) > 0;
    for (int i = 0; settings && i < runs; i++)
        ls_yaml_free(&settings[i]);
    ls_free(settings);
    json_decref(rows);
    return status;
}
