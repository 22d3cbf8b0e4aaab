/* Encoders against others' numbers (fixtures/bert.py, longformer.py, linformer.py): parameters and inputs are made by
 * one formula here and there, files hold the features and the gradients of all parameters. */
#ifndef ENCODER_FIXTURE_H
#define ENCODER_FIXTURE_H

#include "fixture_numbers.h"
#include "config/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VOCABULARY = 11, TYPES = 2 };

typedef struct Encoder {
    LsConfig *config;
    LsParams *params;
    LsGraph *g;
    LsTensor *features, *loss;
    int64_t batch, steps, width;
    const int32_t *lengths; /* (batch) */
} Encoder;

/* Names of parameters in the order of the file: those before the layers, then those of each layer. */
typedef struct EncoderNames {
    const char *const *first, *const *each; /* ended by NULL */
} EncoderNames;

/* The parameter number `i` of the file. */
static inline void encoder_name(const EncoderNames *names, int i, char name[64])
{
    int before = 0, count = 0;
    while (names->first[before])
        before++;
    while (names->each[count])
        count++;
    if (i < before)
        snprintf(name, 64, "%s", names->first[i]);
    else
        snprintf(name, 64, "layer.%d.%s", (i - before) / count, names->each[(i - before) % count]);
}

/* A training graph of the features times an input "r". */
static inline Encoder encoder_new(const char *yaml, const char *fields, int64_t batch, int64_t steps,
                                  const int32_t *lengths)
{
    Encoder e = {.config = ls_config_parse("encoder", yaml, 0, NULL), .params = ls_params_new()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(e.config);
    LsFields list;
    ASSERT_OK(ls_fields_parse(fields, &list));
    e.g = ls_graph_new(e.params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(e.g);
    LsShape shape = {.batch = batch, .sequence = steps, .want = LS_WANT_LOSS, .fields = &list};
    e.features = e.config->model->build(e.g, e.config->model_config, &shape).features;
    ls_output(e.g, "features", e.features);
    ls_output(e.g, "loss", ls_mul(e.g, e.features, ls_input(e.g, "r", LS_REAL, 3, e.features->dim)));
    ASSERT_OK(ls_params_allocate(e.params, 3, true));
    ASSERT_OK(ls_graph_plan(e.g));
    e.batch = batch;
    e.steps = steps;
    e.width = e.features->dim[2];
    e.lengths = lengths;
    return e;
}

static inline void encoder_free(Encoder *e)
{
    ls_graph_free(e->g);
    ls_params_free(e->params);
    ls_config_free(e->config);
}

/* Ids, types and lengths of the fixture; tokens past the lengths are `padding`. */
static inline void encoder_inputs(Encoder *e, int32_t padding)
{
    int32_t *ids = ls_graph_find(e->g, "ids")->data;
    LsTensor *types = ls_graph_find(e->g, "types"), *length = ls_graph_find(e->g, "length");
    float *r = ls_graph_find(e->g, "r")->data;
    fixture_fill(r, e->batch * e->steps * e->width, 90);
    memcpy(length->data, e->lengths, sizeof *e->lengths * (size_t)e->batch);
    for (int64_t i = 0; i < e->batch * e->steps; i++) {
        bool there = i % e->steps < e->lengths[i / e->steps];
        ids[i] = there ? (int32_t)((7 * i + i * i) % VOCABULARY) : padding;
        if (types)
            ((int32_t *)types->data)[i] = (int32_t)(i / 2 % TYPES);
        for (int64_t k = 0; k < e->width && !there; k++)
            r[i * e->width + k] = 0;
    }
}

/* Features at padding become 0. */
static inline void encoder_run(Encoder *e)
{
    ASSERT_OK(ls_graph_forward(e->g, &(LsRun){.training = true}));
    ASSERT_OK(ls_graph_backward(e->g, &(LsRun){.training = true}, 1, false, NULL));
    float *features = ls_graph_find(e->g, "features")->data;
    for (int64_t i = 0; i < e->batch * e->steps * e->width; i++)
        if (i / e->width % e->steps >= e->lengths[i / e->width / e->steps])
            features[i] = 0;
}

/* Fills the parameters, runs, and compares with the file from where it stands. */
static inline void encoder_compare(Encoder *e, const EncoderNames *names, FILE *file, double bound)
{
    char name[64];
    for (int i = 0; i < e->params->count; i++) {
        encoder_name(names, i, name);
        int at = ls_params_find(e->params, name);
        if (at < 0)
            fprintf(stderr, "there is no %s\n", name);
        CU_ASSERT_FATAL(at >= 0);
        fixture_fill(e->params->value + e->params->list[at].offset, e->params->list[at].count, i);
    }
    ls_graph_refresh(e->g);
    encoder_inputs(e, 0);
    encoder_run(e);
    fixture_expect(file, ls_graph_find(e->g, "features")->data, e->batch * e->steps * e->width, bound / 10,
                   "the features");
    for (int i = 0; i < e->params->count; i++) {
        encoder_name(names, i, name);
        const LsParam *p = &e->params->list[ls_params_find(e->params, name)];
        fixture_expect(file, e->params->grad + p->offset, p->count, bound, name);
    }
}

/* Other ids past the lengths change no bit of the features before them. */
static inline void encoder_check_padding(Encoder *one, Encoder *other)
{
    encoder_inputs(one, 0);
    encoder_inputs(other, 7);
    encoder_run(one);
    encoder_run(other);
    const LsTensor *a = ls_graph_find(one->g, "features"), *b = ls_graph_find(other->g, "features");
    CU_ASSERT_EQUAL(memcmp(a->data, b->data, sizeof(float) * (size_t)a->count), 0);
    encoder_free(one);
    encoder_free(other);
}

#endif
