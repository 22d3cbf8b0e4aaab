#include "config/overriding.h"

#include "config/config.h"

#include <string.h>

static bool is_of(const LsYamlEntry *entry, const char *section, const char *key)
{
    return strcmp(entry->section, section) == 0 && strcmp(entry->key, key) == 0;
}

/* Takes entry i out where taken[i]. */
static void take_out(LsYamlEntries *entries, const bool *taken)
{
    int kept = 0;
    for (int i = 0; i < entries->count; i++) {
        LsYamlEntry entry = entries->list[i];
        if (!taken[i]) {
            entries->list[kept++] = entry;
            continue;
        }
        ls_free(entry.section);
        ls_free(entry.key);
        ls_free(entry.value);
    }
    entries->count = kept;
}

/* Of a setting of the command line without a value. Lines below the file's (-1) stay: the setting is as if the file had
 * not named it. */
static void mark_unset(const LsYamlEntries *entries, int at, bool *taken)
{
    const LsYamlEntry *unset = &entries->list[at];
    bool found = false;
    for (int i = 0; i < at; i++)
        if (entries->list[i].line >= 0 && is_of(&entries->list[i], unset->section, unset->key))
            taken[i] = found = true;
    taken[at] = found;
}

LsStatus ls_overrides_unset(LsYamlEntries *entries)
{
    bool *taken = ls_alloc_array(entries->count + 1, sizeof *taken);
    if (!taken)
        return LS_RESOURCE;
    for (int i = 0; i < entries->count; i++)
        if (entries->list[i].line == 0 && entries->list[i].key[0] && !entries->list[i].value)
            mark_unset(entries, i, taken);
    take_out(entries, taken);
    ls_free(taken);
    return LS_OK;
}

/* The last of a section's kind from the file, or from the command line. */
static const char *kind_said(const LsYamlEntries *entries, const LsSection *section, bool command_line)
{
    const char *kind = NULL;
    for (int i = 0; i < entries->count; i++)
        if ((entries->list[i].line == 0) == command_line && is_of(&entries->list[i], section->name, section->kind_key))
            kind = entries->list[i].value;
    return kind;
}

static void mark_kind(const LsYamlEntries *entries, const LsSection *section, bool *taken, LsMistakes *mistakes)
{
    const char *own = kind_said(entries, section, false), *chosen = kind_said(entries, section, true);
    if (!own || !chosen || strcmp(own, chosen) == 0)
        return;
    if (strcmp(section->name, "model") == 0)
        ls_mistakes_add(mistakes, 0, "model.kind=%s: the weights are those of a model %s, and fit no other", chosen,
                        own);
    for (int i = 0; i < entries->count; i++) {
        const LsYamlEntry *entry = &entries->list[i];
        taken[i] |= entry->line > 0 && strcmp(entry->section, section->name) == 0 && entry->key[0] &&
                    strcmp(entry->key, section->kind_key) != 0 && !ls_settings_find(section->table[0], entry->key);
    }
}

LsStatus ls_overrides_drop_kinds(LsYamlEntries *entries, LsMistakes *mistakes)
{
    static const LsConfig none;
    LsSection section[LS_SECTIONS];
    bool *taken = ls_alloc_array(entries->count + 1, sizeof *taken);
    if (!taken)
        return LS_RESOURCE;
    ls_config_sections(&none, section);
    for (int i = 0; i < LS_SECTIONS; i++)
        if (section[i].kind_key)
            mark_kind(entries, &section[i], taken, mistakes);
    take_out(entries, taken);
    ls_free(taken);
    return LS_OK;
}
