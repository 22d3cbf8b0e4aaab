#include "cli/doctor.h"
#include "io/file.h"
#include "io/memory_limit.h"
#include "io/peak.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first line of a small file of the system, "" where there is none. */
static void first_line(const char *path, char *line, int room)
{
    line[0] = '\0';
    FILE *file = fopen(path, "r");
    if (file && !fgets(line, room, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    line[strcspn(line, "\n")] = '\0';
}

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
        ls_report(report, LS_WARNING, "instruction set", "a processor with AVX2 is several times faster", "baseline only");
    else
        ls_report(report, LS_FINE, "instruction set", NULL, "%s (LOCKSTEP_ISA can force %s)", ls_isa_name(isa), levels);
}

/* Cores that a container's quota leaves, 0 where there is none. */
static double quota_cores(void)
{
    char line[128];
    double quota = 0, period = 0;
    first_line("/sys/fs/cgroup/cpu.max", line, sizeof line);
    if (sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0)
        return quota / period;
    first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof line);
    quota = atof(line);
    first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", line, sizeof line);
    period = atof(line);
    return quota > 0 && period > 0 ? quota / period : 0;
}

static int threads_that_start(void)
{
    int started = 0;
#pragma omp parallel
#pragma omp single
    started = omp_get_num_threads();
    return started;
}

static void check_threads(LsReport *report)
{
    int cores = ls_affinity_cores(), threads = ls_threads(), started = threads_that_start();
    const char *asked = getenv("OMP_NUM_THREADS"), *bind = getenv("OMP_PROC_BIND"), *places = getenv("OMP_PLACES");
    double quota = quota_cores();
    char cure[160];
    snprintf(cure, sizeof cure,
             "set OMP_NUM_THREADS=%d, or give the process more cores (mpirun --map-by slot:PE=%d --bind-to core, or "
             "--bind-to none)",
             cores, threads);
    if (started < threads)
        ls_report(report, LS_FAILURE, "threads", "unset OMP_THREAD_LIMIT and OMP_DYNAMIC", "%d wanted, %d start",
                  threads, started);
    else if (threads > cores)
        ls_report(report, LS_WARNING, "threads", cure, "%d threads on %d cores that this process may use", threads, cores);
    else if (threads < cores)
        ls_report(report, LS_WARNING, "threads", "unset OMP_NUM_THREADS to use all of them, unless other ranks share them",
                  "%d threads, %d cores may be used", threads, cores);
    else
        ls_report(report, LS_FINE, "threads", NULL,
                  "%d on %d cores (OMP_NUM_THREADS %s, OMP_PROC_BIND %s, OMP_PLACES %s)", threads, cores,
                  asked ? asked : "unset", bind ? bind : "unset", places ? places : "unset");
    if (quota > 0 && quota < cores) {
        snprintf(cure, sizeof cure, "set OMP_NUM_THREADS=%d: threads beyond the quota stand still part of the time",
                 quota < 1 ? 1 : (int)quota);
        ls_report(report, LS_WARNING, "processor quota", cure, "the container may use %.1f of %d cores", quota, cores);
    }
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
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor, sizeof governor);
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", driver, sizeof driver);
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
    char limit[64], pages[128];
    double total = (double)ls_meminfo("MemTotal"), available = (double)ls_available_bytes();
    first_line("/sys/fs/cgroup/memory.max", limit, sizeof limit);
    if (atof(limit) > 0 && atof(limit) < total)
        ls_report(report, LS_WARNING, "memory limit",
                  "lockstep train CONFIG --dry-run says what a job takes; it is killed beyond the limit",
                  "the container may use %.1f of %.1f GB", 1e-9 * atof(limit), 1e-9 * total);
    ls_report(report, available < 1e9 ? LS_WARNING : LS_FINE, "memory",
              "end other programs; lockstep train CONFIG --dry-run says what a job takes", "%.1f of %.1f GB available",
              1e-9 * available, 1e-9 * total);
    first_line("/sys/kernel/mm/transparent_hugepage/enabled", pages, sizeof pages);
    if (strstr(pages, "[never]"))
        ls_report(report, LS_WARNING, "huge pages", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)",
                  "switched off: large arrays cost more address translations");
    else if (pages[0])
        ls_report(report, LS_FINE, "huge pages", NULL, "%s", pages);
}

void ls_doctor_machine(LsReport *report)
{
    ls_report(report, LS_FINE, "processor", NULL, "%s, %ld cores online", ls_processor(), sysconf(_SC_NPROCESSORS_ONLN));
    check_isa(report);
    check_threads(report);
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
        ls_report(report, LS_FINE, name, NULL, "%.1f %s with %d thread%s (best so far %.1f)", measured, unit, ls_threads(),
                  ls_threads() == 1 ? "" : "s", kept);
}

void ls_doctor_speed(LsReport *report, const LsComm *comm, bool forget)
{
    LsPeak measured, kept;
    if (comm->barrier(comm) != LS_OK || ls_peak_measure(forget, &measured, &kept) != LS_OK) {
        ls_report(report, LS_FAILURE, "speed", "this is a defect of the program or of the machine", "%s", ls_message());
        return;
    }
    report_speed(report, "products", "GFLOP/s in float", measured.gflops, kept.gflops);
    report_speed(report, "bfloat16 products", "GFLOP/s in bfloat16", measured.gflops_bfloat16, kept.gflops_bfloat16);
    report_speed(report, "memory speed", "GB/s (triad)", measured.bandwidth, kept.bandwidth);
    report_speed(report, "memory reading", "GB/s", measured.reading, kept.reading);
    const char *path = ls_machine_path();
    if (!path || !ls_file_exists(path))
        ls_report(report, LS_WARNING, "measured speeds", "set XDG_CACHE_HOME to a folder that can be written",
                  "cannot be kept in %s: every run measures again", path ? path : "a home folder, there is none");
    else
        ls_report(report, LS_FINE, "measured speeds", NULL, "kept in %s", path);
}
