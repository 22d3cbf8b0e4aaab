#include "cli/cli.h"
#include "cli/signals.h"
#include "cli/waiting.h"
#include "config/nearest.h"
#include "dist/dist.h"
#include "machine/threads.h"

#include <fcntl.h>
#include <signal.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const LsCommand *find(const char *name)
{
    for (const LsCommand *const *command = ls_commands(); *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

/* A descriptor 0, 1 or 2 that is closed would be given to the next file opened, and results printed into it. */
static void keep_standard_files(void)
{
    for (int descriptor = 0; descriptor < 3; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
            exit(LS_RESOURCE);
}

/* What other programs call what is done here. */
static const char *other_command(const char *name)
{
    static const char *const names[][2] = {{"finetune", "lockstep train with train.init"},
                                           {"fine-tune", "lockstep train with train.init"},
                                           {"resume", "the same lockstep train again"},
                                           {"perplexity", "lockstep eval RUN --input FILE"},
                                           {"evaluate", "lockstep eval"},
                                           {"test", "lockstep eval --split test"},
                                           {"score", "lockstep eval"},
                                           {"sample", "lockstep generate"},
                                           {"translate", "lockstep generate RUN --input FILE"},
                                           {"infer", "lockstep predict"},
                                           {"tokenize", "lockstep prepare"},
                                           {"preprocess", "lockstep prepare"},
                                           {"convert", "lockstep import and lockstep export"},
                                           {"compare", "lockstep eval --table, lockstep report and lockstep diff"},
                                           {"table", "lockstep eval --table"},
                                           {"chart", "lockstep plot"},
                                           {"show", "lockstep inspect"},
                                           {"info", "lockstep inspect"},
                                           {"status", "lockstep inspect RUN"},
                                           {"benchmark", "lockstep bench"}};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++)
        if (strcmp(names[i][0], name) == 0)
            return names[i][1];
    return NULL;
}

static LsStatus unknown_command(const char *name)
{
    if (other_command(name))
        return ls_fail(LS_USAGE, "there is no command '%s'; %s does that (lockstep --help lists all)", name,
                       other_command(name));
    LsNearest near = ls_nearest_to(name);
    for (const LsCommand *const *command = ls_commands(); *command; command++)
        ls_nearest_offer(&near, (*command)->name);
    return ls_fail(LS_USAGE, "there is no command '%s'%s (lockstep --help lists them)", name, ls_nearest_hint(&near));
}

/* Prints the message of a failure once. */
static void tell(LsStatus status, const LsCall *call, bool speaks)
{
    if (status == LS_OK || call->told || !speaks || ls_stdout_closed())
        return;
    if (status == LS_STOPPED)
        ls_log("%s", ls_message()[0] ? ls_message() : "stopped; run the same command again to go on");
    else
        ls_log_error("%s",
                     ls_message()[0] ? ls_message() : "failed without a message; this is a defect of the program");
}

static LsStatus run_command(const LsCommand *command, int argc, char **argv)
{
    LsCall call = {.command = command, .comm = ls_comm_self()};
    /* mistakes in the command line are told once, before MPI runs */
    bool help = false, started = false, speaks = command->launch == LS_SERIAL || ls_dist_launched_rank() <= 0;
    LsStatus status = ls_signals_begin(command->saves);
    if (status == LS_OK)
        status = ls_cli_parse(command, argc, argv, &call, &help);
    if (status == LS_OK && help) {
        if (speaks)
            ls_cli_command_help(stdout, command, &call.kind);
    } else if (status == LS_OK) {
        bool parallel = command->launch == LS_PARALLEL;
        status = parallel ? ls_dist_start(NULL, NULL, &call.comm) : ls_threads_alone();
        started = status == LS_OK;
        if (started) {
            speaks = call.comm->rank == 0;
            status = command->run(&call);
            if (status != LS_OK && status != LS_STOPPED)
                ls_signals_failed();
            LsStatus printed = ls_check_stdout();
            if (status == LS_OK)
                status = printed;
            if (status == LS_LAUNCH && ls_dist_has_timed_out()) { /* whichever rank finds out */
                ls_log_error("rank %d: %s; the job is ended on all ranks", call.comm->rank, ls_message());
                call.comm->abort(call.comm, status);
            }
            if (parallel)
                status = ls_dist_agree(call.comm, status);
        }
    }
    tell(status, &call, speaks);
    if (status != LS_OK && !started && !speaks)
        usleep(500000); /* mpirun ends all processes when the first fails: rank 0 needs time for its message */
    ls_cli_release(&call);
    ls_dist_finish();
    return status;
}

static LsStatus run(int argc, char **argv)
{
    LsCall none = {0};
    LsStatus status = LS_OK;
    const char *name = argc > 1 ? argv[1] : "--help";
    const LsCommand *command = find(name);
    if (command) {
        if (command->launch == LS_PARALLEL || command->computes)
            ls_waiting_begin(argv);
        return run_command(command, argc - 2, argv + 2);
    }
    status = ls_signals_begin(false);
    if (status != LS_OK) {
        ls_log_error("%s", ls_message());
        return status;
    }
    if (argc == 1) {
        ls_cli_help(stderr);
        return LS_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        command = argc > 2 ? find(argv[2]) : NULL;
        if (command && argc > 3)
            ls_cli_kind_find(command, argv[3], &none.kind);
        if (command)
            ls_cli_command_help(stdout, command, &none.kind);
        else if (argc > 2)
            status = unknown_command(argv[2]);
        else
            ls_cli_help(stdout);
    } else if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0)
        status = ls_cli_version(stdout);
    else
        status = unknown_command(name);
    if (status == LS_OK)
        status = ls_check_stdout();
    tell(status, &none, ls_dist_launched_rank() <= 0);
    return status;
}

/* Libraries end the process, or call a file damaged, where a few hundred bytes cannot be had. Some room stays in the
 * heap for them: arrays, which come from the system, then fail first, with a message of our own. */
static void keep_room_for_libraries(void)
{
    enum { PIECES = 32, PIECE = 64 << 10 };
    void *piece[PIECES];
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 64 << 20); /* what is given back to the heap stays there */
    for (int i = 0; i < PIECES; i++)
        piece[i] = malloc(PIECE);
    for (int i = 0; i < PIECES; i++)
        free(piece[i]);
}

int main(int argc, char **argv)
{
    keep_room_for_libraries();
    keep_standard_files();
    ls_signals_block();
    LsStatus status = run(argc, argv);
    LsStatus printed = ls_check_stdout(); /* help texts too */
    if (ls_stdout_closed())
        ls_signals_end(SIGPIPE); /* as other programs whose reader has seen enough */
    if (status == LS_OK && printed) {
        ls_log_error("%s", ls_message());
        status = printed;
    }
    return (int)status;
}
