/* A limit on the time until all ranks are there: MPI_Init and the first calls behind it wait for ever for a rank that
 * never comes, and ls_wait_for cannot ask anybody before they are done. */
#ifndef LS_DIST_ARRIVAL_H
#define LS_DIST_ARRIVAL_H

#include "lockstep/status.h"

/* From here on the process ends with LS_LAUNCH after LOCKSTEP_TIMEOUT seconds, at least 5, with a message that names
 * the ranks of this node that have not come; until ls_arrival_end. Where no launcher started the process nothing is
 * waited for, and both do nothing. A failure to watch is a warning. */
void ls_arrival_begin(void);
void ls_arrival_end(void);

#endif
