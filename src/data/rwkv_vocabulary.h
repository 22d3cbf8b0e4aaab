/* The vocabulary of RWKV's World models, rwkv_vocab_v20230424.txt: a token a line,
 *
 *     261 '\n\n' 2
 *     255 b'\xfe' 1
 *
 * its id, one more than that of the line before, from 1 on; its text or its bytes as Python writes them; their bytes.
 */
#ifndef LS_DATA_RWKV_VOCABULARY_H
#define LS_DATA_RWKV_VOCABULARY_H

#include "data/raw.h"

typedef struct LsRwkvVocabulary {
    char *bytes;    /* token i is bytes[start[i] .. start[i + 1]); token 0, which ends a text, has none */
    int64_t *start; /* start: (tokens + 1) */
    int64_t tokens;
} LsRwkvVocabulary;

/* LS_DATA with file and line. *vocabulary is to be freed in any case. */
LsStatus ls_rwkv_vocabulary_read(const LsCorpusPart *file, LsRwkvVocabulary *vocabulary) LS_MUST_USE;
void ls_rwkv_vocabulary_free(LsRwkvVocabulary *vocabulary);

#endif
