/* mpi_models.c with every variant of every model and every task that fits it, whatever the number of ranks. */
#define ALL_COMBINATIONS true
#include "mpi_models.c"
