/* Supervised training: all parameters learn from the task's loss. */
#include "lockstep/procedure.h"

static const LsPhase phases[] = {{.name = "learning"}, {0}};

extern const LsProcedure ls_procedure_supervised;
const LsProcedure ls_procedure_supervised = {
    .name = "supervised",
    .summary = "all parameters learn from the task's loss",
    .phases = phases,
};
