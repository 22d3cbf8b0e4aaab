/* The list of kinds of data sets. */
#include "lockstep/data.h"

#include <stdio.h>
#include <string.h>

#define DATA_KIND(name) extern const LsDataKind ls_data_kind_##name;
#include "lockstep/data_kinds.def"
#undef DATA_KIND

#define DATA_KIND(name) +1
enum {
    LISTED = 0
#include "lockstep/data_kinds.def"
};
#undef DATA_KIND

static const LsDataKind *kinds[LISTED + LS_MAX_ADDED_DATA_KINDS + 1] = {
#define DATA_KIND(name) &ls_data_kind_##name,
#include "lockstep/data_kinds.def"
#undef DATA_KIND
};
static int added;

const LsDataKind *const *ls_data_kinds(void) { return kinds; }

const LsDataKind *ls_data_kind(const char *name)
{
    char names[256] = "";
    for (const LsDataKind *const *kind = kinds; *kind; kind++) {
        if (strcmp((*kind)->name, name) == 0)
            return *kind;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", (*kind)->name);
    }
    ls_fail(LS_USAGE, "there is no kind of data '%s'; there are: %s", name, names);
    return NULL;
}

LsStatus ls_data_kind_add(const LsDataKind *kind)
{
    for (const LsDataKind *const *other = kinds; *other; other++)
        if (strcmp((*other)->name, kind->name) == 0)
            return ls_fail(LS_USAGE, "there is a kind of data '%s' already", kind->name);
    if (added == LS_MAX_ADDED_DATA_KINDS)
        return ls_fail(LS_USAGE, "no room for the kind of data '%s': at most %d can be added", kind->name,
                       LS_MAX_ADDED_DATA_KINDS);
    kinds[LISTED + added++] = kind;
    return LS_OK;
}
