/* The waiting of OpenMP's threads for each other in this program. */
#ifndef LS_CLI_WAITING_H
#define LS_CLI_WAITING_H

/* Starts the program again, with the same arguments and process number, where GCC's OpenMP runtime would let waiting
 * threads spin for milliseconds: it reads GOMP_SPINCOUNT only while it is loaded. Returns where nothing is to be
 * changed (the user has set GOMP_SPINCOUNT or OMP_WAIT_POLICY, there is one thread, another runtime), and where the
 * program cannot be started again. To be called before anything else runs. */
void ls_waiting_begin(char **argv);

#endif
