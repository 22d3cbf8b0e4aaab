#include "lockstep/base.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

int ls_threads(void) { return omp_get_max_threads(); }

void ls_set_threads(int threads) { omp_set_num_threads(threads < 1 ? 1 : threads); }

int ls_affinity_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : (int)online;
}
