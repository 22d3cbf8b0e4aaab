/* bench --generate: how long the tokens of a model that was not trained take, one by one after a prompt. */
#include "cli/bench.h"
#include "api/load.h"
#include "store/lora.h"
#include "train/init.h"

#include <math.h>
#include <stdlib.h>

/* When the first stream's tokens came. */
typedef struct Clock {
    double *at; /* (tokens) */
} Clock;

static bool on_token(void *self, int64_t stream, int64_t index, int32_t token)
{
    (void)token;
    if (stream == 0)
        ((Clock *)self)->at[index] = ls_seconds();
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static LsStatus print(const LsBenchOptions *o, const LsParams *params, const LsConfig *config,
                      const LsGenerationSpeed *speed, double *seconds)
{
    qsort(seconds, (size_t)o->steps, sizeof *seconds, by_value);
    double median = (seconds[(o->steps - 1) / 2] + seconds[o->steps / 2]) / 2;
    if (o->json)
        return ls_print_json(json_pack(
            "{s:s, s:I, s:s, s:i, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "model", config->model->name,
            "parameters", (json_int_t)params->elements, "weights", o->weights, "threads", ls_threads(), "streams",
            (json_int_t)o->streams, "prompt", (json_int_t)o->prompt, "prompt_seconds", speed->prompt_seconds,
            "pass_seconds_median", median, "pass_seconds_min", seconds[0], "items_per_second",
            (double)o->streams / median, "parameter_bytes", (json_int_t)speed->parameter_bytes, "state_bytes",
            (json_int_t)speed->state_bytes, "memory_bytes", (json_int_t)ls_peak_resident_bytes()));
    printf("%s, weights in %s, %lld streams after %lld tokens: median %.3f ms a pass, least %.3f; %.1f tokens per "
           "second\n",
           config->model->name, o->weights, (long long)o->streams, (long long)o->prompt, 1e3 * median, 1e3 * seconds[0],
           (double)o->streams / median);
    printf("prompt %.3f s; parameters %.1f MiB, states %.1f MiB, resident %.1f MiB\n", speed->prompt_seconds,
           (double)speed->parameter_bytes / 1048576, (double)speed->state_bytes / 1048576,
           (double)ls_peak_resident_bytes() / 1048576);
    return LS_OK;
}

static LsStatus measure(const LsBenchOptions *o, const LsConfig *config, LsParams *params, int32_t *prompt, double *at)
{
    int64_t vocabulary = 0, tokens = o->warmup + o->steps + 1;
    LsSampling sampling = {.temperature = 0,
                           .top_p = 1,
                           .tokens = tokens,
                           .batch = o->streams,
                           .stop = -1,
                           .precision = ls_precision_named(o->weights)};
    if (!ls_config_model_int(config, "vocabulary", &vocabulary) || vocabulary == 0)
        return ls_fail(LS_USAGE, "bench --generate: give model.vocabulary, which no data set tells here");
    for (int64_t i = 0; i < o->prompt; i++)
        prompt[i] = (int32_t)(ls_uniform_at(ls_key(1, "prompt"), 0, (uint64_t)i) * (float)vocabulary);
    LS_TRY(ls_generate_freeze(config, sampling.precision, params));
    LS_TRY(ls_params_draw(params, (uint64_t)config->train.seed));
    LsGenerationSpeed speed;
    LS_TRY(ls_generate(config, params, prompt, o->prompt, &sampling, on_token, &(Clock){at}, &speed));
    for (int64_t i = 0; i < o->steps; i++) /* from one token to the next */
        at[i] = at[o->warmup + i + 1] - at[o->warmup + i];
    return print(o, params, config, &speed, at);
}

LsStatus ls_bench_generate(const LsCall *call)
{
    const LsBenchOptions *o = call->options;
    if (call->comm->size > 1)
        return ls_fail(LS_LAUNCH, "bench --generate runs on one rank");
    LsConfig *config = NULL;
    LS_TRY(ls_train_config_load(call->operand[0], call->operands - 1, call->operand + 1, NULL, call->comm, &config));
    ls_lora_take_off(config); /* as who uses the model has it */
    LsParams *params = ls_params_new();
    int32_t *prompt = ls_alloc_array(o->prompt, sizeof *prompt);
    double *at = ls_alloc_array(o->warmup + o->steps + 1, sizeof *at);
    LsStatus status = params && prompt && at ? measure(o, config, params, prompt, at) : LS_RESOURCE;
    ls_free(at);
    ls_free(prompt);
    ls_params_free(params);
    ls_config_free(config);
    return status;
}
