/* The option --trace FILE of commands that run in parallel. */
#ifndef LS_CLI_TRACE_FILE_H
#define LS_CLI_TRACE_FILE_H

#include "lockstep/tensor.h"

#define LS_TRACE_HELP                                                                                                  \
    "write what each rank did when, for chrome://tracing or ui.perfetto.dev; with more ranks, FILE gets their number"

/* Opens each rank's trace, with a common time zero on one machine. Nothing where file is NULL. Collective. */
LsStatus ls_trace_file_open(const LsComm *comm, const char *file) LS_MUST_USE;

/* Ends it, whatever the command's status is, which is given back; a trace that could not be written is a failure of a
 * command that had none, and keeps the message of one that had. Collective. */
LsStatus ls_trace_file_close(const LsComm *comm, const char *file, LsStatus status) LS_MUST_USE;

#endif
