/* Loading a trained model from a run or checkpoint: its configuration, parameters and tokenizer. */
#ifndef LS_API_LOAD_H
#define LS_API_LOAD_H

#include "config/config.h"
#include "data/tokenizer.h"
#include "store/checkpoint.h"
#include "decode/generate.h"

#include <jansson.h>

typedef struct LsLoaded {
    char *path; /* of the checkpoint */
    LsConfig *config;
    LsParams *params; /* without gradients */
    LsProgress progress;
    LsTokenizer *tokenizer; /* NULL where the model has none */
    json_t *info;           /* LsSource.info of its training data; NULL where there is none */
} LsLoaded;

/* run: a run folder (its newest whole checkpoint, or the best by validation loss) or a checkpoint. overrides:
 * "key=value", over the configuration in the checkpoint; may be NULL with count 0. Not collective. LS_CHECKPOINT where
 * there is none. Release with ls_loaded_free, after a failure too. */
LsStatus ls_load(const char *run, bool best, int overrides, char *const *override, LsLoaded *loaded) LS_MUST_USE;

/* The same for generation in this precision alone: parameters take the memory that it needs. */
LsStatus ls_load_for_generation(const char *run, bool best, int overrides, char *const *override,
                                LsGeneratePrecision precision, LsLoaded *loaded) LS_MUST_USE;
/* "run", "float", "bfloat16" or "int8", as options have them. */
LsGeneratePrecision ls_precision_named(const char *name);
void ls_loaded_free(LsLoaded *loaded);

/* Streams end where the tokenizer's texts do; NULL: it has none. */
void ls_sampling_stop_at_ends(LsSampling *sampling, const LsTokenizer *tokenizer);

/* ls_generate of this model, by which ids that its tokenizer lacks are never drawn; sampling->never is the call's. */
LsStatus ls_loaded_generate(const LsLoaded *model, const int32_t *prompt, int64_t count, LsSampling *sampling,
                            LsTokenSink sink, void *self, LsGenerationSpeed *speed) LS_MUST_USE;

#endif
