/* Associative recall with several questions (MQAR; Arora et al. 2023, "Zoology"): `items` keys with a value behind
 * each, then in any order and at any of the other steps every key once, at which its value is to be said. Ids: keys 0
 * .. symbols - 1, as many values, and a filler. */
#include "data/rule.h"

static LsStatus check(const LsRuleSettings *s)
{
    if (s->items > s->symbols)
        return ls_fail(LS_USAGE, "data.items: there are %lld keys, data.symbols, for %lld pairs", (long long)s->symbols,
                       (long long)s->items);
    return s->length >= 3 * s->items ? LS_OK
                                     : ls_fail(LS_USAGE, "data.length: %lld pairs and their questions need %lld steps",
                                               (long long)s->items, 3 * (long long)s->items);
}

static int64_t steps(const LsRuleSettings *s) { return s->length; }

static void fields(const LsRuleSettings *s, char *text, size_t room)
{
    ls_rule_id_fields(2 * s->symbols + 1, text, room);
}

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    uint64_t keys = ls_draw_order(draws), places = ls_draw_order(draws);
    int64_t asked = 2 * s->items; /* step of the first that may ask */
    for (int64_t t = asked; t < s->length; t++)
        sample->ids[t] = (int32_t)(2 * s->symbols);
    for (int64_t i = 0; i < s->items; i++) {
        int32_t key = (int32_t)ls_draw_permuted(keys, s->symbols, i),
                value = (int32_t)(s->symbols + ls_draw_below(draws, s->symbols));
        int64_t at = asked + ls_draw_permuted(places, s->length - asked, i);
        sample->ids[2 * i] = sample->ids[at] = key;
        sample->ids[2 * i + 1] = sample->tags[at] = value;
    }
}

extern const LsRule ls_rule_recall;
const LsRule ls_rule_recall = {
    .name = "recall",
    .takes = "length|items|symbols",
    .summary = "the values of keys that come again",
    .defaults = {.length = 64, .items = 4, .symbols = 32},
    .held_out = 1000,
    .check = check,
    .steps = steps,
    .fields = fields,
    .make = make,
};
