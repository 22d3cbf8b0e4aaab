/* The program's frame. A command is one file, src/cli/command_NAME.c, that fills in an LsCommand, and one line in
 * commands.def.
 *
 *     typedef struct { int64_t tokens; char *prompt; bool json; } Options;
 *     static const LsOption options[] = {
 *         {LS_SETTING_STRING(Options, prompt, NULL, "text to continue"), "TEXT", .required = true},
 *         {LS_SETTING_INT(Options, tokens, "100", 1, 1e9, "tokens to sample"), "N", .letter = 'n'},
 *         {LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")},
 *         {{0}}};
 *     static LsStatus run(LsCall *call)
 *     {
 *         const Options *o = call->options;
 *         printf("%s\n", o->prompt);                   // results to stdout; log and progress by ls_log to stderr
 *         return LS_OK;                                // or ls_fail(...): the frame prints the message once
 *     }
 *     const LsCommand ls_command_generate = {
 *         .name = "generate", .summary = "samples from a model", .operands = "RUN", .least = 1, .most = 1,
 *         .options = options, .options_bytes = sizeof(Options), .run = run,
 *         .example = "lockstep generate runs/a --prompt \"ROMEO:\""};
 *
 * Options are declared as settings (lockstep/settings.h): a field top_k is written --top-k, with the setting's type,
 * range, choices, default and help. `--name VALUE`, `--name=VALUE` and `-o VALUE` are read anywhere on the line;
 * `--` ends them; flags stand alone. `--help` is there for every command. The status that run returns is the
 * program's exit status.
 */
#ifndef LS_CLI_CLI_H
#define LS_CLI_CLI_H

#include "lockstep/settings.h"
#include "lockstep/tensor.h"

#include <jansson.h>
#include <stdio.h>

#define LS_MAX_OPTIONS 32

typedef struct LsOption {
    LsSetting setting;
    const char *argument; /* what the value is called in the help text; NULL for flags (bool) */
    char letter;          /* short form, 0: none */
    bool required;
    bool repeats; /* a text that may be given several times: the setting's field is an LsTextList */
    /* fields of other options, "a|b": it is refused where none of `with`, or one of `without` is given, for it would
     * change nothing; NULL: it counts by itself, and beside all */
    const char *with, *without;
} LsOption;

typedef struct LsTextList {
    char **text; /* in the order of the command line */
    int count;
} LsTextList;

/* Whether "-", standard input, is in the list; LS_USAGE where it is there twice. option: "generate: --prompt-file" */
LsStatus ls_text_list_stdin(const LsTextList *list, const char *option, bool *there) LS_MUST_USE;

/* One of the kinds that a command's first argument chooses among (prepare KIND), with settings that are options too. */
typedef struct LsCommandKind {
    const char *name, *summary, *example; /* example: lines; NULL: none of its own */
    const LsSetting *settings;            /* ended by {0} */
    size_t settings_bytes;
} LsCommandKind;

/* One call of a command, parsed. */
typedef struct LsCall {
    const struct LsCommand *command;
    const void *options; /* the command's structure, filled */
    LsCommandKind kind;  /* where the command has kinds: the one chosen, and its structure, filled */
    const void *settings;
    int operands;
    char *const *operand;
    const LsComm *comm; /* all ranks where the command is parallel, else ls_comm_self() */
    /* set by run: a status that is not LS_OK is a result (diff: different), and no error is to be printed */
    bool told;
} LsCall;

typedef enum LsLaunch {
    LS_SERIAL, /* never touches MPI */
    /* the frame starts MPI before run. Run is collective and returns the same status on every rank (ls_dist_agree) */
    LS_PARALLEL
} LsLaunch;

typedef struct LsCommand {
    const char *name, *summary; /* summary: one line, no capital, no full stop */
    const char *operands;       /* as in "usage: lockstep NAME OPERANDS" */
    int least, most;            /* operands; most -1: any number */
    const char *description;    /* more lines for --help; NULL: none */
    const char *example;        /* lines */
    LsLaunch launch;
    /* with many threads: how they wait is chosen before it runs (cli/waiting.h). All parallel ones do */
    bool computes;
    bool saves;              /* signals ask it to stop (ls_signals_stop_requested); others are ended by them at once */
    const LsOption *options; /* ended by {{0}}; NULL: none */
    size_t options_bytes;
    bool (*kinds)(int index, LsCommandKind *kind); /* kind number 0, 1, ...; false past the last. NULL: none */
    const char *(*names)(int index); /* what the first operand may be; NULL past the last. NULL: not a list */
    LsStatus (*run)(LsCall *call);
} LsCommand;

const LsCommand *const *ls_commands(void); /* all, ended by NULL */

/* ---- The frame --------------------------------------------------------------------------------------------------- */

/* Parses argv[0..argc-1], what stands after the command's name, into *call: ->options is allocated, ->operand too.
 * *help: --help was among them, and nothing was checked; call->kind is the kind that was named with it, if any.
 * LS_USAGE with a message. */
LsStatus ls_cli_parse(const LsCommand *command, int argc, char *const *argv, LsCall *call, bool *help) LS_MUST_USE;
void ls_cli_release(LsCall *call);

void ls_cli_help(FILE *out); /* lockstep --help */
/* lockstep NAME --help, and NAME KIND --help where kind->name is not NULL. */
void ls_cli_command_help(FILE *out, const LsCommand *command, const LsCommandKind *kind);
/* The kind of a command by its name; false: there is none. */
bool ls_cli_kind_find(const LsCommand *command, const char *name, LsCommandKind *kind);

/* lockstep --version: one "name  value" pair a line. LS_USAGE where LOCKSTEP_ISA is wrong. */
LsStatus ls_cli_version(FILE *out) LS_MUST_USE;

/* ---- Results ----------------------------------------------------------------------------------------------------- */

/* Prints `text` indented, broken at spaces so that lines end before column 100, the first one continuing at
 * `column`. */
void ls_print_wrapped(FILE *out, const char *text, int column, int indent);

/* Prints an object to stdout and takes the caller's reference. LS_RESOURCE where object is NULL (out of memory). */
LsStatus ls_print_json(json_t *object) LS_MUST_USE;

/* Prints an object's texts and numbers to stdout, one "key   value" a line, objects in it indented below; lists are
 * passed over. */
void ls_print_fields(json_t *object, int indent);

/* Prints an array of objects to stdout as a table: a row each, a column for each key, texts to the left. */
LsStatus ls_print_table(json_t *rows) LS_MUST_USE;

/* The same as CSV (RFC 4180): a line of names, a line a row; numbers read back to the bit. */
LsStatus ls_print_csv(json_t *rows) LS_MUST_USE;

/* A text as JSON; bytes that are no UTF-8 (in names of files) become U+FFFD. */
json_t *ls_json_text(const char *text);
json_t *ls_json_bytes(const char *text, int64_t bytes); /* the same of a text that may hold zeros, which stay */

/* A number, or null where it is not finite (JSON has no NaN). */
json_t *ls_json_number(double value);

/* LS_OK if everything printed to stdout so far has arrived: a closed pipe or a full disk is an error. */
LsStatus ls_check_stdout(void) LS_MUST_USE;

/* Whether ls_check_stdout has found a pipe that nobody reads any more: the program then ends without a word, by
 * SIGPIPE. */
bool ls_stdout_closed(void);

#endif
