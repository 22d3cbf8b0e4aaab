#include "cli/explain.h"

#include "cli/cli.h"
#include "config/yaml.h"

/* value: as it would be written in the file. */
static LsStatus add_row(const LsConfig *config, const char *job, const char *section, const char *key,
                        const char *value, json_t *rows)
{
    const LsYamlEntry *entry = ls_config_entry(config, section, key);
    char *setting = ls_format("%s.%s", section, key);
    char *from = !entry               ? ls_strdup("default")
                 : entry->line == 0   ? ls_strdup("command line")
                 : entry->line > 0    ? ls_format("%s line %d", job, entry->line)
                 : config->train.init ? ls_format("train.init %s", config->train.init)
                                      : ls_strdup("the run that is gone on from");
    json_t *row = setting && from && value ? json_pack("{s:s, s:o, s:o}", "setting", setting, "value",
                                                       ls_json_text(value), "from", ls_json_text(from))
                                           : NULL;
    ls_free(setting);
    ls_free(from);
    return row && json_array_append_new(rows, row) == 0 ? LS_OK : LS_RESOURCE;
}

LsStatus ls_explain(const LsConfig *config, const char *job, bool json)
{
    LsSection section[LS_SECTIONS];
    json_t *rows = json_array();
    LsStatus status = rows ? LS_OK : LS_RESOURCE;
    ls_config_sections(config, section);
    for (int i = 0; i < LS_SECTIONS; i++) {
        if (status == LS_OK && section[i].kind)
            status = add_row(config, job, section[i].name, section[i].kind_key, section[i].kind, rows);
        for (int j = 0; j < 2; j++)
            for (const LsSetting *s = section[i].table[j]; s && s->name && status == LS_OK; s++) {
                char *value = ls_setting_text(s, section[i].base[j]);
                status = add_row(config, job, section[i].name, s->name, value, rows);
                ls_free(value);
            }
    }
    if (status == LS_OK)
        status = json ? ls_print_json(json_incref(rows)) : ls_print_table(rows);
    json_decref(rows);
    return status;
}
