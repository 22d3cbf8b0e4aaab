/* The parts of GPT-2's tokenizer: Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.2; byte-pair
 * encoding after Sennrich, Haddow and Birch 2016.
 *
 * 1. Text is cut into words by a pattern (gpt2_words.c).
 * 2. A word starts as its bytes' tokens; then, while any neighbouring pair is in the list of merges, the pair that stands first in the list
 *    (its leftmost occurrence) becomes one token (gpt2_merge.c).
 */
#ifndef LS_DATA_GPT2_H
#define LS_DATA_GPT2_H

#include "data/tokenizer_kind.h"

#define LS_GPT2_END "<|endoftext|>"
#define LS_NO_RANK INT32_MAX

typedef struct Gpt2Merge {
    int32_t left, right, result; /* ids */
} Gpt2Merge;

typedef enum Gpt2Form {
    GPT2_HOLE,  /* no token has this id */
    GPT2_LEVEL, /* written in the alphabet of bytes */
    GPT2_RAW    /* a special token written as it is, with characters that are not in that alphabet */
} Gpt2Form;

typedef struct Gpt2 {
    LsTokenizer base;
    char *bytes;           /* of all tokens, one after another: token i is bytes[start[i] .. start[i + 1]) */
    int64_t *start;        /* start: (vocabulary + 1) */
    unsigned char *form;   /* form: (vocabulary) */
    int32_t byte_id[256];  /* -1 where a byte has no token */
    Gpt2Merge *merge;      /* merge: (merges), in order of rank */
    int64_t merges;
    int32_t *slot;         /* slot: (slots), a power of two: rank of the pair that hashes there, or LS_NO_RANK */
    int64_t slots;
    void *pattern;         /* compiled by ls_gpt2_pattern_new */
} Gpt2;

/* ---- gpt2_vocabulary.c: reading, checking, writing ------------------------------------------------------------------ */

/* From an object token: id and an array of "left right" (or [left, right]); `vocabulary_name` and `merges_name` stand in messages, the
 * number of a merge is counted from `first`. */
LsStatus ls_gpt2_new(const json_t *vocabulary, const char *vocabulary_name, const json_t *merges, const char *merges_name, int64_t first,
                     Gpt2 **tokenizer) LS_MUST_USE;
void ls_gpt2_free(Gpt2 *gpt2);

/* The object token: id, and the array of merges. NULL when out of memory. */
json_t *ls_gpt2_vocabulary_json(const Gpt2 *gpt2);
json_t *ls_gpt2_merges_json(const Gpt2 *gpt2);

/* Files. *tokenizer NULL with LS_OK where the folder has none. */
LsStatus ls_gpt2_read_folder(const char *folder, Gpt2 **tokenizer) LS_MUST_USE;
LsStatus ls_gpt2_write_folder(const Gpt2 *gpt2, const char *folder) LS_MUST_USE;

/* ---- gpt2_words.c ---------------------------------------------------------------------------------------------------- */

LsStatus ls_gpt2_pattern_new(void **pattern) LS_MUST_USE;
void ls_gpt2_pattern_free(void *pattern);

/* Finds words one after another in text[0 .. bytes), which is whole UTF-8 characters. */
typedef struct Gpt2Words Gpt2Words;
Gpt2Words *ls_gpt2_words_new(const void *pattern);
void ls_gpt2_words_free(Gpt2Words *words);
/* End of the word that starts at `from` < bytes. */
LsStatus ls_gpt2_word(Gpt2Words *words, const char *text, int64_t bytes, int64_t from, int64_t *end) LS_MUST_USE;

/* ---- gpt2_merge.c ------------------------------------------------------------------------------------------------------ */

/* Rank of a pair, LS_NO_RANK where it does not merge. */
int32_t ls_gpt2_rank(const Gpt2 *gpt2, int32_t left, int32_t right);
LsStatus ls_gpt2_index_merges(Gpt2 *gpt2) LS_MUST_USE;

typedef struct Gpt2Merger Gpt2Merger; /* working memory of one thread */
Gpt2Merger *ls_gpt2_merger_new(void);
void ls_gpt2_merger_free(Gpt2Merger *merger);
/* Replaces the tokens id[0 .. *count) of one word's bytes by its tokens. */
LsStatus ls_gpt2_merge(const Gpt2 *gpt2, Gpt2Merger *merger, int32_t *id, int64_t *count) LS_MUST_USE;

#endif
