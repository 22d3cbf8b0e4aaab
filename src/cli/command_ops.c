/* lockstep ops [NAME]: what models are built of. */
#include "cli/cli.h"
#include "config/nearest.h"
#include "graph/op_print.h"

#include <string.h>

typedef struct Options {
    bool json;
} Options;

static const LsOption options[] = {{LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")}, {{0}}};

static json_t *op_json(const LsOp *op)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:i}", "name", op->name, "formula", op->formula, "arguments",
                     ls_op_arguments(op->name), "has_gradient", op->backward != NULL, "has_reference",
                     op->reference != NULL, "in_place", op->in_place != 0, "cases", ls_op_cases(op));
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    LsIsa isa = LS_ISA_BASELINE;
    LS_TRY(ls_isa_choose(&isa));
    const LsOp *const *table = ls_op_table(LS_FLOAT32, isa);
    if (!call->operands) {
        if (!o->json) {
            ls_ops_print(stdout);
            return LS_OK;
        }
        json_t *list = json_array();
        for (const LsOp *const *op = table; *op; op++)
            json_array_append_new(list, op_json(*op));
        return ls_print_json(json_pack("{s:o}", "ops", list));
    }
    LsNearest near = ls_nearest_to(call->operand[0]);
    for (const LsOp *const *op = table; *op; op++) {
        if (strcmp((*op)->name, call->operand[0]) == 0)
            return o->json ? ls_print_json(op_json(*op)) : ls_op_print((*op)->name, stdout);
        ls_nearest_offer(&near, (*op)->name);
    }
    return ls_fail(LS_USAGE, "there is no op '%s'%s (lockstep ops lists them)", call->operand[0],
                   ls_nearest_hint(&near));
}

static const char *name_at(int index)
{
    const LsOp *const *op = ls_op_table(LS_FLOAT32, LS_ISA_BASELINE);
    while (*op && index-- > 0)
        op++;
    return *op ? (*op)->name : NULL;
}

const LsCommand ls_command_ops = {
    .name = "ops",
    .summary = "lists the ops that models are built of, or one op's shapes and cost",
    .operands = "[NAME]",
    .most = 1,
    .example = "lockstep ops selective_scan",
    .options = options,
    .options_bytes = sizeof(Options),
    .names = name_at,
    .run = run,
};
