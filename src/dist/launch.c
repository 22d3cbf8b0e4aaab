#include "dist/launch.h"

#include "dist/dist.h"
#include "dist/mpi_call.h"
#include "machine/threads.h"

#include <stdlib.h>
#include <unistd.h>

int ls_dist_launched_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < LS_COUNT_OF(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value && value[0])
            return atoi(value);
    }
    return -1;
}

/* Open MPI would look for networks and start a daemon in case the process spawned others: 0.3 s of every command. It
 * would also make folders for a job that all lone processes of a user share, and remove them at the end: one that
 * starts just then cannot make its own, and MPI_Init ends it (5 of 360, six at once); one that is killed leaves
 * them. */
static const struct {
    const char *variable, *value;
} alone[] = {
    {"OMPI_MCA_ess_singleton_isolated", "1"}, {"OMPI_MCA_pml", "ob1"}, {"OMPI_MCA_orte_create_session_dirs", "0"}};

/* By this variable Open MPI takes a process for one that srun is to connect with others. */
#define STEP "SLURM_STEP_ID"
static char *step;

unsigned ls_launch_set_alone(void)
{
    unsigned set = 0;
    bool lone_step = ls_launch_is_single_step();
    if (lone_step) {
        step = ls_strdup(getenv(STEP));
        unsetenv(STEP);
    }
    for (size_t i = 0; i < LS_COUNT_OF(alone) && (lone_step || ls_dist_launched_rank() < 0); i++)
        if (!getenv(alone[i].variable) && setenv(alone[i].variable, alone[i].value, 1) == 0)
            set |= 1u << i;
    return set;
}

void ls_launch_restore(unsigned set)
{
    for (size_t i = 0; i < LS_COUNT_OF(alone); i++)
        if (set & 1u << i)
            unsetenv(alone[i].variable);
    if (step)
        setenv(STEP, step, 1);
    ls_free(step);
    step = NULL;
}

LsStatus ls_dist_check_world(int ranks)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"};
    for (size_t i = 0; i < LS_COUNT_OF(variables); i++) {
        const char *value = getenv(variables[i]);
        if (!value || !value[0])
            continue;
        long promised = strtol(value, NULL, 10);
        if (ranks > 1 || promised <= 1)
            return LS_OK;
        return ls_fail(
            LS_LAUNCH,
            "%s says %ld ranks, but MPI started a world of 1: every process would do the whole work. Start it with the "
            "mpirun of the MPI library it is linked with (%s), or with 'srun --mpi=pmix'; for one process on purpose "
            "use 'mpirun -np 1' or unset %s",
            variables[i], promised, ls_dist_library(), variables[i]);
    }
    return LS_OK;
}

/* A rank's launch as it is sent to rank 0, which gives one warning instead of one a rank. */
typedef struct Launch {
    LsCores cores;
    /* ranks: of the node; used: processors in the masks of all of them */
    int sharing, ranks, threads, used, online;
} Launch;

static int node_ranks = 1;

int ls_dist_node_ranks(void) { return node_ranks; }

static LsStatus inspect_node(MPI_Comm world, Launch *launch)
{
    ls_cores_read(ls_system_root(), &launch->cores);
    const LsCpus mine = launch->cores.allowed;
    MPI_Comm node = MPI_COMM_NULL;
    LS_TRY(ls_mpi_status(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
                         "MPI_Comm_split_type"));
    int neighbours = 1;
    LsStatus status = ls_mpi_status(MPI_Comm_size(node, &neighbours), "MPI_Comm_size");
    LsCpus *masks = status == LS_OK ? ls_alloc_array(neighbours, sizeof *masks) : NULL;
    int have = masks != NULL, all_have = 0;
    if (status == LS_OK)
        status = ls_mpi_status(MPI_Allreduce(&have, &all_have, 1, MPI_INT, MPI_MIN, node), "MPI_Allreduce");
    if (status == LS_OK && !all_have)
        status = have ? ls_fail(LS_RESOURCE, "a rank of this node is out of memory") : LS_RESOURCE;
    if (status == LS_OK)
        status = ls_mpi_status(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, masks, sizeof mine, MPI_BYTE, node),
                               "MPI_Allgather");
    if (status == LS_OK) {
        node_ranks = neighbours;
        LsCpus all = {0};
        launch->sharing = 0;
        launch->ranks = neighbours;
        for (int i = 0; i < neighbours; i++) {
            bool overlap = false;
            for (size_t word = 0; word < LS_COUNT_OF(all.word); word++) {
                overlap |= (mine.word[word] & masks[i].word[word]) != 0;
                all.word[word] |= masks[i].word[word];
            }
            launch->sharing += overlap;
        }
        launch->used = ls_cpus_count(&all);
        launch->online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    ls_free(masks);
    MPI_Comm_free(&node);
    return status;
}

