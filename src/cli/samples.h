/* Samples of text during a training (train.sample_every). Rank 0 alone. */
#ifndef LS_CLI_SAMPLES_H
#define LS_CLI_SAMPLES_H

#include "train/train.h"

typedef struct LsSamples {
    const LsConfig *config;
    const LsTokenizer *tokenizer;
    int prompts;
    char **prompt; /* (prompts) */
    LsTokens *ids; /* (prompts) of each; then of the sample */
    char *json;    /* of the newest samples */
} LsSamples;

/* Reads the prompts of the job; nothing where it asks for no samples. LS_USAGE where it names none, one cannot be read,
 * or the task does not go on with a text. tokenizer: of the training data. */
LsStatus ls_samples_open(LsSamples *samples, const LsConfig *config, const LsTokenizer *tokenizer) LS_MUST_USE;
void ls_samples_close(LsSamples *samples);

/* Goes on from each prompt for so many tokens. *json: an array of texts, the structure's until the next call. The same
 * parameters give the same texts. */
LsStatus ls_samples_draw(LsSamples *samples, LsParams *params, int64_t tokens, const char **json) LS_MUST_USE;

#endif
