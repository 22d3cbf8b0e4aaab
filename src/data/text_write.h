/* Pieces of texts as tokens: what `prepare text` writes, and what a model's own tokenizer makes of a text to
 * evaluate. */
#ifndef LS_DATA_TEXT_WRITE_H
#define LS_DATA_TEXT_WRITE_H

#include "data/samples.h"

/* ---- Special tokens in a text ------------------------------------------------------------------------------------ */

typedef struct LsSpecial {
    char *text;
    int64_t bytes;
    int32_t id;
} LsSpecial;

/* Begins as {0}. */
typedef struct LsSpecials {
    LsSpecial *list; /* the longest first */
    int count;
    bool start[256]; /* whether one begins with this byte */
} LsSpecials;

/* Collects a tokenizer's special tokens: ends, beginnings, hidden and unknown words, and others that stand for no
 * text. */
LsStatus ls_specials_of(const LsTokenizer *tokenizer, LsSpecials *specials) LS_MUST_USE;
/* Those that --special asks for: none where encode finds them by itself, LS_USAGE where the tokenizer has none. */
LsStatus ls_specials_asked(const LsTokenizer *tokenizer, LsSpecials *specials) LS_MUST_USE;
/* Where the first one in text[from .. end) begins, and which; `end` and NULL where there is none. */
int64_t ls_specials_find(const LsSpecials *specials, const char *text, int64_t from, int64_t end,
                         const LsSpecial **found);
void ls_specials_free(LsSpecials *specials);

/* Says where the name of a special token stands in texts in which it is read as text. */
void ls_specials_warn(const LsTokenizer *tokenizer, const LsCorpusPart *part, int parts);

/* As ls_tokenizer_encode_prompt; special: names of special tokens in it are these tokens. */
LsStatus ls_prompt_encode(const LsTokenizer *tokenizer, bool special, const char *text, int64_t bytes, int32_t **ids,
                          int64_t *count) LS_MUST_USE;

/* The id of a token that is this text; -1 where the vocabulary has none. */
int64_t ls_token_named(const LsTokenizer *tokenizer, const char *text);

/* ---- Pieces ------------------------------------------------------------------------------------------------------ */

/* Part of a text. */
typedef struct LsPiece {
    const LsCorpusPart *part;
    int64_t from, to;
} LsPiece;

typedef struct LsTextSplit {
    LsPiece *piece;
    int pieces;
    int64_t bytes, tokens; /* tokens: set when they are written */
} LsTextSplit;

/* How texts become tokens. */
typedef struct LsTextCoding {
    const LsTokenizer *tokenizer;
    const LsSpecials *specials; /* that stand for themselves in a text; NULL: they are text like any other */
    const int32_t *separator;   /* (separators) ids between two pieces */
    int64_t separators;
} LsTextCoding;

/* The pieces' ids, each between those that the tokenizer has around a text, with the separator between them, part by
 * part to `add`. */
LsStatus ls_pieces_encode(const LsTextCoding *coding, const LsPiece *piece, int pieces,
                          LsStatus (*add)(void *self, const int32_t *id, int64_t count), void *self) LS_MUST_USE;

/* The arrays of a split (text.h). A tokenizer that frames texts takes neither specials nor separators. */
LsStatus ls_text_split_write(LsSealed *file, const char *name, const LsTextCoding *coding,
                             LsTextSplit *split) LS_MUST_USE;

#endif
