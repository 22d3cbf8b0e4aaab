/* The parts of GPT-2's tokenizer: Radford et al. 2019, "Language models are unsupervised multitask learners",
 * section 2.2; byte-pair encoding after Sennrich, Haddow and Birch 2016.
 *
 * 1. Text is cut into words by a pattern (gpt2_words.c). Vocabularies of later models that are otherwise of this
 * form (GPT-NeoX's, which
 *    Mamba's are) bring text into Normalization Form C first, and take some strings out of it whole: added tokens (gpt2_added.c).
 * 2. A word starts as its bytes' tokens; then, while any neighbouring pair is in the list of merges, the pair that
 * stands first in the list
 *    (its leftmost occurrence) becomes one token (merges.c).
 */
#ifndef LS_DATA_GPT2_H
#define LS_DATA_GPT2_H

#include "data/merges.h"
#include "data/tokenizer_kind.h"

#define LS_GPT2_END "<|endoftext|>"

typedef enum Gpt2Form {
    GPT2_HOLE,  /* no token has this id */
    GPT2_LEVEL, /* written in the alphabet of bytes */
    GPT2_RAW    /* a special token written as it is, with characters that are not in that alphabet */
} Gpt2Form;

/* A string that is a token wherever it stands in a text. */
typedef struct Gpt2Added {
    const char *text; /* in Gpt2.bytes */
    int64_t bytes;
    int32_t id;
} Gpt2Added;

typedef struct Gpt2 {
    LsTokenizer base;
    char *bytes;          /* of all tokens, one after another: token i is bytes[start[i] .. start[i + 1]) */
    int64_t *start;       /* start: (vocabulary + 1) */
    unsigned char *form;  /* form: (vocabulary) */
    int32_t byte_id[256]; /* -1 where a byte has no token */
    LsMerges merges;
    void *pattern;    /* compiled by ls_gpt2_pattern_new */
    bool nfc;         /* text is normalized first: then decoding gives the normal form of what was encoded */
    Gpt2Added *added; /* added: (added_count), longest first */
    int64_t added_count;
    bool added_start[256]; /* whether one starts with this byte */
    bool added_spaced;     /* whether one has white space after something else: then texts are encoded whole */
} Gpt2;

/* ---- gpt2_vocabulary.c: reading, checking, writing --------------------------------------------------------------- */

/* From an object token: id and an array of "left right" (or [left, right]); `vocabulary_name` and `merges_name` stand
 * in messages, the number of a merge is counted from `first`. */
LsStatus ls_gpt2_new(const json_t *vocabulary, const char *vocabulary_name, const json_t *merges,
                     const char *merges_name, int64_t first, Gpt2 **tokenizer) LS_MUST_USE;
void ls_gpt2_free(Gpt2 *gpt2);

/* Names tokens of the vocabulary as added ones; `added` is an array of names. */
LsStatus ls_gpt2_set_added(Gpt2 *gpt2, const json_t *added, const char *name) LS_MUST_USE;
json_t *ls_gpt2_added_json(const Gpt2 *gpt2);

/* The object token: id, and the array of merges. NULL when out of memory. */
json_t *ls_gpt2_vocabulary_json(const Gpt2 *gpt2);
json_t *ls_gpt2_merges_json(const Gpt2 *gpt2);

/* Files. *tokenizer NULL with LS_OK where the folder has none. */
LsStatus ls_gpt2_read_folder(const char *folder, Gpt2 **tokenizer) LS_MUST_USE;
LsStatus ls_gpt2_write_folder(const Gpt2 *gpt2, const char *folder) LS_MUST_USE;

/* ---- gpt2_beside.c ----------------------------------------------------------------------------------------------- */

/* Whether the files beside a vocabulary say no more than its end token. single: it is of a tokenizer.json. */
LsStatus ls_gpt2_is_plain(const char *folder, const Gpt2 *gpt2, bool single, bool *plain) LS_MUST_USE;
/* Then the tokenizer keeps them. */
LsStatus ls_gpt2_keep_beside(const char *folder, Gpt2 *gpt2) LS_MUST_USE;

/* ---- gpt2_words.c ------------------------------------------------------------------------------------------------ */

LsStatus ls_gpt2_pattern_new(void **pattern) LS_MUST_USE;
void ls_gpt2_pattern_free(void *pattern);

/* Finds words one after another in text[0 .. bytes), which is whole UTF-8 characters. */
typedef struct Gpt2Words Gpt2Words;
Gpt2Words *ls_gpt2_words_new(const void *pattern);
void ls_gpt2_words_free(Gpt2Words *words);
/* End of the word that starts at `from` < bytes. */
LsStatus ls_gpt2_word(Gpt2Words *words, const char *text, int64_t bytes, int64_t from, int64_t *end) LS_MUST_USE;

/* ---- gpt2_added.c ------------------------------------------------------------------------------------------------ */

/* The first added token in text[from .. end): its place, or `end` and *found NULL. The longest of those that start
 * there. */
int64_t ls_gpt2_find_added(const Gpt2 *gpt2, const char *text, int64_t from, int64_t end, const Gpt2Added **found);

/* A place after `from`, at least some hundred bytes on, where the text can be cut in two that have the same tokens as
 * the whole: in front of a space or line's end after a character that is no white space. -1 where there is none. */
int64_t ls_gpt2_cut(const Gpt2 *gpt2, const char *text, int64_t from, int64_t end);

#endif
