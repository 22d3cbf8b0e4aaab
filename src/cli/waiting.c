#include "cli/waiting.h"

#include "machine/threads.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A thread that waits spins so long, then sleeps: long enough for the pauses between parallel regions of a training
 * step on an idle machine, so short that beside other processes it does not take the core from the thread that it
 * waits for (docs/performance.md). */
#define SPIN_SECONDS 10e-6
#define SPINS_TIMED 1000
#define TRIES 5

/* Seconds of one turn of the runtime's loop: it looks at a number and pauses. */
static double turn_seconds(void)
{
    atomic_int number = 1;
    double best = 1;
    for (int i = 0; i < TRIES; i++) {
        double start = ls_seconds();
        for (int turn = 0; turn < SPINS_TIMED && atomic_load_explicit(&number, memory_order_acquire) != 0; turn++)
#if defined(__x86_64__)
            __builtin_ia32_pause();
#else
            __asm__ volatile("" ::: "memory");
#endif
        best = fmin(best, (ls_seconds() - start) / SPINS_TIMED);
    }
    return fmax(best, 1e-10);
}

void ls_waiting_begin(char **argv)
{
    char path[4096], spins[32];
    const char *runtime[1];
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || omp_get_max_threads() < 2 ||
        ls_threads_runtimes(runtime, 1) < 1 || strncmp(runtime[0], "libgomp", 7) != 0)
        return;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return;
    path[length] = '\0';
    snprintf(spins, sizeof spins, "%.0f", SPIN_SECONDS / turn_seconds());
    if (setenv("GOMP_SPINCOUNT", spins, 1) != 0)
        return;
    execv(path, argv);
    unsetenv("GOMP_SPINCOUNT");
}
