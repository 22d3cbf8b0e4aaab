/* What the launcher gave this rank: cores, and neighbours that share them. */
#ifndef LS_DIST_LAUNCH_H
#define LS_DIST_LAUNCH_H

#include "lockstep/status.h"

#include <mpi.h>
#include <stdbool.h>

/* Where no launcher started this process: spares MPI_Init, which is to come, what only several ranks need, by variables
 * that the user has not set. Returns which; ls_launch_begun takes them back, as children are not for them. */
unsigned ls_launch_alone(void);
void ls_launch_begun(unsigned set);

/* Whether this is the only process of a step that srun started without an interface for MPI: it runs by itself. */
bool ls_launch_lone_step(void);

/* Sets the default number of threads and warns of a launch that wastes or overloads cores. Collective. */
LsStatus ls_launch_threads(MPI_Comm world, int rank) LS_MUST_USE;

#endif
