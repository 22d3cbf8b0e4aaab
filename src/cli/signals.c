#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t asked, interrupts;

static void handle(int signal_number)
{
    asked = 1;
    if (signal_number != SIGINT)
        return;
    interrupts = interrupts + 1;
    if (interrupts > 1) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
}

void ls_signals_catch(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

bool ls_signals_stop_requested(void) { return asked != 0; }
