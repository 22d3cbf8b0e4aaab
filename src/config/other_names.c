#include "config/other_names.h"

#include "config/config.h"
#include "io/sealed.h"

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

const char *ls_setting_of_file(const char *path)
{
    LsSealedHead head;
    if (!ls_sealed_head(path, &head))
        return NULL;
    return strcmp(head.kind, "checkpoint") == 0 ? "train.init" : "data.path";
}

const char *ls_section_with(const char *name)
{
    static const LsConfig none;
    LsSection section[LS_SECTIONS];
    ls_config_sections(&none, section);
    for (int i = 0; i < LS_SECTIONS; i++)
        if (ls_settings_find(section[i].table[0], name))
            return section[i].name;
    return NULL;
}
