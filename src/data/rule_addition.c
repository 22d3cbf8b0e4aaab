/* Addition of two numbers of `length` digits, in the base `symbols`: "a + b = c", each number from its lowest digit on,
 * c with one digit more. From the equals sign on every step is to say the digit after it. Ids: the digits, plus,
 * equals. */
#include "data/rule.h"

static int64_t steps(const LsRuleSettings *s) { return 3 * s->length + 2; }

static void fields(const LsRuleSettings *s, char *text, size_t room) { ls_rule_id_fields(s->symbols + 2, text, room); }

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    int64_t n = s->length, second = n + 1, sum = 2 * n + 2, carry = 0;
    sample->ids[n] = (int32_t)s->symbols;
    sample->ids[sum - 1] = (int32_t)s->symbols + 1;
    for (int64_t i = 0; i <= n; i++) {
        if (i < n) {
            sample->ids[i] = (int32_t)ls_draw_below(draws, s->symbols);
            sample->ids[second + i] = (int32_t)ls_draw_below(draws, s->symbols);
            carry += sample->ids[i] + sample->ids[second + i];
        }
        sample->tags[sum - 1 + i] = (int32_t)(carry % s->symbols);
        if (i < n)
            sample->ids[sum + i] = (int32_t)(carry % s->symbols);
        carry /= s->symbols;
    }
}

extern const LsRule ls_rule_addition;
const LsRule ls_rule_addition = {
    .name = "addition",
    .takes = "length|symbols",
    .summary = "the digits of the sum of two numbers",
    .defaults = {.length = 4, .symbols = 10},
    .held_out = 1000,
    .steps = steps,
    .fields = fields,
    .make = make,
};
