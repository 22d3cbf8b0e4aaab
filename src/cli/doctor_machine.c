#include "cli/doctor.h"
#include "cli/dry_run.h"
#include "dist/dist.h"
#include "io/file.h"
#include "gemm/gemm.h"
#include "machine/memory_limit.h"
#include "machine/threads.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void check_isa(LsReport *report)
{
    LsIsa isa = LS_ISA_BASELINE;
    char levels[128] = "";
    if (ls_isa_choose(&isa) != LS_OK) {
        ls_report(report, LS_FAILURE, "instruction set", "unset LOCKSTEP_ISA", "%s", ls_message());
        return;
    }
    const char *forced = getenv("LOCKSTEP_ISA");
    for (int level = 0; level <= (int)isa; level++) {
        size_t used = strlen(levels);
        snprintf(levels + used, sizeof levels - used, "%s%s", level ? ", " : "", ls_isa_name((LsIsa)level));
    }
    if (forced && *forced)
        ls_report(report, LS_WARNING, "instruction set", "unset LOCKSTEP_ISA to use the best that the processor has",
                  "%s, forced by LOCKSTEP_ISA", ls_isa_name(isa));
    else if (isa == LS_ISA_BASELINE)
        ls_report(report, LS_WARNING, "instruction set", "a processor with AVX2 is several times faster",
                  "baseline only");
    else
        ls_report(report, LS_FINE, "instruction set", NULL, "%s (LOCKSTEP_ISA can force %s)", ls_isa_name(isa), levels);
}

static int threads_that_start(void)
{
    int started = 0;
#pragma omp parallel
#pragma omp single
    started = omp_get_num_threads();
    return started;
}

/* The first words of a line that is fine. */
static void report_cores(LsReport *report, const LsCores *cores)
{
    char text[256];
    int used = snprintf(text, sizeof text, "%d", cores->cores);
    if (cores->processors > cores->cores)
        used += snprintf(text + used, sizeof text - (size_t)used, " of %d threads (SMT)", cores->processors);
    if (cores->fast < cores->cores)
        used += snprintf(text + used, sizeof text - (size_t)used, ", %d fast and %d slow", cores->fast,
                         cores->cores - cores->fast);
    if (cores->domains > 1)
        used += snprintf(text + used, sizeof text - (size_t)used, ", in %d memory domains", cores->domains);
    if (cores->quota > 0)
        snprintf(text + used, sizeof text - (size_t)used, "; the control group allows the time of %.2f processors",
                 cores->quota);
    ls_report(report, LS_FINE, "cores", NULL, "%s", text);
}

static void check_threads(LsReport *report)
{
    LsCores cores;
    LsFindings findings;
    ls_cores_read(ls_system_root(), &cores);
    int threads = ls_threads(), started = threads_that_start(),
        right = ls_cores_threads(&cores, 1, ls_dist_node_ranks());
    const char *asked = getenv("OMP_NUM_THREADS"), *bind = getenv("OMP_PROC_BIND"), *places = getenv("OMP_PLACES");
    char cure[192];
    report_cores(report, &cores);
    snprintf(cure, sizeof cure,
             "set OMP_NUM_THREADS=%d, or give the process more cores (mpirun --map-by slot:PE=%d --bind-to core, or "
             "--bind-to none)",
             right, threads);
    ls_threads_findings(&cores, threads, 1, ls_dist_node_ranks(), &findings);
    if (started < threads)
        ls_report(report, LS_FAILURE, "threads", "unset OMP_THREAD_LIMIT and OMP_DYNAMIC", "%d wanted, %d start",
                  threads, started);
    else if (threads > cores.processors)
        ls_report(report, LS_WARNING, "threads", cure, "%d threads on %d cores that this process may use", threads,
                  cores.cores);
    else if (threads < right)
        ls_report(report, LS_WARNING, "threads",
                  "unset OMP_NUM_THREADS to use all of them, unless other ranks share them",
                  "%d threads, %d cores may be used", threads, right);
    else
        ls_report(report, LS_FINE, "threads", NULL,
                  "%d on %d cores (OMP_NUM_THREADS %s, OMP_PROC_BIND %s, OMP_PLACES %s)", threads, cores.cores,
                  asked ? asked : "unset", bind ? bind : "unset", places ? places : "unset");
    for (int i = 0; i < findings.count; i++)
        ls_report(report, LS_WARNING, findings.list[i].name, findings.list[i].cure, "%s", findings.list[i].found);
}

/* OpenMP's threads wait for each other at every parallel region: whoever spins long takes the core from whom it waits
 * for. */
static void check_waiting(LsReport *report)
{
    const char *policy = getenv("OMP_WAIT_POLICY"), *spins = getenv("GOMP_SPINCOUNT");
    if (policy && strcasecmp(policy, "active") == 0)
        ls_report(report, LS_WARNING, "waiting threads",
                  "unset OMP_WAIT_POLICY, unless nothing else ever runs on these cores",
                  "OMP_WAIT_POLICY=active: they never "
                  "let other processes have the core");
    else if (policy)
        ls_report(report, LS_FINE, "waiting threads", NULL, "OMP_WAIT_POLICY %s", policy);
    else if (spins)
        ls_report(report, LS_FINE, "waiting threads", NULL, "spin %s times, then sleep (GOMP_SPINCOUNT)", spins);
    else
        ls_report(report, LS_FINE, "waiting threads", NULL,
                  "spin and then sleep as the OpenMP runtime does by default");
}

