/* Sizes of the model, fields of samples and graphs, as a configuration determines them. */
#include "config/config.h"
#include "config/pattern.h"

#include <stdio.h>
#include <string.h>

static int64_t *model_int(const LsConfig *config, const char *name)
{
    const LsSetting *setting = ls_settings_find(config->model->settings, name);
    return setting && setting->type == LS_SETTING_TYPE_INT ? (int64_t *)((char *)config->model_config + setting->offset)
                                                           : NULL;
}

bool ls_config_model_int(const LsConfig *config, const char *name, int64_t *value)
{
    const int64_t *found = model_int(config, name);
    if (found)
        *value = *found;
    return found != NULL;
}

bool ls_config_set_model_int(LsConfig *config, const char *name, int64_t value)
{
    int64_t *found = model_int(config, name);
    if (found)
        *found = value;
    return found != NULL;
}

const LsTask *ls_config_task(const LsConfig *config) { return config->task ? config->task : ls_tasks()[0]; }

/* The fields that the model and the task declare, for use where no data set declares them. */
static LsStatus fields_of_kinds(const LsConfig *config, LsFields *fields)
{
    const LsTask *task = ls_config_task(config);
    int64_t vocabulary = 0;
    ls_config_model_int(config, "vocabulary", &vocabulary);
    LsFields language = ls_language_fields(vocabulary), targets = {.count = 1, .list = {language.list[1]}};
    *fields = (LsFields){.count = 1, .list = {language.list[0]}};
    if (config->model->fields)
        LS_TRY(ls_fields_parse(config->model->fields, fields));
    if (task->fields && !task->fields[0])
        targets.count = 0;
    else if (task->fields)
        LS_TRY(ls_fields_parse(task->fields, &targets));
    for (int i = 0; i < targets.count; i++) {
        const LsField *field = &targets.list[i];
        LS_TRY(ls_fields_add(fields, field->name, field->dtype, field->classes, field->rank, field->dim));
    }
    return LS_OK;
}

LsStatus ls_config_fields(const LsConfig *config, LsFields *fields)
{
    return config->data.fields ? ls_fields_parse(config->data.fields, fields) : fields_of_kinds(config, fields);
}

LsStatus ls_config_set_fields(LsConfig *config, const LsFields *fields)
{
    LsFields own;
    LS_TRY(fields_of_kinds(config, &own));
    char *text = ls_fields_text(fields), *model = ls_fields_text(&own);
    LsStatus status = text && model ? LS_OK : LS_RESOURCE;
    if (status == LS_OK) {
        bool same = strcmp(text, model) == 0;
        ls_free(config->data.fields);
        config->data.fields = same ? NULL : text;
        text = same ? text : NULL;
    }
    ls_free(text);
    ls_free(model);
    return status;
}

int64_t ls_config_most_steps(const LsConfig *config)
{
    int64_t sequence = config->train.sequence, fixed = 0;
    if (config->data_kind && config->data_kind->steps)
        fixed = config->data_kind->steps(config->data_config);
    if (fixed > 0)
        return fixed;
    if (sequence == 0 && config->model->settings)
        ls_config_model_int(config, "context", &sequence);
    return sequence;
}

int64_t ls_config_sequence(const LsConfig *config)
{
    int64_t most = ls_config_most_steps(config);
    return config->longest > 0 && (most == 0 || config->longest < most) ? config->longest : most;
}

int64_t ls_config_streams(const LsConfig *config) { return config->train.carry ? config->train.batch : 0; }

const LsProcedure *ls_config_procedure(const LsConfig *config)
{
    const LsTask *task = ls_config_task(config);
    const LsProcedure *of_task = task->procedure ? ls_procedure_find(task->procedure) : NULL;
    return config->procedure ? config->procedure : of_task ? of_task : ls_procedures()[0];
}

enum { MOST_TARGETS = 16 };

/* The adapters of the layers whose names lora.targets matches, and the other names, for a message where it, or one of
 * its alternatives ("qkv|mlp" has two), matches none. */
typedef struct Targets {
    LsAdapters adapters;
    LsNamePattern *pattern;
    int count;
    struct {
        char *text;
        LsNamePattern *pattern; /* NULL: none by itself */
        bool taken;
    } one[MOST_TARGETS];
    bool inseparable; /* the alternatives mean something else by themselves, as behind "(?i)" */
    char others[256];
} Targets;

static bool is_target(void *self, const char *name)
{
    Targets *targets = self;
    bool taken = ls_name_pattern_matches(targets->pattern, name), alone = false;
    for (int i = 0; i < targets->count; i++)
        if (targets->one[i].pattern && ls_name_pattern_matches(targets->one[i].pattern, name))
            alone = targets->one[i].taken = true;
    targets->inseparable |= taken != alone;
    if (taken)
        return true;
    size_t used = strlen(targets->others);
    snprintf(targets->others + used, sizeof targets->others - used, "%s%s", used ? ", " : "", name);
    return false;
}

/* The end of the first alternative of a regular expression: a '|' that stands in no bracket, or the expression's
 * end. */
static const char *end_of_alternative(const char *at)
{
    int open = 0;
    for (; *at && (*at != '|' || open > 0); at++) {
        if (*at == '\\' && at[1])
            at++;
        else
            open += (*at == '(' || *at == '[') - (*at == ')' || *at == ']');
    }
    return at;
}

