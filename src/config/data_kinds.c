/* The list of kinds of data sets. */
#include "lockstep/data.h"

#include "base/registry.h"

#define DATA_KIND(name) extern const LsDataKind ls_data_kind_##name;
#include "lockstep/data_kinds.def"
#undef DATA_KIND

#define DATA_KIND(name) +1
enum {
    LISTED = 0
#include "lockstep/data_kinds.def"
};
#undef DATA_KIND

static const void *list[LISTED + LS_MAX_ADDED_DATA_KINDS + 1] = {
#define DATA_KIND(name) &ls_data_kind_##name,
#include "lockstep/data_kinds.def"
#undef DATA_KIND
};
static LsRegistry kinds = {"kind of data", list, LISTED, LS_MAX_ADDED_DATA_KINDS, 0};

const LsDataKind *const *ls_data_kinds(void) { return (const LsDataKind *const *)(const void *)list; }

LsStatus ls_data_kind_add(const LsDataKind *kind) { return ls_registry_add(&kinds, kind); }

const LsDataKind *ls_data_kind(const char *name)
{
    char names[256];
    const LsDataKind *kind = ls_registry_find(&kinds, name);
    ls_registry_names(&kinds, names, sizeof names);
    if (!kind)
        ls_fail(LS_USAGE, "there is no kind of data '%s'; there are: %s", name, names);
    return kind;
}
