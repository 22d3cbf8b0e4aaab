/* Signals that end the program or ask it to save and stop.
 *
 * No handler is ever installed. The signals are blocked before there is any thread or library, so that all threads have
 * them blocked, and one thread waits for them with sigwait, on its own stack: libraries compute with stack pointers and
 * red zones of their own, and a handler's frame must never be written there.
 *
 * SIGINT, SIGTERM, SIGHUP (unless it was ignored at the start, as by nohup), SIGUSR1, SIGUSR2, SIGXCPU end a command
 * at once, as by default but for the temporary files, which are removed. While a command saves (train), they ask it to
 * stop instead; then a second SIGINT ends it at once. SIGPIPE and SIGXFSZ are ignored: the call that writes fails, and its error
 * is told. All others are left as they are. */
#ifndef LS_CLI_SIGNALS_H
#define LS_CLI_SIGNALS_H

#include "lockstep/status.h"

#include <stdbool.h>

/* First thing in main. LS_RESOURCE where the thread cannot be started. */
LsStatus ls_signals_begin(void) LS_MUST_USE;

/* Whether signals ask to stop (true) or end the process at once (false, the beginning; one that has come already does). */
void ls_signals_ask(bool ask);

bool ls_signals_stop_requested(void);

/* Gives signals back as they were at the start: before this process becomes another program. */
void ls_signals_give_back(void);

/* Ends the process as the signal does by default. */
_Noreturn void ls_signals_end(int signal_number);

#endif
