/* Signals that ask a run to save and end: SIGUSR1 (batch systems), SIGTERM, SIGINT. The handler only sets a flag. */
#ifndef LS_CLI_SIGNALS_H
#define LS_CLI_SIGNALS_H

#include "lockstep/status.h"

#include <stdbool.h>

/* From now on the first signal is remembered; a second SIGINT ends the process at once. */
void ls_signals_catch(void);
bool ls_signals_stop_requested(void);

#endif
