/* lockstep completion: what the shell completes, made from the tables that parsing uses. */
#include "cli/cli.h"
#include "config/config.h"

#include <string.h>

static void print_name(const char *name)
{
    for (; *name; name++)
        putchar(*name == '_' ? '-' : *name);
}

static void print_option(const LsSetting *setting)
{
    fputs(" --", stdout);
    print_name(setting->name);
}

static void print_options(const LsCommand *command)
{
    LsCommandKind kind;
    printf("        %s) options=\"--help", command->name);
    for (const LsOption *option = command->options; option && option->setting.name; option++)
        print_option(&option->setting);
    for (int i = 0; command->kinds && command->kinds(i, &kind); i++)
        for (const LsSetting *setting = kind.settings; setting->name; setting++)
            print_option(setting);
    fputs("\"", stdout);
    fputs(" kinds=\"", stdout);
    for (int i = 0; command->kinds && command->kinds(i, &kind); i++)
        printf(" %s", kind.name);
    for (int i = 0; command->names && command->names(i); i++)
        printf(" %s", command->names(i));
    puts("\" ;;");
}

static void print_values(const char *choices)
{
    for (const char *c = choices; *c; c++)
        putchar(*c == '|' ? ' ' : *c);
}

/* One line of the case over "COMMAND OPTION". */
static void print_choice(const char *command, const LsSetting *setting)
{
    if (setting->type != LS_SETTING_TYPE_CHOICE)
        return;
    printf("        \"%s --", command);
    print_name(setting->name);
    fputs("\") values=\"", stdout);
    print_values(setting->choices);
    puts("\" ;;");
}

static void print_choices(const LsCommand *command)
{
    LsCommandKind kind;
    for (const LsOption *option = command->options; option && option->setting.name; option++)
        print_choice(command->name, &option->setting);
    for (int i = 0; command->kinds && command->kinds(i, &kind); i++)
        for (const LsSetting *setting = kind.settings; setting->name; setting++)
            print_choice(command->name, setting);
}

/* For each table of settings of a job: those of all sections and of every kind. */
static void each_table(void (*print)(const char *section, const LsSetting *table))
{
    print("data", ls_data_settings);
    print("train", ls_train_settings);
    print("lora", ls_lora_settings);
    print("output", ls_output_settings);
    for (const LsModel *const *model = ls_models(); *model; model++)
        print("model", (*model)->settings);
    for (const LsTask *const *task = ls_tasks(); *task; task++)
        print("task", (*task)->settings);
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++)
        print("data", (*kind)->use_settings);
    for (const LsProcedure *const *procedure = ls_procedures(); *procedure; procedure++)
        print("train", (*procedure)->settings);
}

static void print_keys(const char *section, const LsSetting *setting)
{
    for (; setting && setting->name; setting++)
        printf(" %s.%s=", section, setting->name);
}

/* Lines of the case over the key of `key=value`; two kinds may have settings of one name. */
static void print_key_choices(const char *section, const LsSetting *setting)
{
    for (; setting && setting->name; setting++) {
        if (setting->type != LS_SETTING_TYPE_CHOICE && setting->type != LS_SETTING_TYPE_BOOL)
            continue;
        printf("        %s.%s) values+=\" ", section, setting->name);
        print_values(setting->type == LS_SETTING_TYPE_BOOL ? "true|false" : setting->choices);
        puts("\" ;;&");
    }
}

static void print_kinds(void)
{
    fputs("        model.kind) values+=\"", stdout);
    for (const LsModel *const *model = ls_models(); *model; model++)
        printf(" %s", (*model)->name);
    fputs("\" ;;&\n        task.kind) values+=\"", stdout);
    for (const LsTask *const *task = ls_tasks(); *task; task++)
        printf(" %s", (*task)->name);
    fputs("\" ;;&\n        data.kind) values+=\"", stdout);
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++)
        printf(" %s", (*kind)->name);
    fputs("\" ;;&\n        train.procedure) values+=\"", stdout);
    for (const LsProcedure *const *procedure = ls_procedures(); *procedure; procedure++)
        printf(" %s", (*procedure)->name);
    puts("\" ;;&");
}

static LsStatus run(LsCall *call)
{
    (void)call;
    puts("# Completion of lockstep in bash (source it, or keep it in share/bash-completion/completions/lockstep)\n"
         "_lockstep()\n{\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}\n"
         "    local options= kinds= values= key= prefix=\n"
         /* "key=value" is three words, or one where COMP_WORDBREAKS has no '=' */
         "    if [ \"$word\" = = ]; then key=$before word=\n"
         "    elif [ \"$before\" = = ]; then key=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    elif [[ $word == *=* ]]; then key=${word%%=*} prefix=${word%%=*}= word=${word#*=}\n"
         "    fi\n"
         "    [[ $key == --* ]] && before=$key");
    fputs("    local commands=\"--help --version", stdout);
    for (const LsCommand *const *command = ls_commands(); *command; command++)
        printf(" %s", (*command)->name);
    fputs("\"\n    local keys=\" model.kind= task.kind= data.kind= train.procedure=", stdout);
    each_table(print_keys);
    puts("\"");
    puts("    case $command in");
    for (const LsCommand *const *command = ls_commands(); *command; command++)
        print_options(*command);
    puts("    esac\n    case \"$command $before\" in");
    for (const LsCommand *const *command = ls_commands(); *command; command++)
        print_choices(*command);
    puts("    esac\n    case $key in");
    print_kinds();
    each_table(print_key_choices);
    puts("    esac\n"
         "    if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"$commands\" -- \"$word\"))\n"
         "    elif [ -n \"$values\" ]; then COMPREPLY=($(compgen -P \"$prefix\" -W \"$values\" -- \"$word\" | sort "
         "-u))\n"
         "    elif [ -n \"$key\" ]; then COMPREPLY=($(compgen -P \"$prefix\" -f -- \"$word\"))\n"
         "    elif [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$word\" | sort -u))\n"
         "    elif [ \"$COMP_CWORD\" = 2 ] && [ -n \"$kinds\" ]; then COMPREPLY=($(compgen -W \"$kinds\" -- "
         "\"$word\"))\n"
         "    elif [[ $word == *.* && $word != */* ]]; then\n"
         "        COMPREPLY=($(compgen -W \"$keys\" -- \"$word\" | sort -u) $(compgen -f -- \"$word\"))\n"
         "        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2> /dev/null\n"
         "    else COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "    fi\n"
         "}\n"
         "complete -o filenames -F _lockstep lockstep");
    return LS_OK;
}

const LsCommand ls_command_completion = {
    .name = "completion",
    .summary = "prints what bash needs to complete commands, options and settings",
    .most = 0,
    .description = "Installed as share/bash-completion/completions/lockstep.",
    .example = "source <(lockstep completion)",
    .run = run,
};
