#include "decode/generate.h"

#include "base/bfloat16.h"
#include "train/train.h"

#include <omp.h>
#include <string.h>

/* Prompt tokens of one pass: enough for the matrix products to run at their speed, few enough for little memory. */
#define CHUNK 512

typedef struct Generator {
    const LsConfig *config;
    LsParams *params;
    const LsSampling *sampling;
    /* whole chunks of the prompt, its rest, single tokens; those not needed are NULL */
    LsGraph *chunk, *rest, *one;
    LsGraph *window; /* reads the newer half of a full context again; NULL where the context suffices */
    LsTensor *ids, *position, *output; /* of `one` */
    LsSampler **sampler;               /* of each thread */
    int threads;
    float *logits;            /* (B, V) */
    LsStatus *drawn;          /* (B) */
    int32_t *last;            /* (B) the newest token of each stream */
    bool *ended;              /* (B) */
    int64_t vocabulary, seen; /* seen: tokens every stream has seen since its states were zero */
    int64_t context;          /* most that can be seen; 0: no limit */
    bool endless;             /* the model says that there is none, though it has a context */
    int64_t piece;            /* most tokens of one pass over the prompt */
    int64_t at_once;          /* those of the longest pass of an endless model; else 0 */
    int64_t room;             /* tokens of the prompt and those to draw */
    int32_t *history;         /* (B, context): the tokens seen; NULL where there is no limit */
} Generator;

static LsGraphOptions graph_options(const LsConfig *config, LsGeneratePrecision precision)
{
    LsGraphOptions options = {.mode = LS_DECODE, .precision = ls_train_precision(config)};
    switch (precision) {
    case LS_GENERATE_FLOAT:
        options.precision = LS_FLOAT32;
        break;
    case LS_GENERATE_BFLOAT16:
        options.precision = LS_BFLOAT16;
        break;
    case LS_GENERATE_INT8:
        options.int8_weights = true;
        break;
    case LS_GENERATE_AS_TRAINED:
        break;
    }
    return options;
}

static LsStatus make_graph(Generator *gen, int64_t batch, int64_t sequence, LsGraph *share, LsGraph **graph)
{
    LsGraphOptions options = graph_options(gen->config, gen->sampling->precision);
    LsGraph *g = *graph = ls_graph_new(gen->params, &options);
    if (!g)
        return ls_message_status();
    /* the cache of a long context is made for this text alone */
    LsShape shape = {.batch = batch, .sequence = sequence, .want = LS_WANT_LAST, .room = gen->room};
    shape.at_once = gen->at_once;
    ls_config_build_shape(gen->config, g, &shape);
    if (share)
        LS_TRY(ls_graph_share_states(g, share));
    return ls_graph_plan(g);
}

LsStatus ls_generate_freeze(const LsConfig *config, LsGeneratePrecision precision, LsParams *params)
{
    LsGraphOptions options = graph_options(config, precision);
    LsGraph *g = ls_graph_new(params, &options);
    if (!g)
        return ls_message_status();
    ls_config_build(config, g, 1, 1, LS_WANT_LAST);
    LsStatus status = ls_graph_plan_dry(g);
    if (status == LS_OK)
        status = ls_params_freeze(params, g);
    ls_graph_free(g);
    return status;
}

static LsStatus check_sampling(const Generator *gen, int64_t count)
{
    const LsSampling *s = gen->sampling;
    if (count < 1)
        return ls_fail(LS_USAGE, "the prompt is empty: a model needs at least one token to go on from");
    if (s->tokens < 0 || s->batch < 1 || s->temperature < 0 || s->top_k < 0 || !(s->top_p > 0 && s->top_p <= 1))
        return ls_fail(
            LS_USAGE,
            "sampling: tokens >= 0, batch >= 1, temperature >= 0, top-k >= 0 and 0 < top-p <= 1 are asked for");
    return LS_OK;
}

/* A model with positions or a cache of all keys has room for its context only. */
static LsStatus check_prompt(const Generator *gen, const int32_t *prompt, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (prompt[i] < 0 || prompt[i] >= gen->vocabulary)
            return ls_fail(LS_USAGE, "token %d at place %lld of the prompt: the vocabulary has %lld tokens",
                           (int)prompt[i], (long long)i, (long long)gen->vocabulary);
    if (gen->context == 0 || count <= gen->context)
        return LS_OK;
    return ls_fail(LS_USAGE, "the prompt has %lld tokens, but the model's context is %lld: shorten it",
                   (long long)count, (long long)gen->context);
}

