#include "base/names.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    const char *name;
    int number;
} Entry;

struct LsNames {
    void *tree; /* of tsearch, balanced */
};

static int by_name(const void *a, const void *b) { return strcmp(((const Entry *)a)->name, ((const Entry *)b)->name); }

LsStatus ls_names_add(LsNames **names, const char *name, int number)
{
    if (!*names && !(*names = ls_alloc(sizeof **names)))
        return LS_RESOURCE;
    Entry *entry = ls_alloc(sizeof *entry);
    if (!entry)
        return LS_RESOURCE;
    *entry = (Entry){name, number};
    Entry *const *found = tsearch(entry, &(*names)->tree, by_name);
    if (!found || *found != entry)
        ls_free(entry);
    return found ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for the name %s", name);
}

int ls_names_find(const LsNames *names, const char *name)
{
    Entry *const *found = names ? tfind(&(Entry){.name = name}, &names->tree, by_name) : NULL;
    return found ? (*found)->number : -1;
}

void ls_names_free(LsNames *names)
{
    if (names)
        tdestroy(names->tree, ls_free);
    ls_free(names);
}
