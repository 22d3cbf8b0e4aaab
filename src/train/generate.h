/* Sampling from an autoregressive model: one parallel pass over the prompt, then token by token on graphs that share states. */
#ifndef LS_TRAIN_GENERATE_H
#define LS_TRAIN_GENERATE_H

#include "config/config.h"
#include "lockstep/tensor.h"

typedef struct LsSampling {
    double temperature; /* 0: the likeliest token */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    uint64_t seed;      /* token i of stream b is a function of (seed, b, i) and the logits */
    int64_t tokens, batch;
    int32_t stop; /* id that ends a stream, -1: none */
} LsSampling;

/* Called for every new token of every stream; return false to end. */
typedef bool (*LsTokenSink)(void *self, int64_t stream, int64_t index, int32_t token);

typedef struct LsGenerationSpeed {
    double prompt_seconds, token_seconds;
    int64_t tokens; /* sampled, all streams together */
} LsGenerationSpeed;

/* Not collective. LS_USAGE where prompt + tokens do not fit a model whose context is limited. */
LsStatus ls_generate(const LsConfig *config, LsParams *params, const int32_t *prompt, int64_t count, const LsSampling *sampling,
                     LsTokenSink sink, void *self, LsGenerationSpeed *speed) LS_MUST_USE;

#endif
