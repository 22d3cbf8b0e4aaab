/* Names in a configuration that are not known, and what may have been meant. */
#ifndef LS_CONFIG_UNKNOWN_H
#define LS_CONFIG_UNKNOWN_H

#include "config/config.h"
#include "config/yaml.h"

/* Which of a section's tables has a setting, -1: none. */
int ls_table_with(const LsSection *section, const char *name);

void ls_unknown_section(const LsYamlEntry *entry, const LsSection section[LS_SECTIONS], LsMistakes *mistakes);

/* A name that the section `of` lacks: the section that has it, its kinds that have it, or the nearest here. */
void ls_unknown_key(const LsYamlEntry *entry, const LsSection section[LS_SECTIONS], const LsSection *of,
                    LsMistakes *mistakes);

#endif
