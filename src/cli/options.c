/* The command line by a command's table. */
#include "cli/cli.h"
#include "base/text.h"
#include "config/config.h"
#include "config/nearest.h"
#include "config/other_names.h"

#include <string.h>
#include <unistd.h>

/* "top_k" as "top-k": how a field is written on the command line. */
static void written(const char *field, char name[64])
{
    size_t i = 0;
    for (; field[i] && i < 63; i++)
        name[i] = field[i] == '_' ? '-' : field[i];
    name[i] = '\0';
}

static const LsSetting *in_kind(const LsCall *call, const char *name, size_t length)
{
    char each[64];
    for (const LsSetting *setting = call->kind.settings; setting && setting->name; setting++) {
        written(setting->name, each);
        if (strlen(each) == length && strncmp(each, name, length) == 0)
            return setting;
    }
    return NULL;
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

/* Whether it is a setting that is written like an option; then with a message that tells how it is written. */
static bool is_setting(const LsCall *call, const char *asked)
{
    char key[64];
    snprintf(key, sizeof key, "%s", asked + strspn(asked, "-"));
    for (char *each = key; *each; each++)
        *each = *each == '-' ? '_' : *each;
    const char *section = ls_section_with(key), *other = ls_other_name(key), *command = call->command->name;
    if (strchr(key, '.'))
        ls_fail(LS_USAGE, "%s: there is no option %s; settings are written without dashes: %s=VALUE", command, asked,
                key);
    else if (section)
        ls_fail(LS_USAGE, "%s: there is no option %s; it is a setting: %s.%s=VALUE", command, asked, section, key);
    else if (other)
        ls_fail(LS_USAGE, "%s: there is no option %s; it is a setting: %s", command, asked, other);
    return strchr(key, '.') || section || other;
}

/* Names that other programs have for options, and those here. The first that the command has is meant. */
static const char *other_option(const LsCall *call, const char *asked)
{
    static const char *const names[][2] = {{"file", "input"},
                                           {"text", "prompt"},
                                           {"text", "input"},
                                           {"texts", "input"},
                                           {"out", "output"},
                                           {"output-dir", "output"},
                                           {"output-file", "output"},
                                           {"max-tokens", "tokens"},
                                           {"max-new-tokens", "tokens"},
                                           {"length", "tokens"},
                                           {"num-tokens", "tokens"},
                                           {"num-samples", "batch"},
                                           {"metrics", "metric"},
                                           {"x", "against"},
                                           {"column", "metric"},
                                           {"y", "metric"},
                                           {"key", "field"},
                                           {"json-field", "field"},
                                           {"val", "validation"},
                                           {"valid", "validation"},
                                           {"test-split", "test"},
                                           {"vocab", "vocabulary"},
                                           {"tokenizer-path", "tokenizer"}};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++)
        if (strcmp(asked + 2, names[i][0]) == 0 && (by_name(call->command, names[i][1], strlen(names[i][1])) ||
                                                    in_kind(call, names[i][1], strlen(names[i][1]))))
            return names[i][1];
    return NULL;
}

static LsStatus unknown_option(const LsCall *call, const char *argument)
{
    char names[2 * LS_MAX_OPTIONS][66], asked[128], name[64];
    snprintf(asked, sizeof asked, "%.*s", (int)strcspn(argument, "="), argument);
    const char *other = asked[0] && asked[1] == '-' ? other_option(call, asked) : NULL;
    if (other)
        return ls_fail(LS_USAGE, "%s: there is no option %s; here it is --%s (lockstep %s --help)", call->command->name,
                       asked, other, call->command->name);
    LsNearest near = ls_nearest_to(asked);
    int count = 0;
    for (const LsOption *option = call->command->options; option && option->setting.name && count < LS_MAX_OPTIONS;
         option++) {
        written(option->setting.name, name);
        snprintf(names[count], sizeof names[0], "--%s", name);
        ls_nearest_offer(&near, names[count++]);
    }
    for (const LsSetting *setting = call->kind.settings; setting && setting->name && count < 2 * LS_MAX_OPTIONS;
         setting++) {
        written(setting->name, name);
        snprintf(names[count], sizeof names[0], "--%s", name);
        ls_nearest_offer(&near, names[count++]);
    }
    if (!near.best && is_setting(call, asked))
        return ls_message_status();
    const char *kind = call->kind.name ? call->kind.name : "";
    return ls_fail(LS_USAGE, "%s: there is no option %s%s (lockstep %s%s%s --help)", call->command->name, asked,
                   ls_nearest_hint(&near), call->command->name, kind[0] ? " " : "", kind);
}

LsStatus ls_text_list_stdin(const LsTextList *list, const char *option, bool *there)
{
    int times = 0;
    for (int i = 0; i < list->count; i++)
        times += strcmp(list->text[i], "-") == 0;
    *there = times > 0;
    return times > 1 ? ls_fail(LS_USAGE, "%s - is given twice, and standard input is read once", option) : LS_OK;
}

