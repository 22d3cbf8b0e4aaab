/* Copy memory (Hochreiter and Schmidhuber 1997; Arjovsky et al. 2016, "Unitary evolution recurrent neural networks"):
 * `items` symbols, `length` - 1 blanks, a mark, and as many blanks as there were symbols, at which these are to be said
 * in their order. Ids: the symbols, the blank, the mark. */
#include "data/rule.h"

static int64_t steps(const LsRuleSettings *s) { return s->length + 2 * s->items; }

static void fields(const LsRuleSettings *s, char *text, size_t room) { ls_rule_id_fields(s->symbols + 2, text, room); }

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    int64_t first = s->items + s->length; /* step of the first answer */
    for (int64_t t = 0; t < first + s->items; t++)
        sample->ids[t] = (int32_t)s->symbols;
    sample->ids[first - 1] = (int32_t)s->symbols + 1;
    for (int64_t i = 0; i < s->items; i++)
        sample->ids[i] = sample->tags[first + i] = (int32_t)ls_draw_below(draws, s->symbols);
}

extern const LsRule ls_rule_copy;
const LsRule ls_rule_copy = {
    .name = "copy",
    .takes = "length|items|symbols",
    .summary = "symbols to be said again after so many steps",
    .defaults = {.length = 100, .items = 10, .symbols = 8},
    .held_out = 1000,
    .steps = steps,
    .fields = fields,
    .make = make,
};
