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

static LsStatus print(const LsBenchOptions *o, int64_t prompt, const LsParams *params, const LsConfig *config,
                      const LsGenerationSpeed *speed, double *seconds)
{
    qsort(seconds, (size_t)o->steps, sizeof *seconds, by_value);
    double median = (seconds[(o->steps - 1) / 2] + seconds[o->steps / 2]) / 2;
    if (o->json)
        return ls_print_json(json_pack(
            "{s:s, s:I, s:s, s:i, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "model", config->model->name,
            "parameters", (json_int_t)params->elements, "weights", o->weights, "threads", ls_threads(), "streams",
            (json_int_t)o->streams, "prompt", (json_int_t)prompt, "prompt_seconds", speed->prompt_seconds,
            "pass_seconds_median", median, "pass_seconds_min", seconds[0], "items_per_second",
            (double)o->streams / median, "parameter_bytes", (json_int_t)speed->parameter_bytes, "state_bytes",
            (json_int_t)speed->state_bytes, "memory_bytes", (json_int_t)ls_peak_resident_bytes()));
    printf("%s, weights in %s, %lld streams after %lld tokens: median %.3f ms a pass, least %.3f; %.1f tokens per "
           "second\n",
           config->model->name, o->weights, (long long)o->streams, (long long)prompt, 1e3 * median, 1e3 * seconds[0],
           (double)o->streams / median);
    printf("prompt %.3f s; parameters %.1f MiB, states %.1f MiB, resident %.1f MiB\n", speed->prompt_seconds,
           (double)speed->parameter_bytes / 1048576, (double)speed->state_bytes / 1048576,
           (double)ls_peak_resident_bytes() / 1048576);
    return LS_OK;
}

/* The vocabulary of random tokens: the configuration's, or its data set's. */
static LsStatus find_vocabulary(const LsBenchOptions *o, LsConfig *config, int64_t *vocabulary)
{
    LsSource *training = NULL, *validation = NULL;
    *vocabulary = 0;
    if (!ls_config_model_int(config, "vocabulary", vocabulary))
        return ls_fail(LS_USAGE, "bench --generate: %s has no vocabulary, and says no tokens", config->model->name);
    if (*vocabulary == 0 && o->synthetic)
        ls_config_set_model_int(config, "vocabulary", LS_SYNTHETIC_VOCABULARY);
    else if (*vocabulary == 0 && !config->data.path)
        return ls_fail(LS_USAGE, "bench --generate: the job names no data set that tells the vocabulary: give "
                                 "model.vocabulary, or --synthetic");
    else if (*vocabulary == 0) {
        LsStatus status = ls_train_open(config, 1, &training, &validation);
        ls_source_free(training);
        ls_source_free(validation);
        LS_TRY(status);
    }
    ls_config_model_int(config, "vocabulary", vocabulary);
    return LS_OK;
}

#define LONGEST_PROMPT 100 /* where the option leaves it open */

/* Tokens of the prompt, for so many behind it. */
static int64_t choose_prompt(const LsBenchOptions *o, const LsConfig *config, int64_t tokens)
{
    int64_t context = 0;
    if (o->prompt > 0)
        return o->prompt;
    if (!ls_config_model_int(config, "context", &context) || context == 0 || context - tokens >= LONGEST_PROMPT)
        return LONGEST_PROMPT;
    return context > tokens ? context - tokens : 1;
}

static LsStatus measure(const LsBenchOptions *o, LsConfig *config, LsParams *params, double *at)
{
    int64_t vocabulary, tokens = o->warmup + o->steps + 1, count = choose_prompt(o, config, tokens);
    LsSampling sampling = {.temperature = 0,
                           .top_p = 1,
                           .tokens = tokens,
                           .batch = o->streams,
                           .stop = -1,
                           .precision = ls_precision_named(o->weights)};
    LsGenerationSpeed speed;
    LS_TRY(find_vocabulary(o, config, &vocabulary));
    LS_TRY(ls_generate_freeze(config, sampling.precision, params));
    LS_TRY(ls_params_draw(params, (uint64_t)config->train.seed));
    int32_t *prompt = ls_alloc_array(count, sizeof *prompt);
    if (!prompt)
        return LS_RESOURCE;
    for (int64_t i = 0; i < count; i++)
        prompt[i] = (int32_t)(ls_uniform_at(ls_key(1, "prompt"), 0, (uint64_t)i) * (float)vocabulary);
    LsStatus status = ls_generate(config, params, prompt, count, &sampling, on_token, &(Clock){at}, &speed);
    ls_free(prompt);
    LS_TRY(status);
    for (int64_t i = 0; i < o->steps; i++) /* from one token to the next */
        at[i] = at[o->warmup + i + 1] - at[o->warmup + i];
    return print(o, count, params, config, &speed, at);
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
    double *at = ls_alloc_array(o->warmup + o->steps + 1, sizeof *at);
    LsStatus status = params && at ? measure(o, config, params, at) : LS_RESOURCE;
    ls_free(at);
    ls_params_free(params);
    ls_config_free(config);
    return status;
}
