/* Random tokens: what a benchmark trains on where no data set is wanted. */
#include "data/source.h"
#include "lockstep/model.h"

typedef struct SyntheticSource {
    LsSource base;
    int64_t sequence;
    uint64_t key;
} SyntheticSource;

/* Token `at` of sample `sample`: uniform over the vocabulary, a function of both. */
static int32_t draw(const SyntheticSource *synthetic, int64_t sample, int64_t at)
{
    uint32_t block[4];
    ls_philox(synthetic->key, (uint64_t)sample, (uint64_t)at / 4, block);
    return (int32_t)((uint64_t)block[at % 4] * (uint64_t)synthetic->base.vocabulary >> 32);
}

static LsStatus fill(LsSource *source, LsGraph *g, int64_t first, int64_t count, int64_t from, int64_t *targets)
{
    const SyntheticSource *synthetic = (const SyntheticSource *)source;
    int64_t sequence = synthetic->sequence, length = 0;
    *targets = 0;
    LS_TRY(ls_source_check(g, count, sequence, &length));
    const LsTensor *ids = ls_graph_find(g, "ids"), *wanted = ls_graph_find(g, "targets"); /* (B, length) */
    for (int64_t row = 0; row < ids->dim[0]; row++)
        for (int64_t t = 0; t < length; t++) {
            int64_t at = row * length + t;
            bool there = row < count && from + t < sequence;
            ((int32_t *)ids->data)[at] = there ? draw(synthetic, first + row, from + t) : 0;
            if (wanted)
                ((int32_t *)wanted->data)[at] = there ? draw(synthetic, first + row, from + t + 1) : LS_IGNORE;
            *targets += there;
        }
    return LS_OK;
}

static void free_source(LsSource *source) { ls_free(source); }

LsSource *ls_synthetic_source(int64_t vocabulary, int64_t sequence, uint64_t seed)
{
    SyntheticSource *synthetic = ls_alloc(sizeof *synthetic);
    if (!synthetic)
        return NULL;
    synthetic->base = (LsSource){.samples = INT64_MAX, .vocabulary = vocabulary, .fill = fill, .free = free_source};
    synthetic->sequence = sequence;
    synthetic->key = ls_key(seed, "data.synthetic");
    return &synthetic->base;
}