static LsStatus add_target(Targets *targets, const char *text, size_t length)
{
    char *copy = ls_format("%.*s", (int)length, text);
    LsNamePattern *pattern = copy ? ls_name_pattern_new(copy) : NULL;
    targets->one[targets->count].text = copy;
    targets->one[targets->count++].pattern = pattern;
    if (!copy || (!pattern && ls_message_status() != LS_USAGE))
        return LS_RESOURCE;
    targets->inseparable |= !pattern;
    return LS_OK;
}

static LsStatus read_targets(Targets *targets, const char *text)
{
    targets->pattern = ls_name_pattern_new(text);
    if (!targets->pattern)
        return ls_message_status();
    for (const char *at = text; targets->count < MOST_TARGETS; at++) {
        const char *end = targets->count + 1 < MOST_TARGETS ? end_of_alternative(at) : at + strlen(at);
        LS_TRY(add_target(targets, at, (size_t)(end - at)));
        at = end;
        if (!*at)
            break;
    }
    return LS_OK;
}

static void free_targets(Targets *targets)
{
    ls_name_pattern_free(targets->pattern);
    for (int i = 0; i < targets->count; i++) {
        ls_name_pattern_free(targets->one[i].pattern);
        ls_free(targets->one[i].text);
    }
}

/* False, with the graph's error, where lora.targets is no regular expression. */
static bool begin_adapting(const LsConfig *config, LsGraph *g, Targets *targets)
{
    if (!ls_config_adapts(config))
        return true;
    const LsLoraSettings *lora = &config->lora;
    LsStatus status = read_targets(targets, lora->targets ? lora->targets : "");
    if (status != LS_OK) {
        ls_graph_fail(g, status, "lora.targets: %s", ls_message());
        free_targets(targets);
        return false;
    }
    targets->adapters = (LsAdapters){
        .rank = lora->rank, .scale = lora->alpha / (double)lora->rank, .takes = is_target, .self = targets};
    ls_graph_adapt(g, &targets->adapters);
    return true;
}

/* Whoever knows models with a matrix for each of queries, keys and values looks for these. */
static const char *hint_of_targets(const char *wanted, const char *others)
{
    static const char *const apart[] = {"q_proj", "k_proj", "v_proj", "q_lin", "k_lin",
                                        "v_lin",  "query",  "key",    "value"};
    for (size_t i = 0; i < LS_COUNT_OF(apart); i++)
        if (wanted && strstr(wanted, apart[i]) && strstr(others, "qkv"))
            return "; queries, keys and values are one matrix here: lora.targets=qkv";
    return "";
}

static LsStatus fail_target(const LsConfig *config, const Targets *targets, const char *wanted, bool alone)
{
    LsMistakes mistakes = {.name = ls_config_name(config)};
    ls_mistakes_add(&mistakes, ls_config_line(config, "lora", "targets"),
                    "lora.targets: '%s'%s matches no dense layer of model %s%s%s%s", wanted,
                    alone ? ", one of its alternatives," : "", config->model->name,
                    targets->others[0] ? ", which has " : "", targets->others,
                    hint_of_targets(wanted, targets->others));
    return ls_mistakes_status(&mistakes);
}

/* A loss takes all layers of the model, but where one player's phase is built. */
static void end_adapting(const LsConfig *config, LsGraph *g, Targets *targets, const LsShape *shape)
{
    if (!ls_config_adapts(config))
        return;
    bool whole = shape->want == LS_WANT_LOSS && !shape->phase, none = targets->adapters.taken == 0;
    const char *missing = none ? config->lora.targets : NULL;
    ls_graph_adapt(g, NULL);
    for (int i = 0; i < targets->count && !missing && !targets->inseparable; i++)
        missing = targets->one[i].taken ? NULL : targets->one[i].text;
    if (whole && missing) {
        LsStatus status = fail_target(config, targets, missing, !none);
        ls_graph_fail(g, status, "%s", ls_message());
    }
    free_targets(targets);
}

void ls_config_build_shape(const LsConfig *config, LsGraph *g, const LsShape *wanted)
{
    LsFields fields;
    if (ls_config_fields(config, &fields) != LS_OK) {
        ls_graph_fail(g, LS_USAGE, "data.%s", ls_message());
        return;
    }
    LsShape shape = *wanted;
    shape.fields = &fields;
    Targets targets = {0};
    if (!begin_adapting(config, g, &targets))
        return;
    ls_task_build(g, config->model, config->model_config, ls_config_task(config), config->task_config, &shape);
    end_adapting(config, g, &targets, &shape);
}

void ls_config_build(const LsConfig *config, LsGraph *g, int64_t batch, int64_t sequence, LsWant want)
{
    ls_config_build_shape(config, g, &(LsShape){.batch = batch, .sequence = sequence, .want = want});
}

/* Declares what a graph of the configuration has. body: without the task's head. */
static LsStatus declare(const LsConfig *config, bool body, LsParams *params)
{
    LsFields fields;
    LS_TRY(ls_config_fields(config, &fields));
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    if (!g)
        return ls_message_status();
    /* a loss takes all parameters; a task without one is asked for its output */
    LsWant want = ls_config_task(config)->targets ? LS_WANT_LOSS : LS_WANT_OUTPUT;
    if (body)
        config->model->build(g, config->model_config,
                             &(LsShape){.batch = 1, .sequence = 1, .want = want, .fields = &fields});
    else
        ls_config_build(config, g, 1, 1, want);
    LsStatus status = ls_graph_plan_dry(g);
    ls_graph_free(g);
    return status;
}

LsStatus ls_config_declare(const LsConfig *config, LsParams *params) { return declare(config, false, params); }

LsStatus ls_config_declare_body(const LsConfig *config, LsParams *params) { return declare(config, true, params); }
