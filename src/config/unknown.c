#include "config/unknown.h"

#include "config/nearest.h"
#include "config/other_names.h"

#include <stdio.h>
#include <string.h>

void ls_unknown_section(const LsYamlEntry *entry, const LsSection section[LS_SECTIONS], LsMistakes *mistakes)
{
    LsNearest near = ls_nearest_to(entry->section);
    for (int i = 0; i < LS_SECTIONS; i++)
        ls_nearest_offer(&near, section[i].name);
    ls_mistakes_add(mistakes, entry->line, "section %s: unknown%s (sections: model, task, data, train, lora, output)",
                    entry->section, ls_nearest_hint(&near));
}

int ls_table_with(const LsSection *section, const char *name)
{
    for (int j = 0; j < 2; j++)
        if (ls_settings_find(section->table[j], name))
            return j;
    return -1;
}

/* Offers the names of the section's own settings and its kind's. */
static void offer_settings(const LsSection *of, LsNearest *near)
{
    for (int j = 0; j < 2; j++)
        for (const LsSetting *setting = of->table[j]; setting && setting->name; setting++)
            ls_nearest_offer(near, setting->name);
}

/* The kinds of section `which` that have a setting of this name, "mamba, s4d"; none: "". */
static const char *kinds_with(int which, const char *name, char *names, size_t room)
{
    const void *const *list[] = {(const void *const *)ls_models(), (const void *const *)ls_tasks(),
                                 (const void *const *)ls_data_kinds(), (const void *const *)ls_procedures()};
    size_t used = 0;
    names[0] = '\0';
    for (int i = 0; which < (int)LS_COUNT_OF(list) && list[which][i] && used < room; i++) {
        const void *kind = list[which][i];
        LsConfig only = {.model = which == 0 ? kind : NULL,
                         .task = which == 1 ? kind : NULL,
                         .data_kind = which == 2 ? kind : NULL,
                         .procedure = which == 3 ? kind : NULL};
        LsSection section[LS_SECTIONS];
        ls_config_sections(&only, section);
        if (ls_table_with(&section[which], name) == 1)
            used += (size_t)snprintf(names + used, room - used, "%s%s", used ? ", " : "", section[which].kind);
    }
    return names;
}

void ls_unknown_key(const LsYamlEntry *entry, const LsSection section[LS_SECTIONS], const LsSection *of,
                    LsMistakes *mistakes)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s.%s", entry->section, entry->key);
    const char *here = ls_other_name(whole);
    for (int i = 0; i < LS_SECTIONS && !here; i++)
        if (ls_table_with(&section[i], entry->key) >= 0) {
            ls_mistakes_add(mistakes, entry->line, "%s.%s: unknown; it belongs to the section %s", entry->section,
                            entry->key, section[i].name);
            return;
        }
    LsNearest near = ls_nearest_to(entry->key);
    if (!ls_mistakes_full(mistakes))
        offer_settings(of, &near);
    char kinds[512];
    if (!here && of->kind && kinds_with((int)(of - section), entry->key, kinds, sizeof kinds)[0]) {
        char cure[128] = "";
        if (entry->line > 0)
            snprintf(cure, sizeof cure, "; %.40s.%.40s= on the command line leaves it out", entry->section, entry->key);
        ls_mistakes_add(mistakes, entry->line, "%s.%s: %s %s has no such setting (those that have: %s)%s%s",
                        entry->section, entry->key, strcmp(of->kind_key, "kind") == 0 ? of->name : of->kind_key,
                        of->kind, kinds, ls_nearest_hint(&near), cure);
        return;
    }
    if (here || (here = ls_other_name(entry->key))) {
        ls_mistakes_add(mistakes, entry->line, "%s.%s: unknown; write %s", entry->section, entry->key, here);
        return;
    }
    ls_mistakes_add(mistakes, entry->line, "%s.%s: unknown%s", entry->section, entry->key, ls_nearest_hint(&near));
}
