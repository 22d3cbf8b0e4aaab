#include "machine/threads.h"

#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Threads beyond these are a mistake: several for each processor there is, on any machine so many. */
#define THREADS_EACH 8
#define THREADS_ANYWHERE 256

int ls_threads_asked(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    char *end;
    long threads = text ? strtol(text, &end, 10) : 0;
    if (threads <= 0 || (end[strspn(end, " \t")] != '\0' && end[strspn(end, " \t")] != ','))
        return 0;
    return threads > INT_MAX ? INT_MAX : (int)threads;
}

LsStatus ls_threads_check(void)
{
    long processors = sysconf(_SC_NPROCESSORS_CONF);
    long most = THREADS_EACH * processors > THREADS_ANYWHERE ? THREADS_EACH * processors : THREADS_ANYWHERE;
    LsCores cores;
    if (ls_threads_asked() <= most)
        return LS_OK;
    ls_cores_read(ls_system_root(), &cores);
    return ls_fail(
        LS_USAGE,
        "OMP_NUM_THREADS=%s: at most %ld threads are possible with the %ld processors of this machine; unset it, "
        "or set OMP_NUM_THREADS=%d, the cores that this process may use",
        getenv("OMP_NUM_THREADS"), most, processors, cores.cores);
}

void ls_threads_choose(const LsCores *cores, int sharing, int ranks)
{
    if (ls_threads_asked() == 0)
        ls_set_threads(ls_cores_threads(cores, sharing, ranks));
}

LsStatus ls_threads_alone(void)
{
    LsCores cores;
    LS_TRY(ls_threads_check());
    ls_cores_read(ls_system_root(), &cores);
    ls_threads_choose(&cores, 1, 1);
    return LS_OK;
}

typedef struct Runtimes {
    const char **name;
    int count, most;
} Runtimes;

/* GCC's, LLVM's and Intel's runtimes, and copies of them that other packages bring ("libgomp-a34b3233.so.1"). */
static int note_runtime(struct dl_phdr_info *info, size_t size, void *self)
{
    static const char *const begins[] = {"libgomp", "libomp", "libiomp5"};
    Runtimes *runtimes = self;
    const char *slash = strrchr(info->dlpi_name, '/'), *name = slash ? slash + 1 : info->dlpi_name;
    (void)size;
    for (size_t i = 0; i < LS_COUNT_OF(begins); i++) {
        size_t length = strlen(begins[i]);
        if (strncmp(name, begins[i], length) != 0 || !strchr(".-", name[length])) /* not libompitrace */
            continue;
        if (runtimes->count < runtimes->most)
            runtimes->name[runtimes->count] = name;
        runtimes->count++;
        break;
    }
    return 0;
}

int ls_threads_runtimes(const char *name[], int most)
{
    Runtimes runtimes = {.name = name, .most = most};
    dl_iterate_phdr(note_runtime, &runtimes);
    return runtimes.count;
}

/* ---- Findings ---------------------------------------------------------------------------------------------------- */

static void add(LsFindings *findings, const char *name, const char *found, const char *cure)
{
    LsFinding *finding = &findings->list[findings->count++];
    finding->name = name;
    snprintf(finding->found, sizeof finding->found, "%s", found);
    snprintf(finding->cure, sizeof finding->cure, "%s", cure);
}

/* Threads against what runs them: the worst of the three alone, whose cure is that of the others too. */
static void find_crowded(const LsCores *cores, int threads, int sharing, int ranks, LsFindings *findings)
{
    char found[192], cure[192];
    int all = threads * (sharing < 1 ? 1 : sharing), right = ls_cores_threads(cores, sharing, ranks);
    snprintf(cure, sizeof cure, "set OMP_NUM_THREADS=%d, or unset it", right);
    if (all > cores->processors)
        return; /* the caller says more of that */
    if (all > cores->cores) {
        snprintf(found, sizeof found, "%d threads on %d cores: two threads of a core (SMT) share its arithmetic units",
                 all, cores->cores);
        add(findings, "threads of a core", found, cure);
    } else if (all > cores->fast) {
        snprintf(found, sizeof found, "%d threads, but %d fast cores: the threads on slow cores hold up the others",
                 all, cores->fast);
        add(findings, "slow cores", found, cure);
    }
}

static void find_quota(const LsCores *cores, int threads, int ranks, LsFindings *findings)
{
    char found[192], cure[192];
    LsCores plenty = *cores;
    plenty.fast = threads;
    int right = ls_cores_threads(&plenty, 1, ranks);
    if (cores->quota <= 0 || threads <= right)
        return;
    snprintf(found, sizeof found,
             "the control group allows the time of %.2f processors; %d rank%s of %d threads stand still "
             "part of the time",
             cores->quota, ranks, ranks == 1 ? "" : "s", threads);
    snprintf(cure, sizeof cure, "set OMP_NUM_THREADS=%d, or unset it; or raise the quota (docker run --cpus)", right);
    add(findings, "processor quota", found, cure);
}

void ls_threads_findings(const LsCores *cores, int threads, int sharing, int ranks, LsFindings *findings)
{
    char found[192], cure[192];
    const char *runtime[2];
    *findings = (LsFindings){0};
    find_crowded(cores, threads, sharing, ranks, findings);
    find_quota(cores, threads, ranks, findings);
    if (cores->domains > 1 && threads > 1) {
        snprintf(found, sizeof found, "one rank over %d memory domains: its threads read each other's memory slowly",
                 cores->domains);
        snprintf(cure, sizeof cure, "one rank a domain: mpirun -np %d --map-by ppr:1:numa --bind-to numa lockstep ...",
                 cores->domains);
        add(findings, "memory domains", found, cure);
    }
    if (ls_threads_runtimes(runtime, 2) > 1) {
        snprintf(found, sizeof found, "%.60s and %.60s are both loaded: each has threads of its own", runtime[0],
                 runtime[1]);
        add(findings, "OpenMP runtimes", found, "unset LD_PRELOAD, and build with libraries of one compiler");
    }
}
