/* Parity: at every step whether the ones so far are odd; as a label, whether all are. */
#include "data/rule.h"

#include <stdio.h>

static int64_t steps(const LsRuleSettings *s) { return s->length; }

static void fields(const LsRuleSettings *s, char *text, size_t room)
{
    (void)s;
    snprintf(text, room, "ids T of 2, tags T of 2, targets T of 2, label of 2");
}

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    int32_t odd = 0;
    for (int64_t t = 0; t < s->length; t++) {
        sample->ids[t] = (int32_t)ls_draw_below(draws, 2);
        sample->tags[t] = odd ^= sample->ids[t];
    }
    sample->label = odd;
}

extern const LsRule ls_rule_parity;
const LsRule ls_rule_parity = {
    .name = "parity",
    .takes = "length",
    .summary = "whether the ones so far are odd",
    .defaults = {.length = 32},
    .held_out = 1000,
    .steps = steps,
    .fields = fields,
    .make = make,
};
