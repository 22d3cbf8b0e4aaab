/* The tables of ops, one for each build of cmake/ops.cmake, all from the one list in ops.def; a program may add to
 * them. */
#include "lockstep/op.h"

#include "base/registry.h"

#include <string.h>

/* Made by cmake/ops.cmake: LS_LISTED_OPS; for each build a table, with room behind it; and LS_BUILDS, all of them. */
#include "op_tables.h"

static struct {
    LsPrecision precision;
    LsIsa isa;
    LsRegistry ops;
} builds[] = {LS_BUILDS};

const LsOp *const *ls_op_table(LsPrecision precision, LsIsa isa)
{
    const void *best = NULL;
    int best_isa = -1;
    for (size_t i = 0; i < LS_COUNT_OF(builds); i++)
        if (builds[i].precision == precision && builds[i].isa <= isa && (int)builds[i].isa > best_isa) {
            best = builds[i].ops.member;
            best_isa = (int)builds[i].isa;
        }
    return best;
}

LsStatus ls_op_add(const LsOp *float32, const LsOp *bfloat16, const LsOp *float64)
{
    const LsOp *const build[LS_PRECISIONS] = {[LS_FLOAT32] = float32, [LS_BFLOAT16] = bfloat16, [LS_FLOAT64] = float64};
    for (int i = 0; i < LS_PRECISIONS; i++)
        if (!build[i] || !build[i]->name || strcmp(build[i]->name, build[0]->name) != 0)
            return ls_fail(LS_USAGE, "the op %s has not a build of its name for float, bfloat16 and double each",
                           float32 && float32->name ? float32->name : "that is added");
    for (size_t i = 0; i < LS_COUNT_OF(builds); i++)
        LS_TRY(ls_registry_add(&builds[i].ops, build[builds[i].precision]));
    return LS_OK;
}
