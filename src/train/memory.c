/* The limit of a rank's memory, and the rows of its plan. */
#include "train/train.h"

#include "machine/memory_limit.h"

/* Share of the memory that may be planned for: plans are true to a few per cent. */
#define PLANNED_SHARE 0.95

LsStatus ls_train_limit(const LsConfig *config, const LsComm *comm, LsTrainLimit *limit)
{
    int ranks = ls_dist_node_ranks();
    int64_t base = ls_resident_bytes(), sums[2];
    LsMemoryLimit node = ls_memory_limit(base * ranks);
    *limit = (LsTrainLimit){
        .bytes = (int64_t)(PLANNED_SHARE * (double)(node.bytes / ranks)), .base = base, .source = node.source};
    if (config->train.memory > 0)
        *limit = (LsTrainLimit){.bytes = config->train.memory, .base = base, .source = "train.memory allows"};
    limit->sharing_ranks = ls_dist_sharing_ranks(comm);
    sums[0] = -limit->bytes;
    sums[1] = limit->base;
    LS_TRY(comm->allreduce_max(comm, sums, 2));
    limit->bytes = -sums[0];
    limit->base = sums[1];
    return LS_OK;
}

int ls_train_memory_rows(const LsTrainPlan *plan, LsMemoryRow rows[LS_MEMORY_ROWS])
{
    const LsMemory *m = &plan->memory;
    const LsMemoryRow all[] = {{"parameters", m->parameters},
                               {"shadows", m->shadows},
                               {"gradients", m->gradients},
                               {"moments", plan->moment_bytes},
                               {"activations", m->activations},
                               {"scratch", m->scratch},
                               {"states", m->states},
                               {"inputs", m->inputs},
                               {"messages", plan->message_bytes},
                               {"procedure", plan->procedure_bytes},
                               {"samples", plan->sample_bytes},
                               {"library", plan->library_bytes},
                               {"base", plan->base_bytes}};
    int count = 0;
    for (size_t i = 0; i < LS_COUNT_OF(all); i++)
        if (all[i].bytes > 0)
            rows[count++] = all[i];
    return count;
}
