/* A trained model as an opaque handle: what it is, its parameters, what it goes on with. */
#include "api/trained.h"

#include "decode/text_stream.h"
#include "machine/threads.h"

#include <stdlib.h>
#include <string.h>

const char *ls_version(void) { return LOCKSTEP_VERSION; }

/* ---- Description ------------------------------------------------------------------------------------------------- */

static json_t *shape_json(int rank, const int64_t *dim)
{
    json_t *list = json_array();
    for (int i = 0; list && i < rank; i++)
        json_array_append_new(list, json_integer(dim[i]));
    return list;
}

static json_t *fields_json(const LsFields *fields)
{
    json_t *list = json_array();
    for (int i = 0; list && i < fields->count; i++) {
        const LsField *field = &fields->list[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:I}", "name", field->name, "type",
                                        field->dtype == LS_I32 ? "int32" : "float32", "shape",
                                        shape_json(field->rank, field->dim), "classes", (json_int_t)field->classes));
    }
    return list;
}

static json_t *inputs_json(const LsTrained *t)
{
    json_t *list = json_array();
    for (int i = 0; list && i < t->fields.count; i++)
        if (t->inputs >> i & 1)
            json_array_append_new(list, json_string(t->fields.list[i].name));
    return list;
}

static json_t *parameters_json(const LsParams *params)
{
    json_t *list = json_array();
    for (int i = 0; list && i < params->count; i++) {
        const LsParam *p = &params->list[i];
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", p->name, "shape", shape_json(p->rank, p->dim)));
    }
    return list;
}

static LsStatus describe(LsTrained *t)
{
    const LsLoaded *model = &t->model;
    char *yaml = ls_config_yaml(model->config);
    json_t *object =
        yaml ? json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o, s:O?}", "checkpoint", model->path, "step",
                         (json_int_t)model->progress.step, "model", model->config->model->name, "task",
                         ls_config_task(model->config)->name, "config", yaml, "steps",
                         (json_int_t)ls_config_sequence(model->config), "streams_ids",
                         ls_config_task(model->config)->streams_ids, "fields", fields_json(&t->fields), "inputs",
                         inputs_json(t), "parameters", parameters_json(model->params), "info", model->info)
             : NULL;
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    t->json = text ? ls_strdup(text) : NULL;
    free(text);
    json_decref(object);
    ls_free(yaml);
    return t->json ? LS_OK : ls_fail(LS_RESOURCE, "%s: no memory for its description", model->path);
}

