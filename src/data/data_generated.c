/* Tasks made by rule as a kind of data without files. Sample n of a split is a function of (seed, split, n), and of the
 * settings; so a model may be trained at one length and evaluated at another. */
#include "base/text.h"
#include "data/rule.h"
#include "data/sample_source.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LS_LIST_FILE "data/rules.def"
#define RULE LS_LIST_ENTRY
#define LS_LIST_TYPE LsRule
#define LS_LIST_SYMBOL(name) ls_rule_##name
#define LS_LIST_WHAT "rule"
#define LS_LIST_ROOM 0
#include "base/registry_list.h"
#undef RULE

#define RULE(name) "|" #name
static const char names[] =
#include "data/rules.def"
    ;
#undef RULE

#define MOST_STEPS ((int64_t)1 << 30)

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(LsRuleSettings, rule, "rings", names + 1, "how samples are made (docs/data.md has each)"),
    LS_SETTING_INT(LsRuleSettings, length, "0", 0, 1 << 28,
                   "steps that a sample goes on for; its rule says which they are; 0: as the rule has it"),
    LS_SETTING_INT(LsRuleSettings, items, "0", 0, 1 << 20, "symbols or pairs to be remembered; 0: as the rule has it"),
    LS_SETTING_INT(LsRuleSettings, symbols, "0", 0, 1 << 20, "symbols there are; 0: as the rule has it"),
    LS_SETTING_INT(LsRuleSettings, horizon, "0", 0, 1 << 16, "numbers to be said ahead; 0: as the rule has it"),
    LS_SETTING_INT(LsRuleSettings, held_out, "0", 0, 1 << 30, "samples of an evaluation; 0: as the rule has it"),
    LS_SETTING_FLOAT(LsRuleSettings, noise, "0.1", 0, 1e6, "rule sine: standard deviation of the noise"),
    LS_SETTING_INT(LsRuleSettings, modes, "8", 1, 15, "rule rings: Gaussians, evenly on a circle around the origin"),
    LS_SETTING_FLOAT(LsRuleSettings, radius, "2", 0, 1e6, "rule rings: of the circle"),
    LS_SETTING_FLOAT(LsRuleSettings, sigma, "0.02", 0, 1e6,
                     "rule rings: standard deviation of each Gaussian, in both directions"),
    {0}};

/* ---- Drawing ----------------------------------------------------------------------------------------------------- */

static uint32_t next(LsDraws *draws)
{
    if (draws->left == 0) {
        ls_philox(draws->key, draws->sample, draws->counter++, draws->block);
        draws->left = 4;
    }
    return draws->block[--draws->left];
}

int64_t ls_draw_below(LsDraws *draws, int64_t below)
{
    if (below <= UINT32_MAX)
        return (int64_t)((uint64_t)next(draws) * (uint64_t)below >> 32);
    return (int64_t)(((uint64_t)next(draws) << 31 ^ next(draws)) % (uint64_t)below);
}

double ls_draw_uniform(LsDraws *draws) { return (double)(next(draws) >> 8) * 0x1p-24; }

