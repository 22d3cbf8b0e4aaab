/* The adding problem (Hochreiter and Schmidhuber 1997): numbers from [0, 1), of which one in the first half and one in
 * the second are marked; their sum is asked for. Who says 1 is off by 1/6 in the mean square. */
#include "data/rule.h"

#include <stdio.h>

static LsStatus check(const LsRuleSettings *s)
{
    return s->length >= 2 ? LS_OK : ls_fail(LS_USAGE, "data.length: the rule adding needs 2 steps at least");
}

static int64_t steps(const LsRuleSettings *s) { return s->length; }

static void fields(const LsRuleSettings *s, char *text, size_t room)
{
    (void)s;
    snprintf(text, room, "values Tx2, target 1");
}

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    int64_t half = s->length / 2,
            marked[2] = {ls_draw_below(draws, half), half + ls_draw_below(draws, s->length - half)};
    for (int64_t t = 0; t < s->length; t++) {
        sample->values[2 * t] = (float)ls_draw_uniform(draws);
        sample->values[2 * t + 1] = 0;
    }
    sample->target[0] = 0;
    for (int i = 0; i < 2; i++) {
        sample->values[2 * marked[i] + 1] = 1;
        sample->target[0] += sample->values[2 * marked[i]];
    }
}

extern const LsRule ls_rule_adding;
const LsRule ls_rule_adding = {
    .name = "adding",
    .takes = "length",
    .summary = "the sum of two marked numbers among so many",
    .defaults = {.length = 100},
    .held_out = 1000,
    .check = check,
    .steps = steps,
    .fields = fields,
    .columns = 2,
    .make = make,
};
