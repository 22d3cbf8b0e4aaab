/* States that streams carry from one step to the next (train.carry): truncated back-propagation through time. Sample
 * n + train.batch goes on where sample n ended, so row b of every step is one stream, whose state is row b of
 * `streams`. No gradient passes from step to step. A rank works on its own rows; all are brought together for a
 * checkpoint, so that any number of ranks goes on from it. */
#include "train/streams.h"

#include <string.h>

LsStatus ls_streams_allocate(LsTrainer *t)
{
    if (!t->plan.carries)
        return LS_OK;
    t->stream_numbers = ls_carries_stream_numbers(t->player[0].graph);
    if (t->stream_numbers == 0)
        return ls_fail(LS_USAGE,
                       "train.carry: model %s has no state to carry from step to step: leave it out, or take a "
                       "recurrent model",
                       t->config->model->name);
    t->streams = ls_alloc_array(t->config->train.batch * t->stream_numbers, sizeof *t->streams);
    return t->streams ? LS_OK : LS_RESOURCE;
}

void ls_streams_begin_step(LsTrainer *t)
{
    if (t->streams && t->progress.samples % t->training->samples == 0)
        memset(t->streams, 0, (size_t)(t->config->train.batch * t->stream_numbers) * sizeof *t->streams);
}

float *ls_streams_rows(const LsTrainer *t, int64_t micro_batch)
{
    int64_t group = t->comm->rank / t->plan.sequence_ranks;
    int64_t row = group * t->plan.rank_batch + micro_batch * t->plan.micro_batch;
    return t->streams ? t->streams + row * t->stream_numbers : NULL;
}

LsStatus ls_streams_gather(LsTrainer *t)
{
    int64_t share = t->plan.rank_batch * t->stream_numbers;
    for (int rank = 0; t->streams && rank < t->comm->size; rank++)
        LS_TRY(t->comm->broadcast(t->comm, t->streams + rank * share, share * (int64_t)sizeof *t->streams, rank));
    return LS_OK;
}

LsStatus ls_streams_broadcast(LsTrainer *t)
{
    int64_t bytes = t->config->train.batch * t->stream_numbers * (int64_t)sizeof *t->streams;
    return t->streams ? t->comm->broadcast(t->comm, t->streams, bytes, 0) : LS_OK;
}
