/* An environment as a kind of data without files: samples are episodes. Its fields are what an agent sees of a state
 * and a number for each action; a procedure makes samples of them (train.procedure q_learning). */
#include "data/environment.h"
#include "lockstep/data.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Episodes of an evaluation. */
#define EPISODES 100

#define ENVIRONMENT(name) extern const LsEnvironment ls_environment_##name;
#include "data/environments.def"
#undef ENVIRONMENT

static const LsEnvironment *const environments[] = {
#define ENVIRONMENT(name) &ls_environment_##name,
#include "data/environments.def"
#undef ENVIRONMENT
};

#define ENVIRONMENT(name) "|" #name
static const char names[] =
#include "data/environments.def"
    ;
#undef ENVIRONMENT

typedef struct Settings {
    char *environment;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(Settings, environment, "cartpole", names + 1, "the world that the agent acts in"), {0}};

typedef struct World {
    LsSource base;
    const LsEnvironment *environment;
    uint64_t key;
} World;

/* First states of episodes; nothing is said of actions. */
static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    const World *w = (const World *)source;
    LsTensor *x = ls_graph_find(g, "values"), *target = ls_graph_find(g, "target");
    const int numbers = w->environment->numbers;
    for (int64_t b = 0; x && b < x->dim[0]; b++) {
        float state[LS_MAX_STATE];
        w->environment->begin(w->key, (uint64_t)(batch->first + b), state);
        for (int i = 0; i < numbers; i++)
            state[i] *= w->environment->scale[i];
        ls_tensor_set_part(g, x, b * numbers, numbers, state);
    }
    for (int64_t i = 0; target && i < target->count; i++)
        ls_tensor_set_part(g, target, i, 1, &(float){NAN});
    return LS_OK;
}

static LsStatus open_environment(const LsDataOpen *open, LsSource **opened);

static void free_source(LsSource *source) { ls_free(source); }

static const LsEnvironment *find(const char *name)
{
    for (size_t i = 0; i < LS_COUNT_OF(environments); i++)
        if (strcmp(environments[i]->name, name) == 0)
            return environments[i];
    return NULL;
}

const LsEnvironment *ls_environment_of(const LsDataKind *kind, const void *config)
{
    return kind->open == open_environment ? find(((const Settings *)config)->environment) : NULL;
}

const LsEnvironment *ls_source_environment(const LsSource *source)
{
    return source->fill == fill ? ((const World *)source)->environment : NULL;
}

uint64_t ls_source_environment_key(const LsSource *source) { return ((const World *)source)->key; }

static LsStatus open_environment(const LsDataOpen *open, LsSource **opened)
{
    const char *name = ((const Settings *)open->settings)->environment;
    char text[64];
    *opened = NULL;
    World *w = ls_alloc(sizeof *w);
    if (!w)
        return LS_RESOURCE;
    w->environment = find(name);
    snprintf(text, sizeof text, "data.environment.%s", open->split);
    w->key = ls_key(open->seed, text);
    w->base = (LsSource){
        .samples = strcmp(open->split, "train") == 0 ? INT64_MAX : EPISODES, .fill = fill, .free = free_source};
    snprintf(text, sizeof text, "values %d, target %d", w->environment->numbers, w->environment->actions);
    LsStatus status = ls_fields_parse(text, &w->base.fields);
    if (status == LS_OK)
        *opened = &w->base;
    else
        ls_free(w);
    return status;
}

extern const LsDataKind ls_data_kind_environment;
const LsDataKind ls_data_kind_environment = {
    .name = "environment",
    .summary = "episodes of a small world that an agent acts in, no files",
    .use_settings = settings,
    .use_settings_bytes = sizeof(Settings),
    .open = open_environment,
};
