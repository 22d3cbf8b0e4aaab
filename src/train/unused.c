/* Settings that change nothing in the job that gives them. */
#include "base/text.h"
#include "config/yaml.h"
#include "train/optimizer.h"

#include <stdio.h>
#include <string.h>

/* Settings that count only where another one is on. */
static const struct {
    const char *setting, *with;
} uses[] = {{"skip_window", "skip_outliers"},
            {"sample_prompts", "sample_every"},
            {"sample_tokens", "sample_every"},
            {"sample_temperature", "sample_every"}};

/* Whether the job itself says it, and what stands before a warning of it: "job.yaml line 4". */
static bool is_said(const LsConfig *config, const char *section, const char *key, char *where, size_t room)
{
    const LsYamlEntry *entry = ls_config_entry(config, section, key);
    if (!entry || entry->line < 0)
        return false;
    if (entry->line > 0)
        snprintf(where, room, "%s line %d", ls_config_name(config), entry->line);
    else
        snprintf(where, room, "command line");
    return true;
}

static const char *optimizer_takes(const char *name) { return ls_optimizer_find(name)->takes; }
static const char *schedule_takes(const char *name) { return ls_schedule_find(name)->takes; }

/* Settings that some members of the list that `choice` chooses from take, and the chosen one does not. */
static void warn_of_others(const LsConfig *config, const char *choice, const char *chosen,
                           const char *(*takes)(const char *name))
{
    char where[512], name[64], others[256];
    for (const LsSetting *s = ls_train_settings; s->name; s++) {
        size_t used = 0;
        others[0] = '\0';
        for (const char *at = ls_settings_find(ls_train_settings, choice)->choices; *at;
             at += strcspn(at, "|"), at += *at == '|') {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "|"), at);
            if (ls_text_lists(takes(name), s->name) && used < sizeof others)
                used += (size_t)snprintf(others + used, sizeof others - used, "%s%s", used ? ", " : "", name);
        }
        if (used > 0 && !ls_text_lists(takes(chosen), s->name) && !ls_setting_is_default(s, &config->train) &&
            is_said(config, "train", s->name, where, sizeof where))
            ls_warn("%s: train.%s changes nothing: train.%s %s does not take it (%s)", where, s->name, choice, chosen,
                    others);
    }
}

/* Settings of a model, or of a kind of data, that do not count beside its other ones. */
static void warn_of_kind(const LsConfig *config, const LsSection *section,
                         bool (*counts)(const void *settings, const char *setting))
{
    char where[512];
    for (const LsSetting *s = section->table[1]; counts && s && s->name; s++)
        if (!counts(section->base[1], s->name) && !ls_setting_is_default(s, section->base[1]) &&
            is_said(config, section->name, s->name, where, sizeof where))
            ls_warn("%s: %s.%s changes nothing beside the other settings of %s.%s %s", where, section->name, s->name,
                    section->name, section->kind_key, section->kind);
}

void ls_warn_unused(const LsConfig *config)
{
    char where[512];
    LsSection section[LS_SECTIONS];
    ls_config_sections(config, section);
    warn_of_kind(config, &section[0], config->model->counts);
    warn_of_kind(config, &section[2], config->data_kind->counts);
    warn_of_others(config, "optimizer", config->train.optimizer, optimizer_takes);
    warn_of_others(config, "schedule", config->train.schedule, schedule_takes);
    for (size_t i = 0; i < LS_COUNT_OF(uses); i++) {
        const LsSetting *s = ls_settings_find(ls_train_settings, uses[i].setting),
                        *with = ls_settings_find(ls_train_settings, uses[i].with);
        if (ls_setting_is_default(with, &config->train) && !ls_setting_is_default(s, &config->train) &&
            is_said(config, "train", s->name, where, sizeof where))
            ls_warn("%s: train.%s changes nothing without train.%s", where, s->name, with->name);
    }
    int64_t steps = config->data_kind->steps ? config->data_kind->steps(config->data_config) : 0;
    if (steps > 0 && config->train.sequence > 0 && config->train.sequence != steps &&
        is_said(config, "train", "sequence", where, sizeof where))
        ls_warn("%s: train.sequence changes nothing: the settings of data.kind %s make samples of %lld steps", where,
                config->data_kind->name, (long long)steps);
    for (int i = 0; i < 2 && !config->data_kind->prepare; i++) {
        const char *key = i ? "validation_path" : "path", *path = i ? config->data.validation_path : config->data.path;
        if (path && is_said(config, "data", key, where, sizeof where))
            ls_warn("%s: data.%s changes nothing: data.kind %s makes its samples itself", where, key,
                    config->data_kind->name);
    }
}
