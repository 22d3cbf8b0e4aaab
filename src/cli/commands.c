/* The commands, as main.c and the help texts go through them. */
#include "cli/cli.h"

#define COMMAND(name) extern const LsCommand ls_command_##name;
#include "cli/commands.def"
#undef COMMAND

static const LsCommand *const commands[] = {
#define COMMAND(name) &ls_command_##name,
#include "cli/commands.def"
#undef COMMAND
    NULL};

const LsCommand *const *ls_commands(void) { return commands; }