/* shown: of the rank with the most threads for its cores. */
static void warn_threads(const Launch *shown, int rank)
{
    LsFindings findings;
    const LsCores *cores = &shown->cores;
    if (shown->threads == 1 && shown->sharing > cores->processors)
        ls_warn("%d ranks share %d core%s, and wait for each other: start fewer, or give them more cores with 'mpirun "
                "--bind-to none' (Open MPI binds a rank to one core where there are at most 2)",
                shown->sharing, cores->cores, cores->cores == 1 ? "" : "s");
    else if (shown->threads * shown->sharing > cores->processors)
        ls_warn("rank %d has %d threads, and %d ranks share its %d cores: set OMP_NUM_THREADS=%d, or give it more "
                "cores with "
                "'mpirun --bind-to none' or '--map-by ppr:N:socket:PE=%d --bind-to core' (Open MPI binds a rank to one "
                "core "
                "where there are at most 2)",
                rank, shown->threads, shown->sharing, cores->cores,
                ls_cores_threads(cores, shown->sharing, shown->ranks), shown->threads);
    else if (ls_threads_asked() == 0 && getenv("OMPI_COMM_WORLD_SIZE") && !getenv("SLURM_JOB_ID") &&
             shown->used * 2 <= shown->online)
        ls_warn("the ranks of this node are bound to %d of its %d cores: 'mpirun --bind-to none', or '--map-by "
                "ppr:N:socket:PE=threads --bind-to core', gives them the others (Open MPI binds a rank to one core "
                "where there "
                "are at most 2)",
                shown->used, shown->online);
    ls_threads_findings(cores, shown->threads, shown->sharing, shown->ranks, &findings);
    for (int i = 0; i < findings.count; i++)
        ls_warn("%s: %s: %s", findings.list[i].name, findings.list[i].found, findings.list[i].cure);
}

LsStatus ls_launch_threads(MPI_Comm world, int rank)
{
    Launch mine = {0};
    LsStatus status = inspect_node(world, &mine);
    if (status == LS_OK)
        status = ls_threads_check();
    int good = status == LS_OK, all_good = 0;
    LS_TRY(ls_mpi_status(MPI_Allreduce(&good, &all_good, 1, MPI_INT, MPI_MIN, world), "MPI_Allreduce"));
    if (!all_good)
        return good ? ls_fail(LS_LAUNCH, "another rank could not look at its launch") : status;
    ls_threads_choose(&mine.cores, mine.sharing, mine.ranks);
    mine.threads = ls_threads();

    /* the rank with the most threads for its cores, and the emptiest node, speak for all */
    struct {
        double value;
        int rank;
    } load = {(double)mine.threads * mine.sharing / mine.cores.cores, rank}, worst = load;
    LS_TRY(ls_mpi_status(MPI_Allreduce(&load, &worst, 1, MPI_DOUBLE_INT, MPI_MAXLOC, world), "MPI_Allreduce"));
    Launch shown = mine;
    LS_TRY(ls_mpi_status(MPI_Bcast(&shown, sizeof shown, MPI_BYTE, worst.rank, world), "MPI_Bcast"));
    if (rank != 0)
        return LS_OK;
    warn_threads(&shown, worst.rank);
    return LS_OK;
}
