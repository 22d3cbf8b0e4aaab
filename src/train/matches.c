#include "train/matches.h"

#include "train/groups.h"

#include <string.h>

/* The layers that have an adapter. */
static LsStatus add_targets(const LsConfig *config, const LsParams *params, json_t *matches)
{
    static const char factor[] = ".lora_a";
    json_t *names = json_array();
    int failed = 0;
    for (int i = 0; i < params->count; i++) {
        const char *name = params->list[i].name;
        size_t length = strlen(name), end = sizeof factor - 1;
        if (length > end && strcmp(name + length - end, factor) == 0)
            failed |= json_array_append_new(names, json_stringn(name, length - end));
    }
    failed |= json_array_append_new(matches, json_pack("{s:s, s:s, s:o}", "setting", "lora.targets", "pattern",
                                                       config->lora.targets, "names", names));
    return failed ? ls_fail(LS_RESOURCE, "out of memory for what patterns match") : LS_OK;
}

LsStatus ls_train_matches(const LsConfig *config, json_t **matches)
{
    LsGroups *groups = NULL;
    LsParams *params = ls_params_new();
    LsStatus status = LS_OK;
    *matches = json_array();
    if (!params)
        return LS_RESOURCE;
    LS_TRY_CLEANUP(ls_groups_new(&config->train, &groups));
    LS_TRY_CLEANUP(ls_config_declare(config, params));
    ls_groups_warn(groups, config, params);
    LS_TRY_CLEANUP(ls_groups_matches(groups, params, *matches));
    if (ls_config_adapts(config) && config->lora.targets)
        LS_TRY_CLEANUP(add_targets(config, params, *matches));
cleanup:
    ls_groups_free(groups);
    ls_params_free(params);
    return status;
}
