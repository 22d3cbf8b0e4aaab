/* For those who add a tokenizer: one file in src/data that fills in an LsTokenizerKind, and one line in
 * tokenizers.def. */
#ifndef LS_DATA_TOKENIZER_KIND_H
#define LS_DATA_TOKENIZER_KIND_H

#include "data/tokenizer.h"

#include <jansson.h>

/* Blanks that decoding strips at the start of a text, where tokens begin with a blank: none; one; all blanks of the
 * first token; one blank of each token as long as the tokens before it are empty. None of an unknown token's. */
typedef enum LsStrip { LS_STRIP_NONE, LS_STRIP_BLANK, LS_STRIP_FIRST, LS_STRIP_EMPTY } LsStrip;

/* Each kind's structure starts with one. */
struct LsTokenizer {
    const LsTokenizerKind *kind;
    int64_t vocabulary;
    int64_t end, begin;    /* ids that end and begin a text; -1: none */
    int64_t mask, unknown; /* ids of a hidden token, and of a word without pieces; -1: none */
    bool frames;           /* a sample that is a text stands between `begin` and `end` */
    int32_t *special;      /* special: (specials) ids that stand for no text, ascending; the kind frees it */
    int64_t specials;
    int32_t *before, *after; /* ids around a text, as in <s> text; the kind frees them */
    int64_t befores, afters;
    LsStrip strip;
    json_t *files; /* files as they were read, by name: a text, or {"base64": text}; NULL: none */
    int32_t *ends; /* (more_ends) further ids that end a text; the kind frees them */
    int64_t more_ends;
};

struct LsEncoder {
    const LsTokenizer *tokenizer;
    int64_t offset, line; /* of the window's first byte in the whole text; lines count from 1 */
    void *memory;         /* the kind's own; freed by its free_memory */
};

struct LsTokenizerKind {
    const char *name, *summary;
    /* Texts may hold no character that the corpus lacks: then the corpus is all there is, not the training part
     * alone. */
    bool closed;
    const char *folder; /* that `prepare` takes the vocabulary from where none is named; NULL: none */
    /* As ls_tokenizer_make. */
    LsStatus (*make)(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer);
    /* The name of a special token that stands in a text is that token, whatever is asked for. */
    bool takes_special;
    /* It is made of its files alone: then its JSON is these, and describe says what its digest is of. */
    bool of_files;
    /* The JSON object that ls_tokenizer_to_json writes, without "kind", and back. describe: NULL when out of memory. */
    json_t *(*describe)(const LsTokenizer *tokenizer);
    LsStatus (*parse)(const json_t *object, LsTokenizer **tokenizer);
    void (*free)(LsTokenizer *tokenizer);
    /* As ls_encoder_feed; tokenizer, offset and line are set. */
    LsStatus (*feed)(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used);
    void (*free_memory)(void *memory); /* NULL where feed keeps none */
    /* The bytes of a token; room holds at least 8 for kinds that make them up. NULL where the id, which is in
     * 0..vocabulary-1, stands for nothing. */
    const char *(*token)(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes);
    /* NULL where `files` are all there is. */
    LsStatus (*write_folder)(const LsTokenizer *tokenizer, const char *folder);
    /* *tokenizer NULL and LS_OK where the folder has no files of this kind. NULL for kinds that have no files of their
     * own. */
    LsStatus (*from_folder)(const char *folder, LsTokenizer **tokenizer);
    LsStatus (*from_file)(const char *path, LsTokenizer **tokenizer); /* the same of a single file; NULL: none */
};

#define TOKENIZER(name) extern const LsTokenizerKind ls_tokenizer_kind_##name;
#include "data/tokenizers.def"
#undef TOKENIZER

/* LS_DATA with the place of text[at] in the whole text before the message. */
LsStatus ls_encoder_fail(const LsEncoder *encoder, const char *text, int64_t at, const char *format, ...)
    LS_PRINTF(4, 5);

/* The same for bytes at text[at] that are no character of UTF-8. */
LsStatus ls_encoder_fail_malformed(const LsEncoder *encoder, const char *text, int64_t bytes, int64_t at);

/* Lines in text[0 .. bytes). */
int64_t ls_count_lines(const char *text, int64_t bytes);

/* Names of the files that tokenizers of published models are made of, ended by NULL: no other is kept or written. */
extern const char *const ls_tokenizer_files[];
/* Adds the folder's files that are named in `names`, ended by NULL, to the object `files`. */
LsStatus ls_tokenizer_keep_files(const char *folder, const char *const *names, json_t *files) LS_MUST_USE;

/* A JSON file of a folder, written by the safe replace. */
LsStatus ls_json_file_write(const char *folder, const char *name, const json_t *root) LS_MUST_USE;

#endif
