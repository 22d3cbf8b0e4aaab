/* Texts without the characters that a tokenizer cannot say: one of a closed vocabulary refuses them. */
#ifndef LS_DATA_UNKNOWN_H
#define LS_DATA_UNKNOWN_H

#include "data/tokenizer.h"

typedef struct LsSayable {
    LsCorpusPart *part; /* as they came, or copies */
    char **owned;       /* the copies; NULL where a text is as it came */
    int parts;
    int64_t dropped; /* characters left out, and bytes that belong to none */
    char first[64];  /* the first of them, for messages */
} LsSayable;

/* Begins as {0}; released with ls_sayable_free, after a failure too. Tokenizers that have a token for whatever comes
 * lose nothing. */
LsStatus ls_sayable_texts(const LsTokenizer *tokenizer, const LsCorpusPart *part, int parts,
                          LsSayable *sayable) LS_MUST_USE;
void ls_sayable_free(LsSayable *sayable);

#endif
