#include "cli/doctor.h"
#include "dist/dist.h"
#include "io/file.h"
#include "machine/cores.h"

#include <stdlib.h>
#include <string.h>

#define SUM_FLOATS (4 << 20) /* 16 MiB: the size of a bucket of gradients */
#define SUM_TRIES 5

/* Variables that launchers set to the number of ranks. SLURM_NTASKS alone stands in a batch script too, outside of
 * srun. */
static const char *const launcher_sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};

bool ls_doctor_launched(void)
{
    for (size_t i = 0; i < LS_COUNT_OF(launcher_sizes); i++)
        if (getenv(launcher_sizes[i]))
            return true;
    const char *tasks = getenv("SLURM_NTASKS");
    return getenv("PMIX_RANK") || (getenv("SLURM_STEP_ID") && tasks && atoi(tasks) > 1);
}

static void check_size(LsReport *report, const LsComm *comm)
{
    const char *tasks = getenv("SLURM_NTASKS");
    if (ls_dist_check_world(comm->size) != LS_OK)
        ls_report(report, LS_FAILURE, "ranks", "start it with the mpirun of the MPI library named below", "%s",
                  ls_message());
    else if (tasks && atoi(tasks) > 0 && atoi(tasks) != comm->size)
        ls_report(report, LS_WARNING, "ranks", "mpirun without -np takes as many as SLURM gives",
                  "%d ranks, SLURM gives %d tasks", comm->size, atoi(tasks));
    else
        ls_report(report, LS_FINE, "ranks", NULL, "%d", comm->size);
}

/* The least and the most of a number over the ranks. */
static LsStatus range_of(const LsComm *comm, int64_t mine, int64_t range[2])
{
    int64_t both[2] = {-mine, mine};
    LS_TRY(comm->allreduce_max(comm, both, 2));
    range[0] = -both[0];
    range[1] = both[1];
    return LS_OK;
}

static LsStatus check_share(LsReport *report, const LsComm *comm)
{
    int64_t cores[2], threads[2];
    LsCores own;
    ls_cores_read(ls_system_root(), &own);
    LS_TRY(range_of(comm, own.cores, cores));
    LS_TRY(range_of(comm, ls_threads(), threads));
    if (threads[1] > cores[0])
        ls_report(report, LS_WARNING, "cores of a rank",
                  "mpirun --map-by slot:PE=THREADS --bind-to core, or fewer OMP_NUM_THREADS",
                  "%lld to %lld cores for %lld to %lld threads", (long long)cores[0], (long long)cores[1],
                  (long long)threads[0], (long long)threads[1]);
    else if (threads[0] != threads[1])
        ls_report(report, LS_WARNING, "cores of a rank",
                  "give every rank the same OMP_NUM_THREADS: all wait for the slowest", "%lld to %lld threads",
                  (long long)threads[0], (long long)threads[1]);
    else
        ls_report(report, LS_FINE, "cores of a rank", NULL,
                  cores[0] == cores[1] ? "threads: %lld, cores it may use: %lld"
                                       : "threads: %lld, cores it may use: %lld to %lld",
                  (long long)threads[0], (long long)cores[0], (long long)cores[1]);
    return LS_OK;
}

/* Rank r gives i % 64 + r: small whole numbers, whose sum is exact in any order. */
static LsStatus sum_once(const LsComm *comm, float *x, double *seconds, int64_t *wrong)
{
    for (int64_t i = 0; i < SUM_FLOATS; i++)
        x[i] = (float)(i % 64 + comm->rank);
    LS_TRY(comm->barrier(comm));
    double start = ls_seconds();
    LS_TRY(comm->allreduce_float(comm, x, SUM_FLOATS));
    *seconds = ls_seconds() - start;
    for (int64_t i = 0; i < SUM_FLOATS; i++)
        *wrong += x[i] != (float)(comm->size * (i % 64) + comm->size * (comm->size - 1) / 2);
    return comm->allreduce_max(comm, wrong, 1);
}

static LsStatus check_sums(LsReport *report, const LsComm *comm)
{
    int64_t wrong = 0;
    double best = 1e30, seconds = 0;
    float *x = ls_alloc_array(SUM_FLOATS, sizeof *x);
    LsStatus status = ls_dist_agree(comm, x ? LS_OK : LS_RESOURCE);
    for (int i = 0; i < SUM_TRIES && status == LS_OK; i++) {
        status = sum_once(comm, x, &seconds, &wrong);
        best = seconds < best ? seconds : best;
    }
    ls_free(x);
    LS_TRY(status);
    double speed = 4e-9 * SUM_FLOATS / best;
    if (wrong)
        ls_report(report, LS_FAILURE, "sums over ranks",
                  "try another MPI library or transport (mpirun --mca btl self,tcp)",
                  "allreduce gives wrong sums: at least %lld of %d", (long long)wrong, SUM_FLOATS);
    else
        ls_report(report, speed < 0.05 ? LS_WARNING : LS_FINE, "sums over ranks",
                  "a faster network, or a larger train.micro_batch per sum", "right; %d MiB at %.2f GB/s",
                  SUM_FLOATS >> 18, speed);
    return LS_OK;
}

static void check_shared_memory(LsReport *report)
{
    int64_t bytes = ls_free_bytes("/dev/shm");
    if (bytes >= 0 && bytes < ((int64_t)64 << 20))
        ls_report(report, LS_WARNING, "/dev/shm",
                  "enlarge it (docker run --shm-size=1g), or mpirun --mca btl_vader_backing_directory /tmp",
                  "%.0f MB free: ranks of a node talk through it", 1e-6 * (double)bytes);
}

void ls_doctor_launch(LsReport *report, const LsComm *comm)
{
    check_size(report, comm);
    LsStatus status = check_share(report, comm);
    if (status == LS_OK && comm->size > 1)
        status = check_sums(report, comm);
    if (status != LS_OK)
        ls_report(report, LS_FAILURE, "MPI", "see the library's own text above", "%s", ls_message());
    check_shared_memory(report);
}
