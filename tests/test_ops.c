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

static void test_gradients(void) { each_case(ls_check_op_gradient); }
static void test_references(void) { each_case(ls_check_op_reference); }
static void test_builds(void) { each_case(ls_check_op_builds); }

static const LsOp *find(const char *name, LsPrecision precision)
{
    const LsOp *const *op = ls_op_table(precision, LS_ISA_BASELINE);
    while (*op && strcmp((*op)->name, name) != 0)
        op++;
    return *op;
}

/* An op of somebody else's program: one build a precision, known at every instruction set, once. */
static void test_added(void)
{
    const LsOp *relu[LS_PRECISIONS];
    LsOp own[LS_PRECISIONS];
    for (int i = 0; i < LS_PRECISIONS; i++) {
        relu[i] = find("relu", (LsPrecision)i);
        CU_ASSERT_PTR_NOT_NULL_FATAL(relu[i]);
        own[i] = *relu[i];
        own[i].name = "own_relu";
    }
    ASSERT_FAILS(ls_op_add(relu[LS_FLOAT32], relu[LS_BFLOAT16], relu[LS_FLOAT64]), LS_USAGE, "'relu'");
    ASSERT_FAILS(ls_op_add(&own[LS_FLOAT32], &own[LS_BFLOAT16], NULL), LS_USAGE, "own_relu");
    ASSERT_FAILS(ls_op_add(&own[LS_FLOAT32], relu[LS_BFLOAT16], &own[LS_FLOAT64]), LS_USAGE, "own_relu");
    ASSERT_FAILS(ls_op_check("own_relu"), LS_USAGE, "own_relu");
    ASSERT_OK(ls_op_add(&own[LS_FLOAT32], &own[LS_BFLOAT16], &own[LS_FLOAT64]));
    for (int isa = 0; isa <= (int)LS_ISA_V4_BF16; isa++) {
        const LsOp *const *op = ls_op_table(LS_BFLOAT16, (LsIsa)isa);
        while (*op && *op != &own[LS_BFLOAT16])
            op++;
        CU_ASSERT_PTR_NOT_NULL(*op);
    }
    ASSERT_OK(ls_op_check("own_relu"));
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    return harness_run("ops", (HarnessTest[]){{"gradients against central differences", test_gradients},
                                              {"fast against plain", test_references},
                                              {"every build against double", test_builds},
                                              {"an op that is added", test_added},
                                              {0}});
}
