/* The list of training procedures. */
#include "lockstep/procedure.h"

#define LS_LIST_FILE "lockstep/procedures.def"
#define PROCEDURE LS_LIST_ENTRY
#define LS_LIST_TYPE LsProcedure
#define LS_LIST_SYMBOL(name) ls_procedure_##name
#define LS_LIST_WHAT "training procedure"
#define LS_LIST_ROOM LS_MAX_ADDED_PROCEDURES
#include "base/registry_list.h"

const LsProcedure *const *ls_procedures(void) { return (const LsProcedure *const *)(const void *)members; }

LsStatus ls_procedure_add(const LsProcedure *procedure) { return ls_registry_add(&registry, procedure); }

const LsProcedure *ls_procedure_find(const char *name) { return ls_registry_find(&registry, name); }

int ls_procedure_phases(const LsProcedure *procedure)
{
    int count = 0;
    while (procedure->phases[count].name)
        count++;
    return count;
}
