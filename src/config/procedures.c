/* The list of training procedures. */
#include "lockstep/procedure.h"

#include "base/registry.h"

#define PROCEDURE(name) extern const LsProcedure ls_procedure_##name;
#include "lockstep/procedures.def"
#undef PROCEDURE

#define PROCEDURE(name) +1
enum {
    LISTED = 0
#include "lockstep/procedures.def"
};
#undef PROCEDURE

static const void *list[LISTED + LS_MAX_ADDED_PROCEDURES + 1] = {
#define PROCEDURE(name) &ls_procedure_##name,
#include "lockstep/procedures.def"
#undef PROCEDURE
};
static LsRegistry procedures = {"training procedure", list, LISTED, LS_MAX_ADDED_PROCEDURES, 0};

const LsProcedure *const *ls_procedures(void) { return (const LsProcedure *const *)(const void *)list; }

LsStatus ls_procedure_add(const LsProcedure *procedure) { return ls_registry_add(&procedures, procedure); }

const LsProcedure *ls_procedure_find(const char *name) { return ls_registry_find(&procedures, name); }

int ls_procedure_phases(const LsProcedure *procedure)
{
    int count = 0;
    while (procedure->phases[count].name)
        count++;
    return count;
}
