/* Sampling from an autoregressive model: one parallel pass over the prompt, then token by token on graphs that share
 * states.
 *
 *     LsSampling sampling = {.temperature = 0.8, .top_p = 1, .tokens = 100, .batch = 1, .stop = -1};
 *     LS_TRY(ls_generate(config, params, prompt, count, &sampling, print_token, NULL, &speed));
 */
#ifndef LS_DECODE_GENERATE_H
#define LS_DECODE_GENERATE_H

#include "config/config.h"
#include "lockstep/tensor.h"

/* In what the model computes while it generates. LS_GENERATE_INT8: dense layers read weights rounded to 8 bits (see
 * linear_int8), the rest is as in training. */
typedef enum LsGeneratePrecision {
    LS_GENERATE_AS_TRAINED,
    LS_GENERATE_FLOAT,
    LS_GENERATE_BFLOAT16,
    LS_GENERATE_INT8
} LsGeneratePrecision;

typedef struct LsSampling {
    double temperature; /* 0: the likeliest token */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    uint64_t seed;      /* token i of stream b is a function of (seed, b, i) and the logits */
    int64_t tokens, batch;
    LsGeneratePrecision precision;
    int32_t stop;             /* id that ends a stream, -1: none */
    const int32_t *more_stop; /* (more_stops) further ones */
    int64_t more_stops;
    const bool *never; /* (V) ids that are never drawn: those a tokenizer lacks; NULL: none */
} LsSampling;

/* Whether a token ends a stream. */
bool ls_sampling_stops(const LsSampling *sampling, int32_t token);

/* Called for every new token of every stream, the stop token included; return false to end. */
typedef bool (*LsTokenSink)(void *self, int64_t stream, int64_t index, int32_t token);

typedef struct LsGenerationSpeed {
    double prompt_seconds, token_seconds; /* pass over the prompt; everything after it */
    int64_t tokens;                       /* sampled, all streams together */
    int64_t parameter_bytes, state_bytes; /* of the parameters in memory; of states and caches of all streams */
} LsGenerationSpeed;

/* All streams start from the same prompt of count >= 1 tokens. params: allocated, of this configuration's model. Not
 * collective. Where generation fills a limited context (that of a model with an input "position" that is not
 * LsModel.endless), it goes on from the newer half of it, read again from position 0. LS_USAGE where the prompt alone
 * does not fit such a context, for a token outside the vocabulary, and for settings out of range; LS_DIVERGED where the
 * model's output is not finite. Allocates nothing between the first call of the sink and the last. */
LsStatus ls_generate(const LsConfig *config, LsParams *params, const int32_t *prompt, int64_t count,
                     const LsSampling *sampling, LsTokenSink sink, void *self, LsGenerationSpeed *speed) LS_MUST_USE;

/* Instead of ls_params_allocate: memory for what generation in this precision reads of the parameters, and no more
 * (ls_params_freeze). params: those that a graph of this configuration's model declared, or none yet. */
LsStatus ls_generate_freeze(const LsConfig *config, LsGeneratePrecision precision, LsParams *params) LS_MUST_USE;

/* ---- One draw ---------------------------------------------------------------------------------------------------- */

/* Work space for a vocabulary. NULL with a message. */
typedef struct LsSampler LsSampler;
LsSampler *ls_sampler_new(int64_t vocabulary);
void ls_sampler_free(LsSampler *sampler); /* NULL is allowed */

/* Draws from softmax(logits / temperature) among the top_k likeliest, and of those the fewest whose probabilities sum
 * to at least top_p; of equal logits the lower id goes first; as if the logits of ids in `never` were -infinity.
 * logits: (V). LS_USAGE where no id is left. */
LsStatus ls_sampler_draw(LsSampler *sampler, const LsSampling *sampling, const float *logits, int64_t stream,
                         int64_t index, int32_t *token) LS_MUST_USE;

#endif
