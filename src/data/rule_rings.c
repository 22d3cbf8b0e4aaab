/* A ring of Gaussians in the plane, on which it shows whether a generator finds all modes of what it imitates. */
#include "data/rule.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static void center_of(const LsRuleSettings *s, int64_t mode, double center[2])
{
    double angle = 2 * M_PI * (double)mode / (double)s->modes;
    center[0] = s->radius * cos(angle);
    center[1] = s->radius * sin(angle);
}

static void make(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample)
{
    uint32_t block[4];
    double center[2];
    ls_philox(draws->key, draws->sample, 0, block);
    center_of(s, (int64_t)((uint64_t)block[0] * (uint64_t)s->modes >> 32), center);
    for (int i = 0; i < 2; i++)
        sample->values[i] =
            (float)(center[i] + s->sigma * (double)ls_normal_at(draws->key, draws->sample, 4 + (uint64_t)i));
}

static void fields(const LsRuleSettings *s, char *text, size_t room)
{
    (void)s;
    snprintf(text, room, "values 2");
}

static json_t *info(const LsRuleSettings *s)
{
    json_t *modes = json_array();
    for (int64_t k = 0; k < s->modes; k++) {
        double center[2];
        center_of(s, k, center);
        json_array_append_new(modes, json_pack("[f, f]", center[0], center[1]));
    }
    return json_pack("{s:o, s:f}", "modes", modes, "sigma", s->sigma);
}

extern const LsRule ls_rule_rings;
const LsRule ls_rule_rings = {
    .name = "rings",
    .takes = "modes|radius|sigma",
    .summary = "points near a ring of Gaussians",
    .held_out = 10000,
    .fields = fields,
    .columns = 2,
    .make = make,
    .info = info,
};
