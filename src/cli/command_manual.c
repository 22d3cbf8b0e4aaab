/* lockstep manual: pages for man, made from the tables that parsing uses. */
#include "cli/cli.h"
#include "config/nearest.h"
#include "io/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Options {
    char *folder;
} Options;

static const LsOption options[] = {
    {.setting = LS_SETTING_STRING(Options, folder, NULL,
                                  "writes lockstep.1 and a page of each command, lockstep-NAME.1, into it"),
     .argument = "DIR"},
    {{0}}};

static const struct {
    const char *name, *help;
} variables[] = {
#define VARIABLE(name, help) {name, help},
#include "cli/environment.def"
#undef VARIABLE
};

/* ---- roff -------------------------------------------------------------------------------------------------------- */

/* A text with what roff would take for its own written so that it prints. */
static void roff_text(FILE *out, const char *text)
{
    for (bool start = true; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        start = *text == '\n';
    }
}

static void roff_option(FILE *out, const LsSetting *setting, const char *argument, char letter, bool required)
{
    char name[64];
    snprintf(name, sizeof name, "%s", setting->name);
    for (char *each = name; *each; each++)
        *each = *each == '_' ? '-' : *each;
    fputs(".TP\n.B ", out);
    if (letter)
        fprintf(out, "\\-%c, ", letter);
    fputs("\\-\\-", out);
    roff_text(out, name);
    if (argument) {
        fputc(' ', out);
        roff_text(out, argument);
    }
    fputc('\n', out);
    roff_text(out, setting->help);
    if (setting->type == LS_SETTING_TYPE_CHOICE) {
        fputs(": ", out);
        roff_text(out, setting->choices);
    }
    if (required)
        fputs(" (required)", out);
    else if (setting->fallback && setting->type != LS_SETTING_TYPE_BOOL && setting->fallback[0]) {
        fputs(" (default ", out);
        roff_text(out, setting->fallback);
        fputc(')', out);
    }
    fputc('\n', out);
}

static void write_page(FILE *out, const LsCommand *command)
{
    LsCommandKind kind;
    fputs(".TH LOCKSTEP-", out); /* man pages' titles are in capitals */
    for (const char *each = command->name; *each; each++)
        fputc(toupper((unsigned char)*each), out);
    fprintf(out, " 1 \"\" \"lockstep " LOCKSTEP_VERSION "\"\n.SH NAME\nlockstep\\-%s \\- ", command->name);
    roff_text(out, command->summary);
    fputs("\n.SH SYNOPSIS\n", out);
    if (command->launch == LS_PARALLEL)
        fputs(".RB [ \"mpirun \\-np\" \" N]\"\n", out);
    fprintf(out, ".B lockstep %s\n", command->name);
    roff_text(out, command->operands ? command->operands : "");
    fputs(command->options ? " [options]\n" : "\n", out);
    if (command->description) {
        fputs(".SH DESCRIPTION\n", out);
        roff_text(out, command->description);
        fputc('\n', out);
    }
    fputs(".SH OPTIONS\n", out);
    for (const LsOption *option = command->options; option && option->setting.name; option++)
        roff_option(out, &option->setting, option->argument, option->letter, option->required);
    fputs(".TP\n.B \\-h, \\-\\-help\nThe same in short.\n", out);
    for (int i = 0; command->kinds && command->kinds(i, &kind); i++) {
        fprintf(out, ".SS Options of %s %s\n", command->name, kind.name);
        roff_text(out, kind.summary);
        fputc('\n', out);
        for (const LsSetting *setting = kind.settings; setting->name; setting++)
            roff_option(out, setting, setting->type == LS_SETTING_TYPE_BOOL ? NULL : "VALUE", 0, false);
    }
    fputs(".SH EXAMPLE\n.EX\n", out);
    roff_text(out, command->example);
    fputs("\n.EE\n.SH SEE ALSO\n.BR lockstep (1)\n", out);
}

static void write_overview(FILE *out)
{
    fputs(".TH LOCKSTEP 1 \"\" \"lockstep " LOCKSTEP_VERSION
          "\"\n.SH NAME\nlockstep \\- trains models on CPU machines\n"
          ".SH SYNOPSIS\n.B lockstep\nCOMMAND [arguments] [options]\n.SH COMMANDS\n",
          out);
    for (const LsCommand *const *command = ls_commands(); *command; command++) {
        fprintf(out, ".TP\n.BR lockstep\\-%s (1)\n", (*command)->name);
        roff_text(out, (*command)->summary);
        fputc('\n', out);
    }
    fputs(".SH ENVIRONMENT\n", out);
    for (size_t i = 0; i < LS_COUNT_OF(variables); i++) {
        fprintf(out, ".TP\n.B %s\n", variables[i].name);
        roff_text(out, variables[i].help);
        fputc('\n', out);
    }
    fputs(".SH EXIT STATUS\n0 done, 2 usage or configuration, 3 data, 4 checkpoint, 5 diverged, 6 MPI or launch, 7 out "
          "of disk or memory, 75 stopped on a signal after saving (run again), 1 anything else.\n",
          out);
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

/* command NULL: the overview. */
static LsStatus write_file(const char *folder, const LsCommand *command)
{
    char *path = command ? ls_format("%s/lockstep-%s.1", folder, command->name) : ls_format("%s/lockstep.1", folder);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = path ? open_memstream(&text, &bytes) : NULL;
    LsStatus status = out ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for a page");
    if (out) {
        command ? write_page(out, command) : write_overview(out);
        status = fclose(out) == 0 ? ls_file_replace(path, text, (int64_t)bytes)
                                  : ls_fail(LS_RESOURCE, "out of memory for a page");
    }
    free(text);
    ls_free(path);
    return status;
}

static LsStatus write_all(const char *folder)
{
    LS_TRY(ls_make_folders(folder));
    for (const LsCommand *const *command = ls_commands(); *command; command++)
        LS_TRY(write_file(folder, *command));
    return write_file(folder, NULL);
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    if (o->folder)
        return write_all(o->folder);
    if (!call->operands) {
        write_overview(stdout);
        return LS_OK;
    }
    LsNearest near = ls_nearest_to(call->operand[0]);
    for (const LsCommand *const *command = ls_commands(); *command; command++) {
        ls_nearest_offer(&near, (*command)->name);
        if (strcmp((*command)->name, call->operand[0]) == 0) {
            write_page(stdout, *command);
            return LS_OK;
        }
    }
    return ls_fail(LS_USAGE, "there is no command '%s'%s (lockstep --help lists them)", call->operand[0],
                   ls_nearest_hint(&near));
}

static const char *name_at(int index)
{
    const LsCommand *const *command = ls_commands();
    while (*command && index-- > 0)
        command++;
    return *command ? (*command)->name : NULL;
}

const LsCommand ls_command_manual = {
    .name = "manual",
    .summary = "prints a page for man, of the program or of a command",
    .operands = "[COMMAND]",
    .most = 1,
    .description = "Installed as share/man/man1/lockstep.1 and lockstep-COMMAND.1.",
    .example = "man -l <(lockstep manual train)",
    .options = options,
    .options_bytes = sizeof(Options),
    .names = name_at,
    .run = run,
};
