/* A model of two matrices and a source of made-up tokens, for tests of the trainer that should not depend on the real
 * ones. */
#ifndef TOY_MODEL_H
#define TOY_MODEL_H

#include "harness.h"
#include "lockstep/model.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOY_VOCABULARY = 31, TOY_WIDTH = 24, TOY_SEQUENCE = 16 };

static LsBody toy_build(LsGraph *g, const void *config, const LsShape *shape)
{
    (void)config;
    LsInit init = ls_init_normal(0.3);
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    LsTensor *table = ls_param(g, "table", init, 2, (int64_t[]){TOY_VOCABULARY, TOY_WIDTH});
    LsTensor *w = ls_param_flags(g, "hidden_w", init, LS_MATRIX, 2, (int64_t[]){TOY_WIDTH, TOY_WIDTH});
    LsTensor *b = ls_param(g, "hidden_b", ls_init_constant(0), 1, (int64_t[]){TOY_WIDTH});
    LsTensor *head = ls_param(g, "head_w", init, 2, (int64_t[]){TOY_VOCABULARY, TOY_WIDTH});
    LsTensor *x = ls_linear(g, ls_embedding(g, table, ids), w, b, LS_GELU); /* (B, T, C) */
    return (LsBody){.features = x, .table = head};
}

static const LsModel toy_model = {.name = "toy", .build = toy_build};

typedef struct ToySource {
    LsSource source;
    int64_t fail_from; /* samples at or after this one cannot be read; -1: none */
    bool wrong;        /* targets are others than before */
} ToySource;

/* Token t of sample n follows from the one before it, with some noise; every eleventh target is ignored. */
static LsStatus toy_fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    int64_t first = batch->first, count = batch->count, from = batch->step;
    const ToySource *toy = (const ToySource *)source;
    LsTensor *ids = ls_graph_find(g, "ids"), *wanted = ls_graph_find(g, "targets");
    int32_t *id = ids->data, *want = wanted->data; /* id, want: (B, T) */
    if (toy->fail_from >= 0 && first + count > toy->fail_from)
        return ls_fail(LS_DATA, "sample %lld cannot be read", (long long)toy->fail_from);
    int64_t length = ids->dim[1];
    for (int64_t b = 0; b < ids->dim[0]; b++) {
        int64_t sample = (first + b) % source->samples;
        uint64_t key = ls_key(3, "toy");
        int64_t token = (int64_t)(ls_uniform_at(key, (uint64_t)sample, 0) * TOY_VOCABULARY);
        for (int64_t t = 0; t < TOY_SEQUENCE; t++) {
            int64_t at = b * length + t - from;
            bool here = t >= from && t < from + length;
            if (here)
                id[at] = (int32_t)token;
            bool noise = ls_uniform_at(key, (uint64_t)sample, (uint64_t)t + 1) < 0.2f;
            token = (token * 7 + 3 + noise) % TOY_VOCABULARY;
            bool ignored = b >= count || (sample + t) % 11 == 0;
            if (here)
                want[at] = ignored ? LS_IGNORE : (int32_t)((token + (toy->wrong ? 11 : 0)) % TOY_VOCABULARY);
        }
        /* past the sequence's end */
        for (int64_t t = TOY_SEQUENCE - from < 0 ? 0 : TOY_SEQUENCE - from; t < length; t++) {
            id[b * length + t] = 0;
            want[b * length + t] = LS_IGNORE;
        }
    }
    return LS_OK;
}

static inline ToySource toy_source(int64_t samples)
{
    return (ToySource){.source = {.samples = samples,
                                  .fields = ls_language_fields(TOY_VOCABULARY),
                                  .sequence = TOY_SEQUENCE,
                                  .fill = toy_fill},
                       .fail_from = -1};
}

static inline LsConfig toy_config(void)
{
    return (LsConfig){.model = &toy_model,
                      .train = {.steps = 50,
                                .batch = 12,
                                .sequence = TOY_SEQUENCE,
                                .precision = "float",
                                .optimizer = "adamw",
                                .schedule = "cosine",
                                .learning_rate = 1e-2,
                                .min_learning_rate = 1e-3,
                                .warmup = 5,
                                .weight_decay = 0.1,
                                .beta1 = 0.9,
                                .beta2 = 0.99,
                                .epsilon = 1e-8,
                                .clip = 1,
                                .seed = 17,
                                .bucket_bytes = 1024,
                                .wire = "float",
                                .overlap = true},
                      .output = {.log_every = 1}};
}

#endif