static void check_load(LsReport *report)
{
    double load = 0;
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (getloadavg(&load, 1) != 1)
        return;
    if (load > 0.5 * cores)
        ls_report(report, LS_WARNING, "other work", "look with top; speeds below are those of a shared machine",
                  "load %.1f on %d cores over the last minute", load, cores);
    else
        ls_report(report, LS_FINE, "other work", NULL, "load %.1f on %d cores", load, cores);
}

static void check_governor(LsReport *report)
{
    char governor[64], driver[64];
    ls_system_line(governor, sizeof governor, "", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    ls_system_line(driver, sizeof driver, "", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver");
    bool scales_itself = strstr(driver, "pstate") != NULL; /* there, powersave reaches full speed too */
    if (!governor[0])
        return;
    if (strcmp(governor, "powersave") == 0 && !scales_itself)
        ls_report(report, LS_WARNING, "clock", "cpupower frequency-set -g performance (as root)",
                  "governor powersave keeps the lowest clock");
    else
        ls_report(report, LS_FINE, "clock", NULL, "governor %s (%s)", governor, driver[0] ? driver : "unknown driver");
}

static void check_memory(LsReport *report)
{
    char pages[128];
    double limit = (double)ls_cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup");
    double total = (double)ls_meminfo("MemTotal"), available = (double)ls_available_bytes();
    if (limit > 0 && limit < total)
        ls_report(report, LS_WARNING, "memory limit",
                  "lockstep train CONFIG --dry-run says what a job takes; it is killed beyond the limit",
                  "the control group may use %.1f of %.1f GB", 1e-9 * limit, 1e-9 * total);
    ls_report(report, available < 1e9 ? LS_WARNING : LS_FINE, "memory",
              "end other programs; lockstep train CONFIG --dry-run says what a job takes", "%.1f of %.1f GB available",
              1e-9 * available, 1e-9 * total);
    ls_system_line(pages, sizeof pages, "", "/sys/kernel/mm/transparent_hugepage/enabled");
    if (strstr(pages, "[never]"))
        ls_report(report, LS_WARNING, "huge pages",
                  "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)",
                  "switched off: large arrays cost more address translations");
    else if (pages[0])
        ls_report(report, LS_FINE, "huge pages", NULL, "%s", pages);
}

void ls_doctor_machine(LsReport *report)
{
    ls_report(report, LS_FINE, "processor", NULL, "%s, %ld cores online", ls_processor(),
              sysconf(_SC_NPROCESSORS_ONLN));
    check_isa(report);
    check_threads(report);
    check_waiting(report);
    check_governor(report);
    check_load(report);
    check_memory(report);
}

/* A speed well below what this machine has shown before says that something else runs, or that it got slower. */
static void report_speed(LsReport *report, const char *name, const char *unit, double measured, double kept)
{
    if (measured < 0.6 * kept)
        ls_report(report, LS_WARNING, name,
                  "end other programs and try again; lockstep doctor --forget if the machine has changed",
                  "%.1f %s now, %.1f at best so far", measured, unit, kept);
    else
        ls_report(report, LS_FINE, name, NULL, "%.1f %s with %d thread%s (best so far %.1f)", measured, unit,
                  ls_threads(), ls_threads() == 1 ? "" : "s", kept);
}

/* The kernel of large products. */
static const char *kernel_of(LsGemmType type)
{
    enum { SIDE = 1024 };
    return ls_gemm_kernel_name(
        &(LsGemm){.type = type, .m = SIDE, .n = SIDE, .k = SIDE, .lda = SIDE, .ldb = SIDE, .ldc = SIDE});
}

void ls_doctor_speed(LsReport *report, const LsComm *comm, bool forget)
{
    LsPeak measured, kept;
    int64_t room = ls_job_room(0);
    if (comm->barrier(comm) != LS_OK || ls_peak_measure(LS_PEAK_ALL, room, forget, &measured, &kept) != LS_OK) {
        ls_report(report, LS_FAILURE, "speed", "this is a defect of the program or of the machine", "%s", ls_message());
        return;
    }
    report_speed(report, "multiply-adds", "GFLOP/s in float, registers alone", measured.gflops_fma, kept.gflops_fma);
    report_speed(report, "products", "GFLOP/s in float", measured.gflops, kept.gflops);
    ls_report(report, LS_FINE, "product share", NULL,
              "float products (%s) reach %.0f %% of multiply-adds alone, bfloat16 products (%s) %.0f %%",
              kernel_of(LS_GEMM_FLOAT32), 100 * kept.gflops / kept.gflops_fma, kernel_of(LS_GEMM_BFLOAT16),
              100 * kept.gflops_bfloat16 / kept.gflops_fma);
    report_speed(report, "bfloat16 products", "GFLOP/s in bfloat16", measured.gflops_bfloat16, kept.gflops_bfloat16);
    if (measured.bandwidth > 0) {
        report_speed(report, "memory speed", "GB/s (triad)", measured.bandwidth, kept.bandwidth);
        report_speed(report, "memory reading", "GB/s", measured.reading, kept.reading);
    } else
        ls_report(report, LS_WARNING, "memory speed", "end other programs, or give the process more memory",
                  "not measured: %.0f MiB are free for it, less than arrays beyond the caches take",
                  (double)room / 1048576);
    const char *path = ls_machine_path();
    if (!path || !ls_file_exists(path))
        ls_report(report, LS_WARNING, "measured speeds", "set XDG_CACHE_HOME to a folder that can be written",
                  "cannot be kept in %s: every run measures again", path ? path : "a home folder, there is none");
    else
        ls_report(report, LS_FINE, "measured speeds", NULL, "kept in %s", path);
}
