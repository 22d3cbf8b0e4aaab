/* Recognises a start by SLURM's srun from the environment, before MPI starts: Open MPI ends a process that srun started
 * without the interface it needs (PMIx) with a page of text of its own. */
#include "dist/dist.h"
#include "dist/launch.h"

#include <stdlib.h>

static bool env_is_set(const char *name)
{
    const char *value = getenv(name);
    return value && value[0];
}

/* Whether this process belongs to a step of srun that MPI has no way to talk to. Inside mpirun, in a batch script
 * outside of srun, and with `srun --mpi=pmix` it does not. */
static bool is_bare_srun_step(void)
{
    static const char *const interfaces[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < LS_COUNT_OF(interfaces); i++)
        if (env_is_set(interfaces[i]))
            return false;
    return env_is_set("SLURM_STEP_ID") && env_is_set("SLURM_JOBID") && env_is_set("SLURM_NODELIST");
}

static long count_step_tasks(void)
{
    const char *name = env_is_set("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
    return env_is_set(name) ? strtol(getenv(name), NULL, 10) : 0;
}

bool ls_launch_is_single_step(void) { return is_bare_srun_step() && count_step_tasks() == 1; }

LsStatus ls_dist_check_launcher(void)
{
    if (!is_bare_srun_step() || ls_launch_is_single_step())
        return LS_OK;
    return ls_fail(
        LS_LAUNCH,
        "srun started this process without PMIx, so MPI cannot find the other ranks: start it with 'srun --mpi=pmix', "
        "or with mpirun from the job's script; for one process on purpose use 'srun -n 1' or unset SLURM_STEP_ID "
        "('srun --mpi=list' says whether SLURM has pmix; Debian's slurm-wlm-basic-plugins has)");
}
