#include "cli/signals.h"

#include "dist/dist.h"
#include "io/temporary.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Two SIGINT closer than this are one: a terminal's Ctrl-C may reach a process twice, itself and through a script. */
#define SAME_SECONDS 0.2

#define STACK_BYTES ((size_t)256 << 10)

static const struct {
    int number;
    const char *name;
} taken[] = {{SIGINT, "Ctrl-C"},   {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"},
             {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGXCPU, "SIGXCPU"}};

static const int ignored[] = {SIGPIPE, SIGXFSZ};

static sigset_t watched;
static atomic_bool asks, failed;
static atomic_int asked; /* the first signal; 0: none */

_Noreturn void ls_signals_end(int signal_number)
{
    sigset_t one;
    ls_temporary_remove_all();
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    signal(signal_number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    raise(signal_number);
    _exit(128 + signal_number); /* the first process of a container is not ended by its own signals */
}

/* Straight to stderr: the thread must neither allocate nor wait for a lock. */
static void say(const char *name, const char *text)
{
    char line[160];
    if (ls_dist_launched_rank() > 0)
        return;
    int length =
        snprintf(line, sizeof line, "%slockstep: %s: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", name, text);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nobody reads it: a lost terminal */
}

static const char *name_of(int signal_number)
{
    for (size_t i = 0; i < LS_COUNT_OF(taken); i++)
        if (taken[i].number == signal_number)
            return taken[i].name;
    return "signal";
}

static void *watch(void *unused)
{
    double interrupted = -1; /* when the first SIGINT came */
    (void)unused;
    for (;;) {
        int number = 0, none = 0;
        if (sigwait(&watched, &number) != 0)
            continue;
        bool first = atomic_compare_exchange_strong(&asked, &none, number);
        if (!atomic_load(&asks))
            ls_signals_end(number);
        if (first && !atomic_load(&failed))
            say(name_of(number), "saves after this step and stops; Ctrl-C again ends at once");
        if (number != SIGINT)
            continue;
        if (interrupted < 0)
            interrupted = ls_seconds();
        else if (ls_seconds() - interrupted >= SAME_SECONDS) {
            say(name_of(number), "again: ended at once; what was saved before is whole");
            ls_signals_end(number);
        }
    }
    return NULL;
}

void ls_signals_block(void)
{
    struct sigaction action;
    sigemptyset(&watched);
    for (size_t i = 0; i < LS_COUNT_OF(taken); i++)
        if (taken[i].number != SIGHUP || sigaction(SIGHUP, NULL, &action) != 0 || action.sa_handler != SIG_IGN)
            sigaddset(&watched, taken[i].number);
    pthread_sigmask(SIG_BLOCK, &watched, NULL);
    for (size_t i = 0; i < LS_COUNT_OF(ignored); i++)
        signal(ignored[i], SIG_IGN);
}

LsStatus ls_signals_begin(bool ask)
{
    pthread_attr_t attributes;
    pthread_t thread;
    atomic_store(&asks, ask);
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        error = pthread_create(&thread, &attributes, watch, NULL);
        pthread_attr_destroy(&attributes);
    }
    return error == 0 ? LS_OK
                      : ls_fail(LS_RESOURCE, "no thread could be started (%s): raise ulimit -u or -v", strerror(error));
}

void ls_signals_end_at_once(void)
{
    atomic_store(&asks, false);
    int number = atomic_load(&asked);
    if (number != 0)
        ls_signals_end(number);
}

void ls_signals_failed(void) { atomic_store(&failed, true); }

bool ls_signals_stop_requested(void) { return atomic_load(&asked) != 0; }

void ls_signals_give_back(void)
{
    for (size_t i = 0; i < LS_COUNT_OF(ignored); i++)
        signal(ignored[i], SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &watched, NULL);
}
