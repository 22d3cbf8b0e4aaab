/* The list of training procedures. */
#include "lockstep/procedure.h"

#include <string.h>

#define PROCEDURE(name) extern const LsProcedure ls_procedure_##name;
#include "lockstep/procedures.def"
#undef PROCEDURE

#define PROCEDURE(name) +1
enum {
    LISTED = 0
#include "lockstep/procedures.def"
};
#undef PROCEDURE

static const LsProcedure *procedures[LISTED + LS_MAX_ADDED_PROCEDURES + 1] = {
#define PROCEDURE(name) &ls_procedure_##name,
#include "lockstep/procedures.def"
#undef PROCEDURE
};
static int added;

const LsProcedure *const *ls_procedures(void) { return procedures; }

const LsProcedure *ls_procedure_find(const char *name)
{
    for (const LsProcedure *const *procedure = procedures; *procedure; procedure++)
        if (strcmp((*procedure)->name, name) == 0)
            return *procedure;
    return NULL;
}

int ls_procedure_phases(const LsProcedure *procedure)
{
    int count = 0;
    while (procedure->phases[count].name)
        count++;
    return count;
}

LsStatus ls_procedure_add(const LsProcedure *procedure)
{
    if (ls_procedure_find(procedure->name))
        return ls_fail(LS_USAGE, "there is a training procedure '%s' already", procedure->name);
    if (added == LS_MAX_ADDED_PROCEDURES)
        return ls_fail(LS_USAGE, "no room for the training procedure '%s': at most %d can be added", procedure->name,
                       LS_MAX_ADDED_PROCEDURES);
    procedures[LISTED + added++] = procedure;
    return LS_OK;
}
