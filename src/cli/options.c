/* The command line by a command's table. */
#include "cli/cli.h"
#include "config/config.h"
#include "config/nearest.h"

#include <string.h>

/* "top_k" as "top-k": how a field is written on the command line. */
static void written(const char *field, char name[64])
{
    size_t i = 0;
    for (; field[i] && i < 63; i++)
        name[i] = field[i] == '_' ? '-' : field[i];
    name[i] = '\0';
}

static const LsOption *by_name(const LsCommand *command, const char *name, size_t length)
{
    char each[64];
    for (const LsOption *option = command->options; option && option->setting.name; option++) {
        written(option->setting.name, each);
        if (strlen(each) == length && strncmp(each, name, length) == 0)
            return option;
    }
    return NULL;
}

static const LsOption *by_letter(const LsCommand *command, char letter)
{
    for (const LsOption *option = command->options; option && option->setting.name; option++)
        if (option->letter == letter)
            return option;
    return NULL;
}

static LsStatus unknown_option(const LsCommand *command, const char *argument)
{
    static _Thread_local char names[LS_MAX_OPTIONS + 1][66];
    char asked[128];
    snprintf(asked, sizeof asked, "%.*s", (int)strcspn(argument, "="), argument);
    LsNearest near = ls_nearest_to(asked);
    int count = 0;
    for (const LsOption *option = command->options; option && option->setting.name && count < LS_MAX_OPTIONS; option++) {
        char name[64];
        written(option->setting.name, name);
        snprintf(names[count], sizeof names[0], "--%s", name);
        ls_nearest_offer(&near, names[count++]);
    }
    return ls_fail(LS_USAGE, "%s: there is no option %s%s (lockstep %s --help)", command->name, asked, ls_nearest_hint(near.best),
                   command->name);
}

static LsStatus set_option(const LsCommand *command, const LsOption *option, void *options, const char *value)
{
    char name[64];
    LsSetting table[2] = {option->setting, {0}};
    LsStatus status = ls_settings_set(table, options, option->setting.name, value);
    if (status != LS_USAGE)
        return status;
    written(option->setting.name, name);
    const char *what = strchr(ls_message(), ':'); /* after the field's name, which is written otherwise here */
    return ls_fail(LS_USAGE, "%s: --%s%s", command->name, name, what ? what : "");
}

/* Reads the option at argv[*at]; *at is left on the last argument it used. */
static LsStatus read_option(const LsCommand *command, int argc, char *const *argv, int *at, void *options, bool *given)
{
    const char *argument = argv[*at], *value = NULL;
    const LsOption *option = NULL;
    if (argument[1] == '-') {
        const char *name = argument + 2;
        size_t length = strcspn(name, "=");
        option = by_name(command, name, length);
        value = name[length] ? name + length + 1 : NULL;
    } else {
        option = by_letter(command, argument[1]);
        value = argument[2] ? argument + 2 : NULL; /* -oFILE */
    }
    if (!option || (argument[1] != '-' && value && option->setting.type == LS_SETTING_TYPE_BOOL))
        return unknown_option(command, argument);
    given[option - command->options] = true;
    if (!value && option->setting.type == LS_SETTING_TYPE_BOOL)
        value = "true";
    else if (!value && ++*at < argc)
        value = argv[*at];
    if (!value)
        return ls_fail(LS_USAGE, "%s: %s needs a value (%s)", command->name, argument, option->argument ? option->argument : "VALUE");
    return set_option(command, option, options, value);
}

static LsStatus check_complete(const LsCommand *command, int operands, const bool *given)
{
    const char *usage = command->operands ? command->operands : "";
    if (operands < command->least)
        return ls_fail(LS_USAGE, "%s: too few arguments; usage: lockstep %s %s (lockstep %s --help)", command->name, command->name, usage,
                       command->name);
    if (command->most >= 0 && operands > command->most)
        return ls_fail(LS_USAGE, "%s: too many arguments; usage: lockstep %s %s (lockstep %s --help)", command->name, command->name, usage,
                       command->name);
    for (const LsOption *option = command->options; option && option->setting.name; option++)
        if (option->required && !given[option - command->options]) {
            char name[64];
            written(option->setting.name, name);
            return ls_fail(LS_USAGE, "%s: --%s %s is missing: %s (lockstep %s --help)", command->name, name,
                           option->argument ? option->argument : "", option->setting.help, command->name);
        }
    return LS_OK;
}

static LsStatus defaults(const LsCommand *command, void *options)
{
    for (const LsOption *option = command->options; option && option->setting.name; option++) {
        LsSetting table[2] = {option->setting, {0}};
        LS_TRY(ls_settings_defaults(table, options));
    }
    return LS_OK;
}

LsStatus ls_cli_parse(const LsCommand *command, int argc, char *const *argv, LsCall *call, bool *help)
{
    bool given[LS_MAX_OPTIONS] = {false}, ended = false;
    void *options = ls_alloc(command->options_bytes);
    char **operand = ls_alloc_array(argc + 1, sizeof *operand);
    call->options = options;
    call->operand = operand;
    if (!options || !operand)
        return LS_RESOURCE;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *help = true;
            return LS_OK;
        }
    LS_TRY(defaults(command, options));
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (!ended && argv[i][0] == '-' && argv[i][1])
            LS_TRY(read_option(command, argc, argv, &i, options, given));
        else
            operand[call->operands++] = argv[i];
    }
    return check_complete(command, call->operands, given);
}

void ls_cli_release(LsCall *call)
{
    for (const LsOption *option = call->command->options; call->options && option && option->setting.name; option++) {
        LsSetting table[2] = {option->setting, {0}};
        ls_settings_free(table, (void *)call->options);
    }
    ls_free((void *)call->options);
    ls_free((void *)call->operand);
    call->options = NULL;
    call->operand = NULL;
}
