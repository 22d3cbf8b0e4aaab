/* The tables of ops, one for each build of cmake/ops.cmake, all from the one list in ops.def. */
#include "lockstep/op.h"

#include "op_tables.h" /* made by cmake/ops.cmake: for each build a table table<suffix>, and the list LS_BUILDS of them */

const LsOp *const *ls_op_table(LsPrecision precision, LsIsa isa)
{
    static const struct {
        LsPrecision precision;
        LsIsa isa;
        const LsOp *const *table;
    } builds[] = {LS_BUILDS};
    const LsOp *const *best = NULL;
    int best_isa = -1;
    for (size_t i = 0; i < LS_COUNT_OF(builds); i++)
        if (builds[i].precision == precision && builds[i].isa <= isa && (int)builds[i].isa > best_isa) {
            best = builds[i].table;
            best_isa = (int)builds[i].isa;
        }
    return best;
}