/* Box and Muller. */
double ls_draw_normal(LsDraws *draws)
{
    double u = 1 - ls_draw_uniform(draws), v = ls_draw_uniform(draws);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

uint64_t ls_draw_order(LsDraws *draws) { return (uint64_t)next(draws) << 32 | next(draws); }

int64_t ls_draw_permuted(uint64_t order, int64_t count, int64_t index) { return ls_permute(order, count, index); }

void ls_rule_id_fields(int64_t vocabulary, char *text, size_t room)
{
    long long n = (long long)vocabulary;
    snprintf(text, room, "ids T of %lld, tags T of %lld, targets T of %lld", n, n, n);
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

typedef struct Generated {
    LsSource base;
    const LsRule *rule;
    LsRuleSettings settings; /* without zeros */
    uint64_t key;
    int64_t steps, targets; /* 1 where samples have no steps; of the field "target" */
    LsRuleSample sample;
    int64_t made; /* number of the sample that is in it; -1: none */
    char *info;
} Generated;

static void make(Generated *s, int64_t number)
{
    if (s->made == number)
        return;
    for (int64_t t = 0; s->sample.tags && t < s->steps; t++)
        s->sample.tags[t] = LS_IGNORE;
    s->rule->make(&s->settings, &(LsDraws){.key = s->key, .sample = (uint64_t)number}, &s->sample);
    s->made = number;
}

/* Numbers of a field of whole numbers: steps `from` on into row b; past the end, or of no sample, `filler`. */
static void fill_numbers(const LsTensor *x, int64_t b, const int32_t *from, int64_t there, int32_t filler)
{
    int64_t row = x->count / x->dim[0];
    int32_t *to = (int32_t *)x->data + b * row;
    for (int64_t t = 0; t < row; t++)
        to[t] = t < there ? from[t] : filler;
}

static void fill_values(LsGraph *g, LsTensor *x, int64_t b, const float *from, int64_t there, float filler)
{
    int64_t row = x->count / x->dim[0];
    there = there < row ? there : row;
    if (there > 0)
        ls_tensor_set_part(g, x, b * row, there, from);
    for (int64_t t = there > 0 ? there : 0; t < row; t++)
        ls_tensor_set_part(g, x, b * row + t, 1, &filler);
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    Generated *s = (Generated *)source;
    LsTensor *ids = NULL, *tags = NULL, *targets = NULL, *values = NULL, *target = NULL, *label = NULL;
    LS_TRY(ls_sample_input(g, "ids", batch->count, 0, &ids));
    LS_TRY(ls_sample_input(g, "tags", batch->count, 0, &tags));
    LS_TRY(ls_sample_input(g, "targets", batch->count, 0, &targets));
    LS_TRY(ls_sample_input(g, "values", batch->count, 0, &values));
    LS_TRY(ls_sample_input(g, "target", batch->count, s->targets, &target));
    LS_TRY(ls_sample_input(g, "label", batch->count, 1, &label));
    LsTensor *any = ids ? ids : tags ? tags : targets ? targets : values ? values : target ? target : label;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        bool there = b < batch->count;
        make(s, batch->first + b);
        int64_t left = s->steps - batch->step, asked = there ? left : 0;
        if (ids)
            fill_numbers(ids, b, s->sample.ids + batch->step, left, 0);
        if (tags)
            fill_numbers(tags, b, s->sample.tags + batch->step, asked, LS_IGNORE);
        if (targets)
            fill_numbers(targets, b, s->sample.tags + batch->step, asked, LS_IGNORE);
        if (label)
            fill_numbers(label, b, &s->sample.label, there, LS_IGNORE);
        if (values)
            fill_values(g, values, b, s->sample.values + batch->step * s->rule->columns, left * s->rule->columns, 0);
        if (target)
            fill_values(g, target, b, s->sample.target, there ? s->targets : 0, NAN);
    }
    return LS_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static void free_source(LsSource *source)
{
    Generated *s = (Generated *)source;
    ls_free(s->sample.ids);
    ls_free(s->sample.tags);
    ls_free(s->sample.values);
    ls_free(s->sample.target);
    ls_free(s->info);
    ls_free(s);
}

/* The rule, and the settings with its defaults in the place of zeros. */
static const LsRule *resolve(const LsRuleSettings *given, LsRuleSettings *s)
{
    const LsRule *rule = ls_registry_find(&registry, given->rule);
    *s = *given;
    s->length = s->length ? s->length : rule->defaults.length;
    s->items = s->items ? s->items : rule->defaults.items;
    s->symbols = s->symbols ? s->symbols : rule->defaults.symbols;
    s->horizon = s->horizon ? s->horizon : rule->defaults.horizon;
    s->held_out = s->held_out ? s->held_out : rule->held_out;
    return rule;
}

static int64_t steps_of(const void *given)
{
    LsRuleSettings s;
    const LsRule *rule = resolve(given, &s);
    return rule->steps ? rule->steps(&s) : 0;
}

/* Makes LsSource.info, which checkpoints keep. */
static LsStatus make_info(Generated *s)
{
    json_t *more = s->rule->info ? s->rule->info(&s->settings) : NULL;
    json_t *info = json_pack("{s:s, s:s, s:I}", "kind", "generated", "rule", s->rule->name, "symbols",
                             (json_int_t)s->settings.symbols);
    if (info && more)
        json_object_update(info, more);
    char *text = info ? json_dumps(info, JSON_COMPACT) : NULL;
    s->base.info = s->info = text ? ls_strdup(text) : NULL;
    json_decref(more);
    json_decref(info);
    free(text);
    return s->info ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for the description of generated data");
}

/* What a model has learnt means nothing under another rule, nor ids among more or fewer symbols; length and items may
 * differ. */
static LsStatus check_like(const Generated *s, const json_t *like)
{
    const char *rule = json_string_value(json_object_get(like, "rule"));
    const json_t *symbols = json_object_get(like, "symbols");
    if (rule && strcmp(rule, s->rule->name) != 0)
        return ls_fail(LS_USAGE, "data.rule is %s, but the model has learnt by the rule %s", s->rule->name, rule);
    if (json_is_integer(symbols) && json_integer_value(symbols) != s->settings.symbols)
        return ls_fail(LS_USAGE,
                       "data.symbols is %lld, but the model has learnt with %lld: ids would mean something else",
                       (long long)s->settings.symbols, (long long)json_integer_value(symbols));
    return LS_OK;
}

static LsStatus make_room(Generated *s)
{
    const LsFields *fields = &s->base.fields;
    const LsField *target = ls_field_find(fields, "target");
    s->targets = target ? target->dim[0] : 0;
    if (ls_field_find(fields, "ids")) {
        s->sample.ids = ls_alloc_array(s->steps, sizeof *s->sample.ids);
        s->sample.tags = ls_alloc_array(s->steps, sizeof *s->sample.tags);
        if (!s->sample.ids || !s->sample.tags)
            return LS_RESOURCE;
    }
    if (s->rule->columns > 0 && !(s->sample.values = ls_alloc_array(s->steps * s->rule->columns, sizeof(float))))
        return LS_RESOURCE;
    if (target && !(s->sample.target = ls_alloc_array(s->targets, sizeof *s->sample.target)))
        return LS_RESOURCE;
    return LS_OK;
}

static LsStatus set_up(Generated *s, const LsDataOpen *open)
{
    char text[128];
    s->rule = resolve(open->settings, &s->settings);
    if (open->streams != 0)
        return ls_fail(LS_USAGE, "data.kind generated: samples do not follow one another: no state is carried from one "
                                 "to the next (train.carry)");
    if (s->rule->check)
        LS_TRY(s->rule->check(&s->settings));
    s->base.sequence = s->rule->steps ? s->rule->steps(&s->settings) : 0;
    s->steps = s->base.sequence > 0 ? s->base.sequence : 1;
    if (s->steps > MOST_STEPS)
        return ls_fail(LS_USAGE, "data.length: a sample of %lld steps is too long", (long long)s->steps);
    snprintf(text, sizeof text, "data.generated.%s", open->split);
    s->key = ls_key(open->seed, text);
    s->base.samples = strcmp(open->split, "train") == 0 ? INT64_MAX : s->settings.held_out;
    s->rule->fields(&s->settings, text, sizeof text);
    LS_TRY(ls_fields_parse(text, &s->base.fields));
    LS_TRY(make_info(s));
    LS_TRY(check_like(s, open->like));
    return make_room(s);
}

static LsStatus open_generated(const LsDataOpen *open, LsSource **opened)
{
    *opened = NULL;
    Generated *s = ls_alloc(sizeof *s);
    if (!s)
        return LS_RESOURCE;
    s->base.fill = fill;
    s->base.free = free_source;
    s->made = -1;
    LsStatus status = set_up(s, open);
    if (status == LS_OK)
        *opened = &s->base;
    else
        free_source(&s->base);
    return status;
}

static bool counts(const void *config, const char *setting)
{
    const LsRuleSettings *s = config;
    const LsRule *rule = ls_registry_find(&registry, s->rule);
    return ls_text_lists("rule|held_out", setting) || !rule || ls_text_lists(rule->takes, setting);
}

extern const LsDataKind ls_data_kind_generated;
const LsDataKind ls_data_kind_generated = {
    .name = "generated",
    .summary = "tasks made by rule, of any length: no files",
    .use_settings = settings,
    .use_settings_bytes = sizeof(LsRuleSettings),
    .open = open_generated,
    .steps = steps_of,
    .counts = counts,
};
