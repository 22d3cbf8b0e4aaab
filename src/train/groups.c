#include "train/groups.h"

#include "base/text.h"
#include "config/pattern.h"
#include "graph/freeze.h"

#include <stdio.h>
#include <string.h>

typedef struct Pattern {
    char *text;
    LsNamePattern *compiled;
    double factor; /* of train.scale */
} Pattern;

typedef struct Patterns {
    const char *setting;
    Pattern *list;
    int count;
} Patterns;

struct LsGroups {
    Patterns no_decay, freeze, scale;
};

/* ---- Patterns ---------------------------------------------------------------------------------------------------- */

/* value: of train.scale, else NULL. */
static LsStatus add_pattern(Patterns *patterns, const char *text, const char *value)
{
    Pattern *p = &patterns->list[patterns->count++];
    *p = (Pattern){.text = ls_strdup(text), .factor = 1};
    if (!p->text)
        return LS_RESOURCE;
    p->compiled = ls_name_pattern_new(text);
    if (!p->compiled || (value && !ls_name_pattern_factor(value, &p->factor))) /* the configuration was checked */
        return ls_fail_in(ls_message_status(), "train.%s", patterns->setting);
    return LS_OK;
}

static LsStatus read_patterns(const char *setting, const char *json, Patterns *patterns)
{
    *patterns = (Patterns){.setting = setting};
    if (!json)
        return LS_OK;
    json_t *members = ls_members_read(json), *value;
    const char *name;
    size_t i, count = json_is_array(members) ? json_array_size(members) : json_object_size(members);
    LsStatus status = members ? LS_OK : LS_RESOURCE;
    if (members && count > 0 && !(patterns->list = ls_alloc_array((int64_t)count, sizeof *patterns->list)))
        status = LS_RESOURCE;
    json_array_foreach(members, i, value)
    {
        if (status == LS_OK)
            status = add_pattern(patterns, json_string_value(value), NULL);
    }
    json_object_foreach(members, name, value)
    {
        if (status == LS_OK)
            status = add_pattern(patterns, name, json_string_value(value));
    }
    json_decref(members);
    return status;
}

static void free_patterns(Patterns *patterns)
{
    for (int i = 0; i < patterns->count; i++) {
        ls_free(patterns->list[i].text);
        ls_name_pattern_free(patterns->list[i].compiled);
    }
    ls_free(patterns->list);
}

LsStatus ls_groups_new(const LsTrainSettings *settings, LsGroups **made)
{
    *made = NULL;
    if (!settings->no_decay && !settings->freeze && !settings->scale)
        return LS_OK;
    LsGroups *groups = ls_alloc(sizeof *groups);
    if (!groups)
        return LS_RESOURCE;
    LsStatus status = read_patterns("no_decay", settings->no_decay, &groups->no_decay);
    if (status == LS_OK)
        status = read_patterns("freeze", settings->freeze, &groups->freeze);
    if (status == LS_OK)
        status = read_patterns("scale", settings->scale, &groups->scale);
    if (status == LS_OK)
        *made = groups;
    else
        ls_groups_free(groups);
    return status;
}

void ls_groups_free(LsGroups *groups)
{
    if (!groups)
        return;
    free_patterns(&groups->no_decay);
    free_patterns(&groups->freeze);
    free_patterns(&groups->scale);
    ls_free(groups);
}

/* The first that matches; NULL: none does. */
static const Pattern *find(const Patterns *patterns, const char *name)
{
    for (int i = 0; i < patterns->count; i++)
        if (ls_name_pattern_matches(patterns->list[i].compiled, name))
            return &patterns->list[i];
    return NULL;
}

/* ---- Patterns that match nothing --------------------------------------------------------------------------------- */

#define NEAREST 3
#define LONGEST 64 /* letters of a pattern that are compared */

/* Changes of a letter that make `pattern` some part of `name` (Sellers 1980). */
static int distance_to_part(const char *pattern, const char *name)
{
    int cost[LONGEST + 1], length = 0, least;
    while (length < LONGEST && pattern[length]) {
        cost[length] = length;
        length++;
    }
    cost[length] = least = length;
    for (; *name; name++) {
        int diagonal = 0; /* a part may begin anywhere */
        for (int i = 1; i <= length; i++) {
            int change = diagonal + (pattern[i - 1] != *name), other = cost[i] < cost[i - 1] ? cost[i] : cost[i - 1];
            diagonal = cost[i];
            cost[i] = change < other + 1 ? change : other + 1;
        }
        least = cost[length] < least ? cost[length] : least;
    }
    return least;
}

static void add_unmatched(const LsConfig *config, const Patterns *patterns, const Pattern *pattern,
                          const LsParams *params, LsMistakes *mistakes)
{
    int best[NEAREST], distance[NEAREST], count = 0;
    for (int i = 0; i < params->count; i++) {
        int here = distance_to_part(pattern->text, params->list[i].name), at = count < NEAREST ? count++ : NEAREST;
        for (; at > 0 && distance[at - 1] > here; at--)
            if (at < NEAREST) {
                best[at] = best[at - 1];
                distance[at] = distance[at - 1];
            }
        if (at < NEAREST) {
            best[at] = i;
            distance[at] = here;
        }
    }
    char names[512] = "";
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", params->list[best[i]].name);
    ls_mistakes_add(mistakes, ls_config_line(config, "train", patterns->setting),
                    "train.%s: '%s' matches no parameter of this model; the nearest of %d: %s", patterns->setting,
                    pattern->text, params->count, names);
}

