#include "config/other_names.h"

#include "config/config.h"

#include <string.h>

const char *ls_other_name(const char *name)
{
    static const char *const names[][2] = {
#define OTHER(name, here) {name, here},
#include "config/other_names.def"
#undef OTHER
    };
    for (size_t i = 0; i < LS_COUNT_OF(names); i++)
        if (strcmp(names[i][0], name) == 0)
            return names[i][1];
    return NULL;
}

const char *ls_section_with(const char *name)
{
    static const LsConfig none;
    LsSection section[LS_SECTIONS];
    ls_config_sections(&none, section);
    for (int i = 0; i < LS_SECTIONS; i++)
        for (const LsSetting *setting = section[i].table[0]; setting && setting->name; setting++)
            if (strcmp(setting->name, name) == 0)
                return section[i].name;
    return NULL;
}
