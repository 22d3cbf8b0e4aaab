/* A sine of a period from 16 to 64 steps and any phase, seen with normal noise of standard deviation `noise`; its next
 * `horizon` values are asked for without it. */
#include "data/rule.h"

#include <math.h>
#include <stdio.h>

static int64_t steps(const LsRuleSettings *s) { return s->length; }

static void fields(const LsRuleSettings *s, char *text, size_t room)
{
    snprintf(text, room, "values Tx1, target %lld", (long long)s->horizon);
}

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    double period = 16 + 48 * ls_draw_uniform(draws), phase = ls_draw_uniform(draws);
    for (int64_t t = 0; t < s->length + s->horizon; t++) {
        double y = sin(2 * M_PI * ((double)t / period + phase));
        if (t < s->length)
            sample->values[t] = (float)(y + s->noise * ls_draw_normal(draws));
        else
            sample->target[t - s->length] = (float)y;
    }
}

extern const LsRule ls_rule_sine;
const LsRule ls_rule_sine = {
    .name = "sine",
    .takes = "length|horizon|noise",
    .summary = "what comes after a sine with noise",
    .defaults = {.length = 100, .horizon = 1},
    .held_out = 1000,
    .steps = steps,
    .fields = fields,
    .columns = 1,
    .make = make,
};
