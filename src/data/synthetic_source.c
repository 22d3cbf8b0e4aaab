/* Made-up samples: what a benchmark trains on where no data set is wanted. */
#include "data/source.h"

typedef struct SyntheticSource {
    LsSource base;
    uint64_t key[LS_MAX_FIELDS];
} SyntheticSource;

/* The numbers that are drawn together with number `at` of sample `sample`, its own at `at` mod 4: even over
 * 0 .. 2^32 - 1, a function of both. */
static void draw(uint64_t key, int64_t sample, int64_t at, uint32_t drawn[4])
{
    ls_philox(key, (uint64_t)sample, (uint64_t)at / 4, drawn);
}

/* Evenly from -sqrt(3) to sqrt(3): of variance 1. */
static float real_of(uint32_t drawn) { return (float)(((double)drawn / 4294967296.0 - 0.5) * 3.4641016151377544); }

/* Of numbers without classes, those of steps are positions, and those of samples lengths. */
static int32_t class_of(const SyntheticSource *s, const LsField *field, int64_t at, uint32_t drawn)
{
    if (field->classes > 0)
        return (int32_t)((uint64_t)drawn * (uint64_t)field->classes >> 32);
    return (int32_t)(field->rank > 0 ? at : s->base.sequence);
}

/* Numbers `from` and following of a sample, into row b of the input x. */
static void fill_row(const SyntheticSource *s, LsGraph *g, int f, LsTensor *x, int64_t b, int64_t sample, int64_t from)
{
    const LsField *field = &s->base.fields.list[f];
    int64_t row = x->count / x->dim[0];
    uint32_t four[4];
    float real[64];
    for (int64_t i = 0; i < row; i++) {
        if (i == 0 || (from + i) % 4 == 0)
            draw(s->key[f], sample, from + i, four);
        uint32_t drawn = four[(from + i) % 4];
        int64_t block = i % (int64_t)LS_COUNT_OF(real);
        if (field->dtype == LS_I32)
            ((int32_t *)x->data)[b * row + i] = class_of(s, field, from + i, drawn);
        else
            real[block] = real_of(drawn);
        if (field->dtype != LS_I32 && (block + 1 == (int64_t)LS_COUNT_OF(real) || i + 1 == row))
            ls_tensor_set_part(g, x, b * row + i - block, block + 1, real);
    }
}

/* Sequences go on past their end: what is said of a benchmark does not depend on it. */
static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    const SyntheticSource *s = (const SyntheticSource *)source;
    for (int f = 0; f < source->fields.count; f++) {
        const LsField *field = &source->fields.list[f];
        LsTensor *x = ls_graph_find(g, field->name);
        if (!x)
            continue;
        bool steps = field->rank > 0 && field->dim[0] == LS_STEPS;
        int64_t from = steps ? x->count / x->dim[0] / x->dim[1] * batch->step : 0;
        for (int64_t b = 0; b < x->dim[0]; b++)
            fill_row(s, g, f, x, b, batch->first + b, from);
    }
    return LS_OK;
}

static void free_source(LsSource *source) { ls_free(source); }

LsSource *ls_synthetic_source(const LsFields *fields, int64_t sequence, uint64_t seed)
{
    SyntheticSource *s = ls_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->base = (LsSource){.samples = INT64_MAX,
                         .fields = *fields,
                         .sequence = ls_fields_have_steps(fields) ? sequence : 0,
                         .fill = fill,
                         .free = free_source};
    for (int f = 0; f < fields->count; f++) {
        char *purpose = ls_format("data.synthetic.%s", fields->list[f].name);
        if (!purpose) {
            ls_free(s);
            return NULL;
        }
        s->key[f] = ls_key(seed, purpose);
        ls_free(purpose);
    }
    return &s->base;
}
