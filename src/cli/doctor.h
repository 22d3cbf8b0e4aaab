/* The checks of `lockstep doctor`: each adds lines to a report. One file a field: doctor_machine.c, doctor_folder.c,
 * doctor_launch.c, doctor_leftovers.c; lines are made in doctor_report.c. */
#ifndef LS_CLI_DOCTOR_H
#define LS_CLI_DOCTOR_H

#include "lockstep/tensor.h"

#include <jansson.h>

typedef enum LsVerdict { LS_FINE, LS_WARNING, LS_FAILURE } LsVerdict;

typedef struct LsReport {
    json_t *lines; /* [{name, verdict, found, cure}] */
    bool prints;   /* each line to stdout as it comes */
    int warnings, failures;
} LsReport;

/* One line. cure: what to do about it, NULL for a line that is fine; "$ rm FILE": a command, which is not wrapped. */
void ls_report(LsReport *report, LsVerdict verdict, const char *name, const char *cure, const char *found, ...)
    LS_PRINTF(5, 6);

/* Processor, instruction set, threads, memory, and what may slow them. */
void ls_doctor_machine(LsReport *report);

/* Products and memory measured, on all ranks at the same time. forget: what was measured earlier does not count.
 * Collective. */
void ls_doctor_speed(LsReport *report, const LsComm *comm, bool forget);

/* Shared memory and folders of Open MPI whose processes are gone; says nothing where there are none. */
void ls_doctor_leftovers(LsReport *report);

/* The folder that runs are to be written to: free disk, fsync, HDF5's locks. */
void ls_doctor_folder(LsReport *report, const char *path);

/* Whether a launcher started this process. */
bool ls_doctor_launched(void);

/* The world of ranks: its size against what the launcher says, cores against threads, speed and results of sums.
 * Collective. */
void ls_doctor_launch(LsReport *report, const LsComm *comm);

#endif
