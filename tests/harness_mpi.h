/* The main of a CUnit program that runs under mpirun: `int main(int argc, char **argv) { return harness_run_mpi(argc,
 * argv, "dist", tests); }` */
#ifndef HARNESS_MPI_H
#define HARNESS_MPI_H

#include "dist/dist.h"
#include "harness.h"

extern const LsComm *comm; /* all ranks, from harness_run_mpi on */

/* Starts MPI, runs all tests on every rank, ends MPI. Returns 0 only if this rank's all passed. */
int harness_run_mpi(int argc, char **argv, const char *suite, const HarnessTest *tests);

#endif
