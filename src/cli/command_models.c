/* lockstep models [NAME]: what there is to train, and each one's settings. */
#include "cli/cli.h"
#include "config/config.h"
#include "config/nearest.h"

#include <math.h>
#include <string.h>

typedef struct Options {
    bool json;
} Options;

static const LsOption options[] = {{LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")}, {{0}}};

static const char *type_name(const LsSetting *setting)
{
    static const char *const names[] = {"?", "integer", "number", "bool", "text", "choice", "bytes", "list", "map"};
    return (size_t)setting->type < LS_COUNT_OF(names) ? names[setting->type] : names[0];
}

/* "12 (1 to 1000)", "layer (layer|rms)" */
static void value_text(const LsSetting *setting, char *text, size_t room)
{
    const char *fallback = setting->fallback ? setting->fallback : "none";
    if (setting->type == LS_SETTING_TYPE_CHOICE)
        snprintf(text, room, "%s (%s)", fallback, setting->choices);
    else if (setting->type == LS_SETTING_TYPE_INT || setting->type == LS_SETTING_TYPE_FLOAT)
        snprintf(text, room, setting->high >= 1e15 ? "%s (at least %.10g)" : "%s (%.10g to %.10g)", fallback,
                 setting->low, setting->high);
    else
        snprintf(text, room, "%s", fallback);
}

static void print_table(const char *section, const LsSetting *table)
{
    printf("\n%s:\n", section);
    for (; table->name; table++) {
        char value[512];
        value_text(table, value, sizeof value);
        printf("  %-20s %-8s default %s\n%31s", table->name, type_name(table), value, "");
        ls_print_wrapped(stdout, table->help, 31, 31);
    }
}

/* Tasks, kinds of data and training procedures, with the settings of their own. */
static void print_kinds(void)
{
    char title[64];
    printf("\ntask.kind, what is predicted:\n");
    for (const LsTask *const *task = ls_tasks(); *task; task++)
        printf("  %-20s %s\n", (*task)->name, (*task)->summary);
    for (const LsTask *const *task = ls_tasks(); *task; task++) {
        snprintf(title, sizeof title, "task, kind %s", (*task)->name);
        if ((*task)->settings)
            print_table(title, (*task)->settings);
    }
    printf("\ndata.kind, what 'lockstep prepare' made:\n");
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++)
        printf("  %-20s %s\n", (*kind)->name, (*kind)->summary);
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++) {
        snprintf(title, sizeof title, "data, kind %s", (*kind)->name);
        if ((*kind)->use_settings)
            print_table(title, (*kind)->use_settings);
    }
    printf("\ntrain.procedure, what a training step is:\n");
    for (const LsProcedure *const *procedure = ls_procedures(); *procedure; procedure++)
        printf("  %-20s %s\n", (*procedure)->name, (*procedure)->summary);
    for (const LsProcedure *const *procedure = ls_procedures(); *procedure; procedure++) {
        snprintf(title, sizeof title, "train, procedure %s", (*procedure)->name);
        if ((*procedure)->settings)
            print_table(title, (*procedure)->settings);
    }
}

