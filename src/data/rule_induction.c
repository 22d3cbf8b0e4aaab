/* Induction heads (Olsson et al. 2022; as Gu and Dao 2023, "Mamba", section 4.1.2, have it): somewhere in `length`
 * symbols a mark, and at the end the mark again: what came after it is to be said. Ids: the symbols, the mark. */
#include "data/rule.h"

static LsStatus check(const LsRuleSettings *s)
{
    return s->length >= 3 ? LS_OK : ls_fail(LS_USAGE, "data.length: the rule induction needs 3 steps at least");
}

static int64_t steps(const LsRuleSettings *s) { return s->length; }

static void fields(const LsRuleSettings *s, char *text, size_t room) { ls_rule_id_fields(s->symbols + 1, text, room); }

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    int64_t last = s->length - 1, mark = ls_draw_below(draws, last - 1);
    for (int64_t t = 0; t < last; t++)
        sample->ids[t] = (int32_t)ls_draw_below(draws, s->symbols);
    sample->ids[mark] = sample->ids[last] = (int32_t)s->symbols;
    sample->tags[last] = sample->ids[mark + 1];
}

extern const LsRule ls_rule_induction;
const LsRule ls_rule_induction = {
    .name = "induction",
    .takes = "length|symbols",
    .summary = "what came after a mark, when the mark comes again",
    .defaults = {.length = 256, .symbols = 15},
    .held_out = 1000,
    .check = check,
    .steps = steps,
    .fields = fields,
    .make = make,
};
