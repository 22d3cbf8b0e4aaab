/* Signals that end the program or ask it to save and stop.
 *
 * No handler is ever installed. The signals are blocked before there is any thread or library, so that all threads
 * have them blocked, and one thread waits for them with sigwait, on its own stack: libraries compute with stack
 * pointers and red zones of their own, and a handler's frame must never be written there.
 *
 * SIGINT, SIGTERM, SIGHUP (unless it was ignored at the start, as by nohup), SIGUSR1, SIGUSR2, SIGXCPU end a command
 * at once, as by default but for the temporary files, which are removed. While a command saves (train), they ask it
 * to stop instead; then a second SIGINT ends it at once. SIGPIPE and SIGXFSZ are ignored: the call that writes
 * fails, and its error is told. All others are left as they are. */
#ifndef LS_CLI_SIGNALS_H
#define LS_CLI_SIGNALS_H

#include "lockstep/status.h"

#include <stdbool.h>

/* First thing in main: from here on signals wait, also while the process becomes this program again. */
void ls_signals_block(void);

/* Starts the thread that takes them. ask: they ask to stop, else they end the process. LS_RESOURCE where there can
 * be no thread. */
LsStatus ls_signals_begin(bool ask) LS_MUST_USE;

/* From now on they end the process, and one that has come already does. */
void ls_signals_end_at_once(void);

bool ls_signals_stop_requested(void);

/* The command has failed and ends by itself: nothing is said of signals that come now, as mpirun sends them to the
 * other ranks. A second SIGINT still ends the process. */
void ls_signals_failed(void);

/* Gives signals back as programs expect them: before this process becomes another one. */
void ls_signals_give_back(void);

/* Ends the process as the signal does by default. */
_Noreturn void ls_signals_end(int signal_number);

#endif
