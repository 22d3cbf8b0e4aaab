/* Ops as text: all of them, or one with its cases. */
#include "graph/op_print.h"

#include <string.h>

const char *ls_op_arguments(const char *name)
{
    static const struct {
        const char *name, *arguments;
    } builders[] = {
#define OP(name, arguments) {#name, #arguments},
#include "lockstep/ops.def"
#undef OP
    };
    for (size_t i = 0; i < LS_COUNT_OF(builders); i++)
        if (strcmp(builders[i].name, name) == 0)
            return builders[i].arguments;
    return NULL;
}

int ls_op_cases(const LsOp *op)
{
    LsParams *params = ls_params_new();
    int cases = 0;
    for (bool more = params != NULL; more;) {
        LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
        more = g && op->cases && op->cases(g, cases);
        cases += more;
        ls_graph_free(g);
    }
    ls_params_free(params);
    return cases;
}

/* Builds the op's case number `which` in a mode and prints its shapes and the cost of its forward pass. */
static LsStatus print_case_in(const LsOp *op, int which, LsMode mode, FILE *file)
{
    LsStatus status = LS_OK;
    LsGraph *g = NULL;
    LsParams *params = ls_params_new();
    if (!params)
        return LS_RESOURCE;
    g = ls_graph_new(params, &(LsGraphOptions){.mode = mode, .int8_weights = mode == LS_DECODE});
    if (!g) {
        status = ls_message_status();
        goto cleanup;
    }
    if (!op->cases(g, which)) {
        status = ls_fail(LS_ERROR, "%s has no case %d", op->name, which);
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_graph_plan_dry(g));
    LsCost cost = ls_graph_cost(g);
    fprintf(file, "\ncase %d: forward %.0f flops, %.0f bytes\n", which, cost.flops, cost.bytes);
    ls_graph_print(g, file);
cleanup:
    ls_graph_free(g);
    ls_params_free(params);
    return status;
}

/* Cases with states, and those of 8-bit weights, are for decoding only. */
static LsStatus print_case(const LsOp *op, int which, FILE *file)
{
    return print_case_in(op, which, LS_EVAL, file) == LS_OK ? LS_OK : print_case_in(op, which, LS_DECODE, file);
}

static const LsOp *find_op(const char *name)
{
    const LsOp *const *op = ls_op_table(LS_FLOAT32, LS_ISA_BASELINE);
    while (*op && strcmp((*op)->name, name) != 0)
        op++;
    return *op;
}

void ls_ops_print(FILE *file)
{
    for (const LsOp *const *op = ls_op_table(LS_FLOAT32, LS_ISA_BASELINE); *op; op++)
        fprintf(file, "%-20s %s\n", (*op)->name, (*op)->formula);
}

LsStatus ls_op_print(const char *name, FILE *file)
{
    const LsOp *op = find_op(name);
    if (!op)
        return ls_fail(LS_USAGE, "there is no op '%s'", name);
    const char *arguments = ls_op_arguments(name);
    fprintf(file, "%s\n  %s\n\n", op->name, op->formula);
    if (arguments)
        fprintf(file, "ls_%s%s\n\n", op->name, arguments);
    fprintf(file, "gradient: %s; plain reference: %s; works in place: %s\n", op->backward ? "yes" : "no",
            op->reference ? "yes" : "no", op->in_place ? "yes" : "no");
    fprintf(file, "cases that it is checked and timed with:\n");
    int cases = ls_op_cases(op);
    for (int which = 0; which < cases; which++)
        LS_TRY(print_case(op, which, file));
    return LS_OK;
}
