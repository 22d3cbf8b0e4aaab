/* Help texts, made from the tables that parsing uses. */
#include "cli/cli.h"

#include <string.h>

#define TEXT_COLUMN 26
#define WIDTH 100

void ls_print_wrapped(FILE *out, const char *text, int column, int indent)
{
    bool space = false; /* owed before the next word of this line */
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (column + space + length > WIDTH && column > indent) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            space = false;
        }
        column += fprintf(out, "%s%.*s", space ? " " : "", length, text);
        text += length;
        space = *text == ' ';
        if (*text == '\n' && text[1]) {
            fprintf(out, "\n%*s", text[1] == '\n' ? 0 : indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    fputc('\n', out);
}

/* Pads what was printed, `used` columns wide, to the column of the texts. */
static int to_text_column(FILE *out, int used)
{
    if (used >= TEXT_COLUMN - 1) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", TEXT_COLUMN - used, "");
    return TEXT_COLUMN;
}

static void option_help(FILE *out, const LsSetting *setting, const char *argument, char letter, bool required)
{
    char name[64], text[1024];
    snprintf(name, sizeof name, "%s", setting->name);
    for (char *each = name; *each; each++)
        if (*each == '_')
            *each = '-';
    int used = letter ? fprintf(out, "  -%c, --%s", letter, name) : fprintf(out, "  --%s", name);
    if (argument)
        used += fprintf(out, " %s", argument);
    int length = snprintf(text, sizeof text, "%s", setting->help);
    if (setting->type == LS_SETTING_TYPE_CHOICE)
        length += snprintf(text + length, sizeof text - (size_t)length, ": %s", setting->choices);
    if (required)
        snprintf(text + length, sizeof text - (size_t)length, " (required)");
    else if (setting->fallback && setting->type != LS_SETTING_TYPE_BOOL && setting->fallback[0])
        snprintf(text + length, sizeof text - (size_t)length, " (default %s)", setting->fallback);
    ls_print_wrapped(out, text, to_text_column(out, used), TEXT_COLUMN);
}

static const char *argument_of(LsSettingType type)
{
    static const char *const names[] = {NULL, "N", "X", NULL, "TEXT", "NAME", "BYTES", "TEXT", NULL};
    return (size_t)type < LS_COUNT_OF(names) ? names[type] : NULL;
}

static void kinds_help(FILE *out, const LsCommand *command)
{
    LsCommandKind kind;
    fprintf(out, "\nkinds (lockstep %s KIND --help has the options of each):\n", command->name);
    for (int i = 0; command->kinds(i, &kind); i++) {
        int used = fprintf(out, "  %-10s ", kind.name);
        ls_print_wrapped(out, kind.summary, used, used);
    }
}

static void examples_help(FILE *out, const char *example)
{
    fprintf(out, "\nexample:\n  ");
    for (const char *letter = example; *letter; letter++) {
        fputc(*letter, out);
        if (*letter == '\n')
            fputs("  ", out); /* commands are not broken: they are there to be copied */
    }
    fputc('\n', out);
}

/* "KIND SOURCE..." with the kind's name in the place of its first word. */
static void usage_help(FILE *out, const LsCommand *command, const LsCommandKind *kind)
{
    const char *operands = command->operands;
    fprintf(out, "usage: %slockstep %s", command->launch == LS_PARALLEL ? "[mpirun -np N] " : "", command->name);
    if (operands && kind->name)
        fprintf(out, " %s%s", kind->name, operands + strcspn(operands, " "));
    else if (operands)
        fprintf(out, " %s", operands);
    fprintf(out, "%s\n\n", command->options ? " [options]" : "");
}

void ls_cli_command_help(FILE *out, const LsCommand *command, const LsCommandKind *kind)
{
    usage_help(out, command, kind);
    int used = kind->name ? fprintf(out, "%s %s: ", command->name, kind->name) : fprintf(out, "%s: ", command->name);
    ls_print_wrapped(out, kind->name ? kind->summary : command->summary, used, 0);
    if (command->description && !kind->name) {
        fputc('\n', out);
        ls_print_wrapped(out, command->description, 0, 0);
    }
    if (command->kinds && !kind->name)
        kinds_help(out, command);
    fprintf(out, "\noptions:\n");
    for (const LsSetting *setting = kind->settings; setting && setting->name; setting++)
        option_help(out, setting, argument_of(setting->type), 0, false);
    for (const LsOption *option = command->options; option && option->setting.name; option++)
        option_help(out, &option->setting, option->argument, option->letter, option->required);
    used = fprintf(out, "  -h, --help");
    ls_print_wrapped(out, "this text", to_text_column(out, used), TEXT_COLUMN);
    examples_help(out, kind->example ? kind->example : command->example);
}

void ls_cli_help(FILE *out)
{
    fprintf(out,
            "usage: lockstep COMMAND [arguments] [options]\n\n"
            "Trains Transformers and state-space models on CPU machines: OpenMP inside a rank, MPI between ranks.\n\n"
            "commands (lockstep COMMAND --help says more):\n");
    for (const LsCommand *const *command = ls_commands(); *command; command++)
        fprintf(out, "  %-10s %s\n", (*command)->name, (*command)->summary);
    fprintf(out,
            "\n  lockstep --version   version, instruction set and libraries in use\n\n"
            "exit status: 0 done, 2 usage or configuration, 3 data, 4 checkpoint, 5 diverged, 6 MPI or launch,\n"
            "             7 out of disk or memory, 75 stopped on a signal after saving (run again), 1 anything else\n\n"
            "example:\n"
            "  lockstep prepare text book.txt -o book.h5 --tokenizer characters\n"
            "  mpirun -np 2 lockstep train jobs/shakespeare-gpt.yaml data.path=book.h5 train.steps=500\n");
}
