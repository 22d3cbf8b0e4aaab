#include "base/registry.h"

#include <stdio.h>
#include <string.h>

static const char *name_of(const void *member) { return *(const char *const *)member; }

const void *ls_registry_find(const LsRegistry *registry, const char *name)
{
    for (int i = 0; registry->member[i]; i++)
        if (strcmp(name_of(registry->member[i]), name) == 0)
            return registry->member[i];
    return NULL;
}

LsStatus ls_registry_add(LsRegistry *registry, const void *member)
{
    const char *name = name_of(member);
    if (ls_registry_find(registry, name))
        return ls_fail(LS_USAGE, "there is a %s '%s' already", registry->what, name);
    if (registry->added == registry->most)
        return ls_fail(LS_USAGE, "no room for the %s '%s': at most %d can be added", registry->what, name,
                       registry->most);
    registry->member[registry->listed + registry->added++] = member;
    return LS_OK;
}

void ls_registry_names(const LsRegistry *registry, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; registry->member[i] && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%s", i ? ", " : "", name_of(registry->member[i]));
}