static json_t *table_json(const LsSetting *table)
{
    json_t *list = json_array();
    for (; table->name; table++) {
        json_t *one = json_pack("{s:s, s:s, s:s?, s:s}", "name", table->name, "type", type_name(table), "default",
                                table->fallback, "help", table->help);
        if (table->type == LS_SETTING_TYPE_INT || table->type == LS_SETTING_TYPE_FLOAT) {
            json_object_set_new(one, "low", ls_json_number(table->low));
            json_object_set_new(one, "high", ls_json_number(table->high));
        }
        if (table->type == LS_SETTING_TYPE_CHOICE)
            json_object_set_new(one, "choices", json_string(table->choices));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *kind_json(const char *name, const char *summary, const LsSetting *settings)
{
    return json_pack("{s:s, s:s, s:o}", "name", name, "summary", summary, "settings",
                     settings ? table_json(settings) : json_array());
}

/* "GPT2LMHeadModel", or several, each once. */
static void architectures(const LsHf *hf, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (; hf; hf = hf->next)
        for (const LsHfArchitecture *a = hf->architectures; a->name && used < room; a++)
            if (a == hf->architectures || strcmp(a->name, a[-1].name) != 0)
                used += (size_t)snprintf(text + used, room - used, "%s%s", used ? ", " : "", a->name);
}

static json_t *model_json(const LsModel *model)
{
    char names[512] = "";
    if (model->hf)
        architectures(model->hf, names, sizeof names);
    return json_pack("{s:s, s:s, s:s?, s:s?, s:o}", "name", model->name, "summary", model->summary, "paper",
                     model->paper, "hugging_face", model->hf ? names : NULL, "settings", table_json(model->settings));
}

static LsStatus all(bool json)
{
    if (!json) {
        for (const LsModel *const *model = ls_models(); *model; model++)
            printf("%-12s %s\n", (*model)->name, (*model)->summary);
        printf("\nlockstep models NAME lists a model's settings and those of every run.\n");
        return LS_OK;
    }
    json_t *list = json_array();
    for (const LsModel *const *model = ls_models(); *model; model++)
        json_array_append_new(list, model_json(*model));
    json_t *tasks = json_array(), *kinds = json_array(), *procedures = json_array();
    for (const LsTask *const *task = ls_tasks(); *task; task++)
        json_array_append_new(tasks, kind_json((*task)->name, (*task)->summary, (*task)->settings));
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++)
        json_array_append_new(kinds, kind_json((*kind)->name, (*kind)->summary, (*kind)->use_settings));
    for (const LsProcedure *const *procedure = ls_procedures(); *procedure; procedure++)
        json_array_append_new(procedures, kind_json((*procedure)->name, (*procedure)->summary, (*procedure)->settings));
    return ls_print_json(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "models", list, "tasks", tasks, "procedures",
                                   procedures, "kinds_of_data", kinds, "data", table_json(ls_data_settings), "train",
                                   table_json(ls_train_settings), "output", table_json(ls_output_settings)));
}

static LsStatus one(const char *name, bool json)
{
    const LsModel *model = ls_model_find(name);
    if (!model) {
        LsNearest near = ls_nearest_to(name);
        char names[1024] = "";
        size_t used = 0;
        for (const LsModel *const *each = ls_models(); *each; each++) {
            ls_nearest_offer(&near, (*each)->name);
            if (used < sizeof names)
                used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", (*each)->name);
        }
        return ls_fail(LS_USAGE, "there is no model '%s'%s (there are: %s)", name, ls_nearest_hint(&near), names);
    }
    if (json)
        return ls_print_json(model_json(model));
    printf("%s: ", model->name);
    ls_print_wrapped(stdout, model->summary, (int)strlen(model->name) + 2, 0);
    if (model->paper)
        printf("%s\n", model->paper);
    char names[512];
    if (model->hf) {
        architectures(model->hf, names, sizeof names);
        printf("Hugging Face layout: %s (lockstep import, lockstep export)\n", names);
    }
    print_table("model", model->settings);
    print_kinds();
    print_table("data", ls_data_settings);
    print_table("train", ls_train_settings);
    print_table("output", ls_output_settings);
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    return call->operands ? one(call->operand[0], o->json) : all(o->json);
}

static const char *name_at(int index)
{
    const LsModel *const *model = ls_models();
    while (*model && index-- > 0)
        model++;
    return *model ? (*model)->name : NULL;
}

const LsCommand ls_command_models = {
    .name = "models",
    .summary = "lists the models, or one model's settings with types, defaults, ranges and help",
    .operands = "[NAME]",
    .most = 1,
    .example = "lockstep models gpt",
    .options = options,
    .options_bytes = sizeof(Options),
    .names = name_at,
    .run = run,
};
