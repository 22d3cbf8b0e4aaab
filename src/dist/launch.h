/* The cores that the launcher gave this rank, and the neighbours that share them. */
#ifndef LS_DIST_LAUNCH_H
#define LS_DIST_LAUNCH_H

#include "lockstep/status.h"

#include <mpi.h>
#include <stdbool.h>

/* Where no launcher started this process: sets variables, of those that the user has not set, that spare MPI_Init the
 * work that only several ranks need. Returns which; ls_launch_restore unsets them after MPI_Init: children must not
 * inherit them. */
unsigned ls_launch_set_alone(void);
void ls_launch_restore(unsigned set);

/* Whether this is the only process of a step that srun started without an interface for MPI: it runs by itself. */
bool ls_launch_is_single_step(void);

/* Sets the default number of threads and warns of a launch that wastes or overloads cores. Collective. */
LsStatus ls_launch_threads(MPI_Comm world, int rank) LS_MUST_USE;

#endif
