/* The list of kinds of data sets. */
#include "lockstep/data.h"

#define LS_LIST_FILE "lockstep/data_kinds.def"
#define DATA_KIND LS_LIST_ENTRY
#define LS_LIST_TYPE LsDataKind
#define LS_LIST_SYMBOL(name) ls_data_kind_##name
#define LS_LIST_WHAT "kind of data"
#define LS_LIST_ROOM LS_MAX_ADDED_DATA_KINDS
#include "base/registry_list.h"

const LsDataKind *const *ls_data_kinds(void) { return (const LsDataKind *const *)(const void *)members; }

LsStatus ls_data_kind_add(const LsDataKind *kind) { return ls_registry_add(&registry, kind); }

const LsDataKind *ls_data_kind(const char *name)
{
    char names[256];
    const LsDataKind *kind = ls_registry_find(&registry, name);
    ls_registry_names(&registry, names, sizeof names);
    if (!kind)
        ls_fail(LS_USAGE, "there is no kind of data '%s'; there are: %s", name, names);
    return kind;
}