/* Which fields the output is made of: those that a graph of the output alone asks for. */
static LsStatus find_inputs(LsTrained *t)
{
    int64_t sequence = ls_config_sequence(t->model.config);
    LsGraph *g = ls_graph_new(t->model.params, &(LsGraphOptions){.mode = LS_EVAL});
    if (!g)
        return ls_message_status();
    ls_config_build(t->model.config, g, 1, sequence > 0 ? sequence : 1, LS_WANT_OUTPUT);
    for (int i = 0; i < t->fields.count; i++)
        t->inputs |= ls_graph_find(g, t->fields.list[i].name) ? 1u << i : 0;
    ls_graph_free(g);
    return LS_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

LsStatus ls_trained_open(const char *run, bool best, int overrides, char *const *override, LsTrained **trained)
{
    LsStatus status = LS_OK;
    *trained = NULL;
    LsTrained *t = ls_alloc(sizeof *t);
    if (!t)
        return LS_RESOURCE;
    LS_TRY_CLEANUP(ls_threads_alone());
    LS_TRY_CLEANUP(ls_load(run, best, overrides, override, &t->model));
    LS_TRY_CLEANUP(ls_config_fields(t->model.config, &t->fields));
    LS_TRY_CLEANUP(find_inputs(t));
    LS_TRY_CLEANUP(describe(t));
    *trained = t;
    return LS_OK;
cleanup:
    ls_trained_close(t);
    return status;
}

void ls_trained_close(LsTrained *trained)
{
    if (!trained)
        return;
    ls_loaded_free(&trained->model);
    ls_free(trained->json);
    ls_free(trained);
}

const char *ls_trained_json(const LsTrained *trained) { return trained->json; }

const LsTokenizer *ls_trained_tokenizer(const LsTrained *trained) { return trained->model.tokenizer; }

LsStatus ls_trained_parameter(const LsTrained *trained, const char *name, float *value, int64_t count)
{
    const LsParams *params = trained->model.params;
    int at = ls_params_find(params, name);
    if (at < 0)
        return ls_fail(LS_USAGE, "%s: there is no parameter %s", trained->model.path, name);
    const LsParam *p = &params->list[at];
    if (p->count != count)
        return ls_fail(LS_USAGE, "%s: parameter %s has %lld numbers, not %lld", trained->model.path, name,
                       (long long)p->count, (long long)count);
    memcpy(value, params->value + p->offset, (size_t)count * sizeof *value);
    return LS_OK;
}

/* ---- Generation -------------------------------------------------------------------------------------------------- */

static LsStatus set_sampling(const LsLoaded *model, const LsGenerate *how, LsSampling *sampling)
{
    *sampling = (LsSampling){.temperature = how->temperature,
                             .top_k = how->top_k,
                             .top_p = how->top_p,
                             .seed = how->seed,
                             .tokens = how->tokens,
                             .batch = how->streams,
                             .precision = ls_precision_named(how->precision ? how->precision : "run"),
                             .stop = -1};
    if (how->precision && sampling->precision == LS_GENERATE_AS_TRAINED && strcmp(how->precision, "run") != 0)
        return ls_fail(LS_USAGE, "precision '%s': there are run, float, bfloat16, int8", how->precision);
    if (!ls_config_task(model->config)->streams_ids)
        return ls_fail(LS_USAGE, "%s does not go on with a text (task.kind %s)", model->path,
                       ls_config_task(model->config)->name);
    if (how->stop)
        ls_sampling_stop_at_ends(sampling, model->tokenizer);
    return LS_OK;
}

LsStatus ls_trained_generate(LsTrained *trained, const int32_t *prompt, int64_t count, const LsGenerate *how,
                             LsTokenFunction token, void *self)
{
    LsSampling sampling;
    LsGenerationSpeed speed;
    LS_TRY(set_sampling(&trained->model, how, &sampling));
    return ls_loaded_generate(&trained->model, prompt, count, &sampling, token, self, &speed);
}

/* The texts of all streams as they grow. */
typedef struct Texts {
    const LsTokenizer *tokenizer;
    const LsSampling *sampling; /* which ids end a stream, and are no part of its text */
    LsStops stops;
    LsTextStream *stream; /* (streams) */
    int64_t streams, ended;
    LsTokenFunction token;
    void *self;
    LsStatus status;
} Texts;

static bool on_token(void *self, int64_t b, int64_t index, int32_t token)
{
    Texts *texts = self;
    LsTextStream *stream = &texts->stream[b];
    if (stream->ended)
        return true;
    bool ends = ls_sampling_stops(texts->sampling, token); /* then no other token of this stream comes */
    if (!ends)
        texts->status = ls_text_stream_add(stream, texts->tokenizer, token);
    texts->ended += texts->status == LS_OK && (ls_text_stream_stopped(stream, &texts->stops) || ends);
    bool goes_on = !texts->token || texts->token(texts->self, b, index, token);
    return goes_on && texts->status == LS_OK && texts->ended < texts->streams;
}

/* Gives the texts of the streams to the caller. */
static LsStatus give_texts(const Texts *texts, char **text, int64_t *text_bytes)
{
    for (int64_t b = 0; b < texts->streams; b++) {
        text_bytes[b] = ls_text_stream_settled(&texts->stream[b], &texts->stops, true);
        text[b] = ls_alloc((size_t)text_bytes[b] + 1);
        if (!text[b])
            return LS_RESOURCE;
        if (text_bytes[b] > 0)
            memcpy(text[b], texts->stream[b].bytes, (size_t)text_bytes[b]);
        text[b][text_bytes[b]] = '\0';
    }
    return LS_OK;
}

static LsStatus continue_text(LsTrained *trained, const char *prompt, int64_t bytes, const LsGenerate *how,
                              Texts *texts)
{
    LsSampling sampling;
    LsGenerationSpeed speed;
    int32_t *ids = NULL;
    int64_t count = 0;
    LS_TRY(set_sampling(&trained->model, how, &sampling));
    texts->sampling = &sampling;
    LS_TRY(ls_stops_check(&texts->stops, "a stop"));
    if (!texts->tokenizer)
        return ls_fail(LS_USAGE, "%s has no tokenizer, so it cannot read text; give ids", trained->model.path);
    texts->stream = ls_alloc_array(how->streams > 0 ? how->streams : 1, sizeof *texts->stream);
    if (!texts->stream)
        return LS_RESOURCE;
    texts->streams = how->streams;
    LS_TRY(ls_tokenizer_encode_prompt(texts->tokenizer, prompt, bytes, &ids, &count));
    LsStatus status = ls_loaded_generate(&trained->model, ids, count, &sampling, on_token, texts, &speed);
    ls_free(ids);
    return status == LS_OK ? texts->status : status;
}

LsStatus ls_trained_continue(LsTrained *trained, const char *prompt, int64_t bytes, const LsGenerate *how, int stops,
                             char *const *stop, LsTokenFunction token, void *self, char **text, int64_t *text_bytes)
{
    Texts texts = {
        .tokenizer = trained->model.tokenizer, .stops = {stops, stop}, .token = token, .self = self, .status = LS_OK};
    for (int64_t b = 0; b < how->streams; b++)
        text[b] = NULL;
    LsStatus status = continue_text(trained, prompt, bytes, how, &texts);
    if (status == LS_OK)
        status = give_texts(&texts, text, text_bytes);
    for (int64_t b = 0; b < how->streams; b++) {
        if (texts.stream)
            ls_text_stream_free(&texts.stream[b]);
        if (status != LS_OK) {
            ls_free(text[b]);
            text[b] = NULL;
        }
    }
    ls_free(texts.stream);
    return status;
}
