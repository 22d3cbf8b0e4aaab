#include "train/average.h"

#include "train/players.h"

#include <string.h>

typedef struct Average {
    LsTrainer *t;
    float decay;
} Average;

LsStatus ls_average_begin(LsTrainer *t)
{
    if (!t->average || t->progress.step > 0)
        return LS_OK;
    if (!t->sharded || ls_buckets_is_leader(t->buckets))
        memcpy(t->average, t->params->value, (size_t)t->params->total * sizeof(float));
    return t->comm->barrier(t->comm);
}

static void average_range(void *self, int param, int64_t first, int64_t count)
{
    const Average *a = self;
    float *restrict average = a->t->average + first;
    const float *restrict value = a->t->params->value + first;
    float decay = a->decay, rest = 1 - a->decay;
    (void)param;
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        average[i] = decay * average[i] + rest * value[i];
}

static void swap_range(void *self, int param, int64_t first, int64_t count)
{
    const Average *a = self;
    float *restrict average = a->t->average + first, *restrict value = a->t->params->value + first;
    (void)param;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float kept = average[i];
        average[i] = value[i];
        value[i] = kept;
    }
}

void ls_average_update(LsTrainer *t, const LsShard *shard, int64_t update)
{
    Average a = {t, update == 1 ? 0 : (float)t->config->train.average};
    if (t->average)
        ls_optimizer_each(t->params, shard, average_range, &a);
}

LsStatus ls_average_swap(LsTrainer *t)
{
    if (!t->average)
        return LS_OK;
    LS_TRY(t->comm->barrier(t->comm)); /* nobody reads the values any more */
    for (int i = 0; i < t->players; i++)
        ls_optimizer_each(t->params, ls_player_shard(t, &t->player[i]), swap_range, &(Average){.t = t});
    return t->comm->barrier(t->comm);
}
