/* Every op's list of cases through the gradient check, the comparison with the plain reference, and the comparison of
 * every build with double. A new op is covered by being in the list. */
#include "harness.h"
#include "graph/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs `check` on every case of every op (or of those named on the command line); each failure is printed. */
static const char *only;

static void each_case(LsStatus (*check)(const LsSubject *subject, const LsOp *op))
{
    int cases = 0;
    for (const LsOp *const *op = ls_op_table(LS_FLOAT64, LS_ISA_BASELINE); *op; op++) {
        if (only && strcmp(only, (*op)->name) != 0)
            continue;
        LsOpCase self;
        LsSubject subject;
        int which = 0;
        for (; ls_subject_of_case(*op, which, &self, &subject); which++, cases++) {
            LsStatus status = check(&subject, *op);
            if (status != LS_OK)
                fprintf(stderr, "%s\n", ls_message());
            CU_ASSERT_EQUAL(status, LS_OK);
        }
        if (which == 0)
            fprintf(stderr, "%s: no cases\n", (*op)->name);
        CU_ASSERT(which > 0);
    }
    CU_ASSERT(cases > 0);
}

static LsStatus gradient(const LsSubject *subject, const LsOp *op)
{
    (void)op;
    return ls_check_gradient(subject, 40);
}

static LsStatus reference(const LsSubject *subject, const LsOp *op)
{
    return op->reference ? ls_check_reference(subject) : LS_OK;
}

static LsStatus builds(const LsSubject *subject, const LsOp *op)
{
    LsIsa best;
    LS_TRY(ls_isa_choose(&best));
    double tolerance = op->tolerance > 0 ? op->tolerance : 64;
    for (int isa = 0; isa <= (int)best; isa++) {
        LS_TRY(ls_check_build(subject, LS_FLOAT32, (LsIsa)isa, tolerance, 0));
        LS_TRY(ls_check_build(subject, LS_BFLOAT16, (LsIsa)isa, tolerance, op->bf16_ulps));
    }
    return LS_OK;
}

static void test_gradients(void) { each_case(gradient); }
static void test_references(void) { each_case(reference); }
static void test_builds(void) { each_case(builds); }

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    return harness_run("ops", (HarnessTest[]){{"gradients against central differences", test_gradients},
                                              {"fast against plain", test_references},
                                              {"every build against double", test_builds},
                                              {0}});
}
