/* Selective copying (Gu and Dao 2023, "Mamba", section 4.1.1): `items` symbols at any of `length` steps, noise at the
 * others, then as many marks, at which the symbols are to be said in their order. Ids: the symbols, the noise, the
 * mark. */
#include "data/rule.h"

static LsStatus check(const LsRuleSettings *s)
{
    return s->items <= s->length ? LS_OK
                                 : ls_fail(LS_USAGE, "data.items: %lld symbols do not fit into data.length: %lld steps",
                                           (long long)s->items, (long long)s->length);
}

static int64_t steps(const LsRuleSettings *s) { return s->length + s->items; }

static void fields(const LsRuleSettings *s, char *text, size_t room) { ls_rule_id_fields(s->symbols + 2, text, room); }

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    const int32_t noise = (int32_t)s->symbols, taken = noise + 1;
    uint64_t order = ls_draw_order(draws);
    for (int64_t t = 0; t < s->length; t++)
        sample->ids[t] = noise;
    for (int64_t i = 0; i < s->items; i++)
        sample->ids[ls_draw_permuted(order, s->length, i)] = taken;
    for (int64_t t = 0, answer = s->length; t < s->length; t++)
        if (sample->ids[t] == taken)
            sample->ids[t] = sample->tags[answer++] = (int32_t)ls_draw_below(draws, s->symbols);
    for (int64_t i = 0; i < s->items; i++)
        sample->ids[s->length + i] = taken;
}

extern const LsRule ls_rule_selective_copy;
const LsRule ls_rule_selective_copy = {
    .name = "selective_copy",
    .takes = "length|items|symbols",
    .summary = "symbols among noise to be said again",
    .defaults = {.length = 256, .items = 16, .symbols = 14},
    .held_out = 1000,
    .check = check,
    .steps = steps,
    .fields = fields,
    .make = make,
};