LsStatus ls_groups_check(const LsGroups *groups, const LsConfig *config, const LsParams *params)
{
    if (!groups)
        return LS_OK;
    LsMistakes mistakes = {.name = ls_config_name(config)};
    const Patterns *all[] = {&groups->no_decay, &groups->freeze, &groups->scale};
    for (size_t k = 0; k < LS_COUNT_OF(all); k++)
        for (int i = 0; i < all[k]->count; i++) {
            bool any = false;
            for (int j = 0; j < params->count && !any; j++)
                any = ls_name_pattern_matches(all[k]->list[i].compiled, params->list[j].name);
            if (!any)
                add_unmatched(config, all[k], &all[k]->list[i], params, &mistakes);
        }
    return ls_mistakes_status(&mistakes);
}

LsStatus ls_groups_check_learns(const LsGroups *groups, const LsConfig *config, const LsParams *params,
                                const char *learns, LsStatus status)
{
    if (status != LS_USAGE || !groups || params->count == 0) /* without parameters something else is wrong */
        return status;
    for (int j = 0; j < params->count; j++)
        if ((!learns || strncmp(params->list[j].name, learns, strlen(learns)) == 0) &&
            !find(&groups->freeze, params->list[j].name))
            return status;
    LsMistakes mistakes = {.name = ls_config_name(config)};
    int line = ls_config_line(config, "train", "freeze");
    if (learns)
        ls_mistakes_add(&mistakes, line,
                        "train.freeze: all parameters of '%s' match, and nothing of it is left to learn", learns);
    else
        ls_mistakes_add(&mistakes, line, "train.freeze: all parameters match, and nothing is left to learn");
    return ls_mistakes_status(&mistakes);
}

/* ---- What they say ----------------------------------------------------------------------------------------------- */

static bool is_frozen(const void *self, const char *name)
{
    const LsGroups *groups = self;
    return find(&groups->freeze, name) != NULL;
}

void ls_groups_freeze(const LsGroups *groups, LsGraph *g)
{
    if (groups && groups->freeze.count > 0)
        ls_graph_freeze(g, is_frozen, groups);
}

void ls_groups_mark(const LsGroups *groups, LsParams *params)
{
    for (int i = 0; groups && i < params->count; i++)
        if (find(&groups->no_decay, params->list[i].name))
            params->list[i].flags |= LS_NO_DECAY;
}

void ls_groups_warn(const LsGroups *groups, const LsConfig *config, const LsParams *params)
{
    int line = ls_config_line(config, "train", "no_decay");
    char where[512] = "command line";
    if (line > 0)
        snprintf(where, sizeof where, "%s line %d", ls_config_name(config), line);
    for (int i = 0; groups && i < groups->no_decay.count; i++) {
        const Pattern *pattern = &groups->no_decay.list[i];
        const char *example = NULL;
        bool needed = false;
        for (int j = 0; j < params->count && !needed; j++) {
            const LsParam *param = &params->list[j];
            if (!ls_name_pattern_matches(pattern->compiled, param->name))
                continue;
            needed = param->rank >= 2 && !(param->flags & LS_NO_DECAY);
            example = example ? example : param->name;
        }
        if (example && !needed)
            ls_warn("%s: train.no_decay: '%s' changes nothing: all it matches (%s, ...) is never decayed, as vectors "
                    "are not",
                    where, pattern->text, example);
    }
}

LsStatus ls_groups_matches(const LsGroups *groups, const LsParams *params, json_t *matches)
{
    if (!groups)
        return LS_OK;
    const Patterns *all[] = {&groups->no_decay, &groups->freeze, &groups->scale};
    bool failed = false;
    for (size_t k = 0; k < LS_COUNT_OF(all); k++)
        for (int i = 0; i < all[k]->count; i++) {
            const Pattern *pattern = &all[k]->list[i];
            char setting[32];
            snprintf(setting, sizeof setting, "train.%s", all[k]->setting);
            json_t *names = json_array();
            for (int j = 0; j < params->count; j++) {
                const char *name = params->list[j].name;
                if (all[k] == &groups->scale ? find(all[k], name) == pattern
                                             : ls_name_pattern_matches(pattern->compiled, name))
                    failed |= json_array_append_new(names, json_string(name)) != 0;
            }
            failed |= json_array_append_new(matches, json_pack("{s:s, s:s, s:o}", "setting", setting, "pattern",
                                                               pattern->text, "names", names)) != 0;
        }
    return failed ? ls_fail(LS_RESOURCE, "out of memory for what patterns match") : LS_OK;
}

double ls_groups_factor(const LsGroups *groups, const char *name)
{
    if (!groups)
        return 1;
    if (is_frozen(groups, name))
        return -1;
    const Pattern *pattern = find(&groups->scale, name);
    return pattern ? pattern->factor : 1;
}

bool ls_groups_learns(const void *groups, const char *name) { return !groups || !is_frozen(groups, name); }
