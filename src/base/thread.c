#include "lockstep/base.h"

#include <omp.h>

int ls_threads(void) { return omp_get_max_threads(); }

void ls_set_threads(int threads) { omp_set_num_threads(threads < 1 ? 1 : threads); }
