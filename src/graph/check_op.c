/* All checks of an op's cases, for tests and for programs that bring an op. */
#include "graph/check.h"

#include <string.h>

/* Elements of each input and parameter whose gradient is compared with central differences. */
#define GRADIENT_SAMPLES 40

LsStatus ls_check_op_gradient(const LsSubject *subject, const LsOp *op)
{
    (void)op;
    return ls_check_gradient(subject, GRADIENT_SAMPLES);
}

LsStatus ls_check_op_reference(const LsSubject *subject, const LsOp *op)
{
    return op->reference ? ls_check_reference(subject) : LS_OK;
}

LsStatus ls_check_op_builds(const LsSubject *subject, const LsOp *op)
{
    LsIsa best;
    LS_TRY(ls_isa_choose(&best));
    double tolerance = op->tolerance > 0 ? op->tolerance : 64;
    LS_TRY(ls_check_builds(subject, LS_FLOAT32, best, tolerance, 0));
    return ls_check_builds(subject, LS_BFLOAT16, best, tolerance, op->bf16_ulps);
}

LsStatus ls_op_check(const char *name)
{
    const LsOp *const *op = ls_op_table(LS_FLOAT64, LS_ISA_BASELINE);
    while (*op && strcmp((*op)->name, name) != 0)
        op++;
    if (!*op)
        return ls_fail(LS_USAGE, "there is no op '%s'", name);
    LsOpCase self;
    LsSubject subject;
    int which = 0;
    for (; ls_subject_of_case(*op, which, &self, &subject); which++) {
        LS_TRY(ls_check_op_gradient(&subject, *op));
        LS_TRY(ls_check_op_reference(&subject, *op));
        LS_TRY(ls_check_op_builds(&subject, *op));
    }
    return which > 0 ? LS_OK : ls_fail(LS_USAGE, "the op %s has no cases that it could be checked by", name);
}
