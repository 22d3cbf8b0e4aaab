#include "decode/decoder.h"

#include "train/train.h"

#include <string.h>

struct LsDecoder {
    const LsConfig *config;
    LsGraph *encoder, *step; /* of one source; of one token of every stream */
    int64_t streams, longest, vocabulary, seen;
    float *logits;    /* (streams, V) */
    float *attention; /* (streams, longest); NULL: the model does not attend */
    float *row;       /* the largest output of the encoder */
};

static LsStatus make_graph(LsDecoder *d, LsParams *params, LsMode mode, const LsShape *shape, LsGraph **graph)
{
    LsGraph *g = *graph =
        ls_graph_new(params, &(LsGraphOptions){.mode = mode, .precision = ls_train_precision(d->config)});
    if (!g)
        return ls_message_status();
    ls_config_build_shape(d->config, g, shape);
    return ls_graph_plan(g);
}

static LsStatus open_graphs(LsDecoder *d, LsParams *params)
{
    if (!ls_config_task(d->config)->translates)
        return ls_fail(LS_USAGE, "task.kind %s says no text for a text", ls_config_task(d->config)->name);
    LsShape source = {.batch = 1, .sequence = d->longest, .want = LS_WANT_OUTPUT, .part = LS_PART_ENCODER};
    LsShape target = {
        .batch = d->streams, .sequence = 1, .want = LS_WANT_LAST, .part = LS_PART_DECODER, .memory = d->longest};
    LS_TRY(make_graph(d, params, LS_EVAL, &source, &d->encoder));
    LS_TRY(make_graph(d, params, LS_DECODE, &target, &d->step));
    const LsTensor *output = ls_graph_find(d->step, "output"); /* (B, 1, V) */
    if (!output || !ls_graph_find(d->step, "ids") || !ls_graph_find(d->encoder, "source"))
        return ls_fail(LS_ERROR, "model %s has no encoder and decoder to run apart", d->config->model->name);
    d->vocabulary = output->dim[output->rank - 1];
    const char *name;
    int64_t largest = 1;
    for (int i = 0; ls_graph_output(d->encoder, i, &name); i++) {
        const LsTensor *x = ls_graph_output(d->encoder, i, &name);
        largest = x->count > largest ? x->count : largest;
    }
    d->logits = ls_alloc_array(d->streams * d->vocabulary, sizeof *d->logits);
    d->row = ls_alloc_array(largest, sizeof *d->row);
    const LsTensor *attention = ls_graph_find(d->step, "attention"); /* (B, 1, longest) */
    if (attention && !(d->attention = ls_alloc_array(attention->count, sizeof *d->attention)))
        return LS_RESOURCE;
    return d->logits && d->row ? LS_OK : LS_RESOURCE;
}

LsStatus ls_decoder_open(const LsConfig *config, LsParams *params, int64_t streams, LsDecoder **decoder)
{
    *decoder = NULL;
    LsDecoder *d = ls_alloc(sizeof *d);
    if (!d)
        return LS_RESOURCE;
    *d = (LsDecoder){.config = config, .streams = streams, .longest = ls_config_sequence(config)};
    LsStatus status = open_graphs(d, params);
    if (status == LS_OK)
        *decoder = d;
    else
        ls_decoder_close(d);
    return status;
}

void ls_decoder_close(LsDecoder *decoder)
{
    if (!decoder)
        return;
    ls_graph_free(decoder->step);
    ls_graph_free(decoder->encoder);
    ls_free(decoder->logits);
    ls_free(decoder->attention);
    ls_free(decoder->row);
    ls_free(decoder);
}

static LsTensor *find_state(const LsGraph *g, const char *name)
{
    for (int i = 0; i < ls_graph_states(g); i++)
        if (strcmp(ls_graph_state(g, i)->name, name) == 0)
            return ls_graph_state(g, i);
    return NULL;
}

/* Each output of the encoder to the decoder's input or state of that name, once a stream. */
static LsStatus hand_over(LsDecoder *d)
{
    const char *name;
    for (int i = 0; ls_graph_output(d->encoder, i, &name); i++) {
        const LsTensor *x = ls_graph_output(d->encoder, i, &name);
        LsTensor *to = find_state(d->step, name);
        to = to ? to : ls_graph_find(d->step, name);
        if (!to || to->count != x->count * d->streams)
            return ls_fail(LS_ERROR, "model %s: its encoder gives %s, which its decoder does not take",
                           d->config->model->name, name);
        ls_tensor_get(d->encoder, x, d->row);
        for (int64_t b = 0; b < d->streams; b++)
            ls_tensor_set_part(d->step, to, b * x->count, x->count, d->row);
    }
    return LS_OK;
}

LsStatus ls_decoder_start(LsDecoder *d, const int32_t *source, int64_t length)
{
    LsTensor *ids = ls_graph_find(d->encoder, "source"), *lengths = ls_graph_find(d->encoder, "source_length");
    LsTensor *theirs = ls_graph_find(d->step, "source_length");
    if (length < 1 || length > d->longest)
        return ls_fail(LS_USAGE, "a source of %lld tokens: this model reads 1 to %lld", (long long)length,
                       (long long)d->longest);
    for (int64_t t = 0; t < d->longest; t++)
        ((int32_t *)ids->data)[t] = t < length ? source[t] : 0;
    if (lengths)
        *(int32_t *)lengths->data = (int32_t)length;
    for (int64_t b = 0; theirs && b < d->streams; b++)
        ((int32_t *)theirs->data)[b] = (int32_t)length;
    ls_graph_reset_states(d->step);
    d->seen = 0;
    LS_TRY(ls_graph_forward(d->encoder, &(LsRun){.comm = ls_comm_self()}));
    return hand_over(d);
}

LsStatus ls_decoder_feed(LsDecoder *d, const int32_t *token)
{
    LsTensor *ids = ls_graph_find(d->step, "ids"), *position = ls_graph_find(d->step, "position");
    memcpy(ids->data, token, (size_t)d->streams * sizeof *token);
    for (int64_t b = 0; position && b < d->streams; b++)
        ((int32_t *)position->data)[b] = (int32_t)d->seen;
    d->seen++;
    LS_TRY(ls_graph_forward(d->step, &(LsRun){.comm = ls_comm_self()}));
    ls_tensor_get(d->step, ls_graph_find(d->step, "output"), d->logits);
    if (d->attention)
        ls_tensor_get(d->step, ls_graph_find(d->step, "attention"), d->attention);
    return LS_OK;
}

LsStatus ls_decoder_reorder(LsDecoder *d, const int32_t *from) { return ls_graph_reorder_states(d->step, from); }

const float *ls_decoder_logits(const LsDecoder *d, int64_t stream) { return d->logits + stream * d->vocabulary; }

const float *ls_decoder_attention(const LsDecoder *d, int64_t stream)
{
    return d->attention ? d->attention + stream * d->longest : NULL;
}

int64_t ls_decoder_vocabulary(const LsDecoder *d) { return d->vocabulary; }

int64_t ls_decoder_longest(const LsDecoder *d) { return d->longest; }