static LsStatus append_text(LsTextList *list, const char *text)
{
    char **grown = ls_alloc_array((int64_t)list->count + 1, sizeof *grown), *copy = grown ? ls_strdup(text) : NULL;
    if (!copy) {
        ls_free(grown);
        return LS_RESOURCE;
    }
    if (list->count)
        memcpy(grown, list->text, sizeof *grown * (size_t)list->count);
    grown[list->count++] = copy;
    ls_free(list->text);
    list->text = grown;
    return LS_OK;
}

static LsStatus set_option(const LsCall *call, const LsSetting *setting, const void *base, const char *value)
{
    char name[64];
    LsSetting table[2] = {*setting, {0}};
    LsStatus status = ls_settings_set(table, (void *)(uintptr_t)base, setting->name, value);
    if (status != LS_USAGE)
        return status;
    written(setting->name, name);
    const char *what = strchr(ls_message(), ':'); /* after the field's name, which is written otherwise here */
    return ls_fail(LS_USAGE, "%s: --%s%s", call->command->name, name, what ? what : "");
}

/* An option that was read, and the text of its value. */
typedef struct Given {
    const LsSetting *setting;
    const char *value;
} Given;

/* What was given: of no more than the command line has arguments. */
typedef struct GivenList {
    Given *list;
    int count;
} GivenList;

/* Of an option that is no list one value counts: two that differ are a mistake, whichever was meant. */
static LsStatus note_given(const LsCall *call, GivenList *given, const LsSetting *setting, const char *value)
{
    for (int i = 0; i < given->count; i++)
        if (given->list[i].setting == setting && strcmp(given->list[i].value, value) != 0) {
            char name[64];
            written(setting->name, name);
            return ls_fail(LS_USAGE, "%s: --%s is given twice, %s and %s, and takes one: leave one out",
                           call->command->name, name, given->list[i].value, value);
        }
    given->list[given->count++] = (Given){setting, value};
    return LS_OK;
}

static bool was_given(const GivenList *given, const LsSetting *setting)
{
    for (int i = 0; i < given->count; i++)
        if (given->list[i].setting == setting)
            return true;
    return false;
}

/* Reads the option at argv[*at]; *at is left on the last argument it used. */
static LsStatus read_option(const LsCall *call, int argc, char *const *argv, int *at, GivenList *given)
{
    const char *argument = argv[*at], *value = NULL;
    const LsOption *option = NULL;
    const LsSetting *setting = NULL;
    if (argument[1] == '-') {
        const char *name = argument + 2;
        size_t length = strcspn(name, "=");
        option = by_name(call->command, name, length);
        setting = option ? &option->setting : in_kind(call, name, length);
        value = name[length] ? name + length + 1 : NULL;
    } else {
        option = by_letter(call->command, argument[1]);
        setting = option ? &option->setting : NULL;
        value = argument[2] ? argument + 2 : NULL; /* -oFILE */
    }
    if (!setting || (argument[1] != '-' && value && setting->type == LS_SETTING_TYPE_BOOL))
        return unknown_option(call, argument);
    if (!value && setting->type == LS_SETTING_TYPE_BOOL)
        value = "true";
    else if (!value && ++*at < argc)
        value = argv[*at];
    if (!value)
        return ls_fail(LS_USAGE, "%s: %s needs a value (%s)", call->command->name, argument,
                       option && option->argument ? option->argument : "VALUE");
    if (option && option->repeats) {
        given->list[given->count++] = (Given){setting, value};
        return append_text((LsTextList *)(void *)((char *)(uintptr_t)call->options + setting->offset), value);
    }
    LS_TRY(note_given(call, given, setting, value));
    return set_option(call, setting, option ? call->options : call->settings, value);
}

/* Where the first operand stands, which names the kind: after options of the command itself, perhaps. -1: nowhere. */
static int first_operand(const LsCommand *command, int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1])
            return i;
        const LsOption *option =
            argv[i][1] == '-' ? by_name(command, argv[i] + 2, strlen(argv[i] + 2)) : by_letter(command, argv[i][1]);
        if (option && option->setting.type != LS_SETTING_TYPE_BOOL && (argv[i][1] == '-' || !argv[i][2]))
            i++; /* its value */
    }
    return -1;
}

bool ls_cli_kind_find(const LsCommand *command, const char *name, LsCommandKind *kind)
{
    LsCommandKind each;
    for (int i = 0; command->kinds && command->kinds(i, &each); i++)
        if (strcmp(each.name, name) == 0) {
            *kind = each;
            return true;
        }
    return false;
}

/* Takes the kind that the first operand names. */
static LsStatus choose_kind(LsCall *call, const char *name)
{
    char names[512] = "";
    LsNearest near = ls_nearest_to(name ? name : "");
    LsCommandKind kind;
    if (name && ls_cli_kind_find(call->command, name, &call->kind)) {
        call->settings = ls_alloc(call->kind.settings_bytes);
        return call->settings ? ls_settings_defaults(call->kind.settings, (void *)(uintptr_t)call->settings)
                              : LS_RESOURCE;
    }
    for (int i = 0; call->command->kinds(i, &kind); i++) {
        ls_nearest_offer(&near, kind.name);
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", kind.name);
    }
    if (name && access(name, F_OK) == 0)
        return ls_fail(LS_USAGE,
                       "%s: the first argument is the kind, and then comes %s; there are: %s (lockstep %s --help)",
                       call->command->name, name, names, call->command->name);
    return ls_fail(LS_USAGE, "%s: the first argument is the kind; there are: %s%s (lockstep %s --help)",
                   call->command->name, names, ls_nearest_hint(&near), call->command->name);
}