/* Runs T tokens a stream through a graph; they stand `stride` apart from stream to stream. */
static LsStatus feed_rows(Generator *gen, LsGraph *g, const int32_t *tokens, int64_t stride)
{
    LsTensor *ids = ls_graph_find(g, "ids"), *position = ls_graph_find(g, "position");
    for (int64_t b = 0; b < ids->dim[0]; b++)
        memcpy((int32_t *)ids->data + b * ids->dim[1], tokens + b * stride, (size_t)ids->dim[1] * sizeof(int32_t));
    if (position)
        for (int64_t b = 0; b < position->count; b++)
            ((int32_t *)position->data)[b] = (int32_t)gen->seen;
    LS_TRY(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    gen->seen += ids->dim[1];
    return LS_OK;
}

/* tokens: (B, T) */
static LsStatus feed(Generator *gen, LsGraph *g, const int32_t *tokens)
{
    return feed_rows(gen, g, tokens, ls_graph_find(g, "ids")->dim[1]);
}

/* One prompt serves all streams: it is run once, and its states are copied to each. */
static void spread_states(LsGraph *from, LsGraph *to)
{
    for (int i = 0; i < ls_graph_states(from); i++) {
        const LsTensor *x = ls_graph_state(from, i);
        LsTensor *y = ls_graph_state(to, i);
        size_t bytes = (size_t)(x->count * ls_graph_element_bytes(from, x->dtype));
        for (int64_t b = 0; b < y->dim[0]; b++)
            memcpy((char *)y->data + (size_t)b * bytes, x->data, bytes);
    }
}

/* Passes are no longer than the model's context, for which graphs can be built. */
static void plan_passes(Generator *gen, int64_t count)
{
    const LsModel *model = gen->config->model;
    int64_t context;
    gen->room = count + gen->sampling->tokens;
    gen->piece = CHUNK;
    gen->endless = model->endless && model->endless(gen->config->model_config);
    if (!gen->endless)
        return;
    if (ls_config_model_int(gen->config, "context", &context) && context < CHUNK)
        gen->piece = context;
    gen->at_once = count < gen->piece ? count : gen->piece;
}

/* The graph of single tokens comes first: it tells the vocabulary, and whether the context is limited. */
static LsStatus make_one(Generator *gen)
{
    LS_TRY(make_graph(gen, gen->sampling->batch, 1, NULL, &gen->one));
    gen->ids = ls_graph_find(gen->one, "ids");
    gen->position = ls_graph_find(gen->one, "position");
    gen->output = ls_graph_find(gen->one, "output"); /* (B, 1, V) */
    if (!gen->ids || !gen->output)
        return ls_fail(LS_USAGE, "model %s cannot generate: it has no input \"ids\" or output \"output\"",
                       gen->config->model->name);
    gen->vocabulary = gen->output->dim[gen->output->rank - 1];
    if (!gen->position || gen->endless || !ls_config_model_int(gen->config, "context", &gen->context))
        gen->context = 0;
    gen->history = gen->context ? ls_alloc_array(gen->context * gen->sampling->batch, sizeof(int32_t)) : NULL;
    return gen->context && !gen->history ? LS_RESOURCE : LS_OK;
}

static LsStatus read_prompt(Generator *gen, const int32_t *prompt, int64_t count)
{
    int64_t chunks = count / gen->piece, rest = count % gen->piece;
    bool alone = gen->sampling->batch == 1;
    LsGraph *first = alone ? gen->one : NULL;
    if (chunks > 0) {
        LS_TRY(make_graph(gen, 1, gen->piece, first, &gen->chunk));
        first = first ? first : gen->chunk;
    }
    if (rest > 0) {
        LS_TRY(make_graph(gen, 1, rest, first, &gen->rest));
        first = first ? first : gen->rest;
    }
    for (int64_t i = 0; i < chunks; i++)
        LS_TRY(feed(gen, gen->chunk, prompt + i * gen->piece));
    if (rest > 0)
        LS_TRY(feed(gen, gen->rest, prompt + chunks * gen->piece));
    if (!alone)
        spread_states(first, gen->one);
    for (int64_t b = 0; gen->history && b < gen->sampling->batch; b++)
        memcpy(gen->history + b * gen->context, prompt, (size_t)count * sizeof(int32_t));
    return LS_OK;
}

static int64_t kept_of(const Generator *gen) { return (gen->context + 1) / 2; }

/* Every stream's newest token to its history, and through the model. *g gets the graph that then has the logits. A full
 * context starts again with its newer half: positions count from 0 there, as in training. */
static LsStatus step(Generator *gen, LsGraph **g)
{
    int64_t batch = gen->sampling->batch, keep = kept_of(gen);
    bool full = gen->context && gen->seen == gen->context;
    for (int64_t b = 0; gen->context && b < batch; b++) {
        int32_t *row = gen->history + b * gen->context;
        if (full)
            memmove(row, row + gen->context - keep + 1, (size_t)(keep - 1) * sizeof *row);
        row[full ? keep - 1 : gen->seen] = gen->last[b];
    }
    *g = gen->one;
    if (!full)
        return feed(gen, gen->one, gen->last);
    ls_graph_reset_states(gen->one);
    gen->seen = 0;
    *g = gen->window;
    return feed_rows(gen, gen->window, gen->history, gen->context);
}

/* Row b of the logits as floats: where they lie, or in gen->logits. */
static const float *logits_of(Generator *gen, const LsGraph *g, const LsTensor *output, int64_t b)
{
    int64_t row = output->dim[0] == 1 ? 0 : b, bytes = ls_graph_element_bytes(g, output->dtype);
    const char *from = (const char *)output->data + row * gen->vocabulary * bytes;
    if (bytes == 4)
        return (const float *)(const void *)from;
    float *to = gen->logits + b * gen->vocabulary;
    ls_bfloat16_widen((const LsBfloat16 *)(const void *)from, to, gen->vocabulary);
    return to;
}

/* Draws every stream's token number `index` from logits: (B, 1, V), or (1, 1, V) for all. *more: some stream goes
 * on. */
static LsStatus draw(Generator *gen, const LsGraph *g, const LsTensor *output, int64_t index, LsTokenSink sink,
                     void *self, LsGenerationSpeed *speed, bool *more)
{
    const LsSampling *s = gen->sampling;
    *more = false;
#pragma omp parallel for schedule(static) num_threads(gen->threads) if (s->batch > 1)
    for (int64_t b = 0; b < s->batch; b++) /* the message of another thread would be lost: it is made again below */
        gen->drawn[b] = gen->ended[b] ? LS_OK
                                      : ls_sampler_draw(gen->sampler[omp_get_thread_num()], s,
                                                        logits_of(gen, g, output, b), b, index, &gen->last[b]);
    for (int64_t b = 0; b < s->batch; b++) {
        if (gen->ended[b])
            continue;
        if (gen->drawn[b] != LS_OK)
            return ls_sampler_draw(gen->sampler[0], s, logits_of(gen, g, output, b), b, index, &gen->last[b]);
        speed->tokens++;
        if (!sink(self, b, index, gen->last[b])) {
            *more = false;
            return LS_OK;
        }
        gen->ended[b] = ls_sampling_stops(s, gen->last[b]);
        *more |= !gen->ended[b];
    }
    return LS_OK;
}

static LsStatus make_room(Generator *gen)
{
    int64_t batch = gen->sampling->batch;
    gen->threads = batch < ls_threads() ? (int)batch : ls_threads();
    gen->sampler = ls_alloc_array(gen->threads, sizeof *gen->sampler);
    gen->logits = ls_alloc_array(gen->vocabulary * batch, sizeof(float));
    gen->last = ls_alloc_array(batch, sizeof(int32_t));
    gen->ended = ls_alloc_array(batch, sizeof(bool));
    gen->drawn = ls_alloc_array(batch, sizeof *gen->drawn);
    bool enough = gen->sampler && gen->logits && gen->last && gen->ended && gen->drawn;
    for (int i = 0; i < gen->threads && enough; i++)
        enough = (gen->sampler[i] = ls_sampler_new(gen->vocabulary)) != NULL;
    return enough ? LS_OK : LS_RESOURCE;
}

static LsStatus run(Generator *gen, const int32_t *prompt, int64_t count, LsTokenSink sink, void *self,
                    LsGenerationSpeed *speed)
{
    double start = ls_seconds();
    LS_TRY(check_sampling(gen, count));
    plan_passes(gen, count);
    LS_TRY(make_one(gen));
    LS_TRY(check_prompt(gen, prompt, count));
    LS_TRY(read_prompt(gen, prompt, count));
    if (gen->context && count + gen->sampling->tokens > gen->context + 1) /* the last token drawn is not read */
        LS_TRY(make_graph(gen, gen->sampling->batch, kept_of(gen), gen->one, &gen->window));
    LS_TRY(make_room(gen));
    LsMemory memory = ls_graph_memory(gen->one);
    speed->parameter_bytes = memory.parameters + memory.shadows;
    speed->state_bytes = memory.states;
    speed->prompt_seconds = ls_seconds() - start;

    start = ls_seconds();
    bool more = true;
    LsGraph *g = gen->rest ? gen->rest : gen->chunk; /* the one that saw the prompt's last token */
    for (int64_t i = 0; i < gen->sampling->tokens && more; i++) {
        if (i > 0)
            LS_TRY(step(gen, &g));
        LS_TRY(draw(gen, g, ls_graph_find(g, "output"), i, sink, self, speed, &more));
    }
    speed->token_seconds = ls_seconds() - start;
    return LS_OK;
}

LsStatus ls_generate(const LsConfig *config, LsParams *params, const int32_t *prompt, int64_t count,
                     const LsSampling *sampling, LsTokenSink sink, void *self, LsGenerationSpeed *speed)
{
    Generator gen = {.config = config, .params = params, .sampling = sampling};
    *speed = (LsGenerationSpeed){0};
    LsStatus status = run(&gen, prompt, count, sink, self, speed);
    ls_graph_free(gen.window);
    ls_graph_free(gen.rest); /* before those whose states they share */
    ls_graph_free(gen.chunk);
    ls_graph_free(gen.one);
    for (int i = 0; gen.sampler && i < gen.threads; i++)
        ls_sampler_free(gen.sampler[i]);
    ls_free(gen.sampler);
    ls_free(gen.drawn);
    ls_free(gen.logits);
    ls_free(gen.last);
    ls_free(gen.history);
    ls_free(gen.ended);
    return status;
}
