/* lockstep ops [NAME]: what models are built of. */
#include "cli/cli.h"
#include "config/nearest.h"
#include "lockstep/op.h"

#include <string.h>

typedef struct Options {
    bool json;
} Options;

static const LsOption options[] = {{LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")}, {{0}}};

/* Builders' arguments, from the list of ops. */
static const char *builder(const char *name)
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
    return "()";
}

static int count_cases(const LsOp *op)
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
static LsStatus print_case_in(const LsOp *op, int which, LsMode mode)
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
    printf("\ncase %d: forward %.0f flops, %.0f bytes\n", which, cost.flops, cost.bytes);
    ls_graph_print(g, stdout);
cleanup:
    ls_graph_free(g);
    ls_params_free(params);
    return status;
}

/* Cases with states, and those of 8-bit weights, are for decoding only. */
static LsStatus print_case(const LsOp *op, int which)
{
    return print_case_in(op, which, LS_EVAL) == LS_OK ? LS_OK : print_case_in(op, which, LS_DECODE);
}

static json_t *op_json(const LsOp *op)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:i}", "name", op->name, "formula", op->formula, "arguments",
                     builder(op->name), "has_gradient", op->backward != NULL, "has_reference", op->reference != NULL,
                     "in_place", op->in_place != 0, "cases", count_cases(op));
}

static LsStatus print_one(const LsOp *op)
{
    printf("%s\n  %s\n\nls_%s%s\n\n", op->name, op->formula, op->name, builder(op->name));
    printf("gradient: %s; plain reference: %s; works in place: %s\n", op->backward ? "yes" : "no",
           op->reference ? "yes" : "no", op->in_place ? "yes" : "no");
    printf("cases that it is checked and timed with:\n");
    int cases = count_cases(op);
    for (int which = 0; which < cases; which++)
        LS_TRY(print_case(op, which));
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    LsIsa isa = LS_ISA_BASELINE;
    LS_TRY(ls_isa_choose(&isa));
    const LsOp *const *table = ls_op_table(LS_FLOAT32, isa);
    if (!call->operands) {
        json_t *list = json_array();
        for (const LsOp *const *op = table; *op; op++) {
            if (o->json)
                json_array_append_new(list, op_json(*op));
            else
                printf("%-20s %s\n", (*op)->name, (*op)->formula);
        }
        if (o->json)
            return ls_print_json(json_pack("{s:o}", "ops", list));
        json_decref(list);
        return LS_OK;
    }
    LsNearest near = ls_nearest_to(call->operand[0]);
    for (const LsOp *const *op = table; *op; op++) {
        if (strcmp((*op)->name, call->operand[0]) == 0)
            return o->json ? ls_print_json(op_json(*op)) : print_one(*op);
        ls_nearest_offer(&near, (*op)->name);
    }
    return ls_fail(LS_USAGE, "there is no op '%s'%s (lockstep ops lists them)", call->operand[0],
                   ls_nearest_hint(near.best));
}

const LsCommand ls_command_ops = {
    .name = "ops",
    .summary = "lists the ops that models are built of, or one op's shapes and cost",
    .operands = "[NAME]",
    .most = 1,
    .example = "lockstep ops selective_scan",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