/* The first of the options in a list of fields, "a|b", that was given; NULL: none. */
static const LsOption *first_given(const LsCommand *command, const GivenList *given, const char *fields)
{
    for (const LsOption *option = command->options; option->setting.name; option++)
        if (ls_text_lists(fields, option->setting.name) && was_given(given, &option->setting))
            return option;
    return NULL;
}

/* Options that change nothing beside the others are a mistake: something else was meant. */
static LsStatus check_counts(const LsCommand *command, const GivenList *given)
{
    for (const LsOption *option = command->options; option && option->setting.name; option++) {
        if (!was_given(given, &option->setting))
            continue;
        char name[64], other[64];
        const LsOption *beside = first_given(command, given, option->without);
        bool lacks = option->with && !first_given(command, given, option->with);
        written(option->setting.name, name);
        written(beside ? beside->setting.name : option->with ? option->with : "", other);
        if (lacks || beside)
            return ls_fail(LS_USAGE, "%s: --%s changes nothing %s --%s: %s (lockstep %s --help)", command->name, name,
                           beside ? "beside" : "without", other,
                           beside ? "leave one of them out" : "give both, or leave it out", command->name);
    }
    return LS_OK;
}

static LsStatus check_complete(const LsCommand *command, int operands, const GivenList *given)
{
    const char *usage = command->operands ? command->operands : "";
    if (operands < command->least)
        return ls_fail(LS_USAGE, "%s: too few arguments; usage: lockstep %s %s (lockstep %s --help)", command->name,
                       command->name, usage, command->name);
    if (command->most >= 0 && operands > command->most)
        return ls_fail(LS_USAGE, "%s: too many arguments; usage: lockstep %s %s (lockstep %s --help)", command->name,
                       command->name, usage, command->name);
    for (const LsOption *option = command->options; option && option->setting.name; option++)
        if (option->required && !was_given(given, &option->setting)) {
            char name[64];
            written(option->setting.name, name);
            return ls_fail(LS_USAGE, "%s: --%s %s is missing: %s (lockstep %s --help)", command->name, name,
                           option->argument ? option->argument : "", option->setting.help, command->name);
        }
    return check_counts(command, given);
}

static LsStatus defaults(const LsCommand *command, void *options)
{
    for (const LsOption *option = command->options; option && option->setting.name; option++) {
        LsSetting table[2] = {option->setting, {0}};
        LS_TRY(ls_settings_defaults(table, options));
    }
    return LS_OK;
}

/* All but argv[kind]; kind -1: none. */
static LsStatus read_arguments(LsCall *call, int argc, char *const *argv, int kind, char **operand, GivenList *given)
{
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        if (i == kind)
            continue;
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (!ended && argv[i][0] == '-' && argv[i][1])
            LS_TRY(read_option(call, argc, argv, &i, given));
        else
            operand[call->operands++] = argv[i];
    }
    return LS_OK;
}

LsStatus ls_cli_parse(const LsCommand *command, int argc, char *const *argv, LsCall *call, bool *help)
{
    void *options = ls_alloc(command->options_bytes);
    char **operand = ls_alloc_array(argc + 1, sizeof *operand);
    call->options = options;
    call->operand = operand;
    if (!options || !operand)
        return LS_RESOURCE;
    int kind = command->kinds ? first_operand(command, argc, argv) : -1;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *help = true;
            if (kind >= 0)
                ls_cli_kind_find(command, argv[kind], &call->kind);
            return LS_OK;
        }
    LS_TRY(defaults(command, options));
    if (command->kinds)
        LS_TRY(choose_kind(call, kind < 0 ? NULL : argv[kind]));
    GivenList given = {.list = ls_alloc_array(argc + 1, sizeof *given.list)};
    LsStatus status = given.list ? read_arguments(call, argc, argv, kind, operand, &given) : LS_RESOURCE;
    if (status == LS_OK)
        status = check_complete(command, call->operands, &given);
    ls_free(given.list);
    return status;
}

void ls_cli_release(LsCall *call)
{
    void *options = (void *)(uintptr_t)call->options, *settings = (void *)(uintptr_t)call->settings;
    for (const LsOption *option = call->command->options; options && option && option->setting.name; option++) {
        LsSetting table[2] = {option->setting, {0}};
        LsTextList *list = (LsTextList *)(void *)((char *)options + option->setting.offset);
        for (int i = 0; option->repeats && i < list->count; i++)
            ls_free(list->text[i]);
        ls_settings_free(table, options);
    }
    if (settings)
        ls_settings_free(call->kind.settings, settings);
    ls_free(options);
    ls_free(settings);
    ls_free((void *)(uintptr_t)call->operand);
    call->options = call->settings = NULL;
    call->operand = NULL;
}
