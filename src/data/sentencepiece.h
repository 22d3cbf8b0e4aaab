/* SentencePiece's tokenizer.model (Kudo and Richardson 2018): unigrams (Kudo 2018) and byte pairs. The file is read by
 * ourselves: its library is C++, and the few fields that there are (a protocol buffer) take less than a wrapper around
 * it.
 *
 *     text --rules, blanks as a sign--> normal form --unigrams or byte pairs--> pieces --> ids; unknown ones as bytes
 *
 * A text is read as a stream: what no piece goes across is coded and forgotten.
 */
#ifndef LS_DATA_SENTENCEPIECE_H
#define LS_DATA_SENTENCEPIECE_H

#include "data/subword.h"

typedef enum PieceType {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN,
    PIECE_CONTROL,
    PIECE_USER_DEFINED,
    PIECE_UNUSED,
    PIECE_BYTE
} PieceType;

typedef struct PieceNode {
    uint64_t key; /* (parent << 8 | byte) + 1; 0: free */
    int32_t node;
} PieceNode;

typedef struct SentencePiece {
    float *score;        /* score: (vocabulary) */
    unsigned char *type; /* type: (vocabulary), PieceType */
    bool unigram;        /* else byte pairs */
    bool as_suffix;      /* blanks end words, rather than begin them */
    bool dummy_prefix, extra_blanks_go, escapes;
    float least, most; /* scores of normal pieces */
    /* rules of the normal form: a double array of prefixes (Darts), whose values are places in `normal` */
    uint32_t *rule;
    int64_t rules;
    char *normal;
    int64_t normal_bytes;
    SubwordAddedSet defined; /* pieces that are taken whole */
    int64_t longest_defined;
    /* unigrams by their bytes: a table of a tree's nodes */
    PieceNode *node;
    int64_t nodes;
    int32_t *piece_at; /* piece_at: (nodes used), -1: none ends here */
} SentencePiece;

/* The state of an encoder within a text. Begins as {0}. */
typedef struct PieceMemory {
    char *text; /* normal form that is not coded yet */
    int64_t bytes, room;
    bool started, after_blank, after_unknown;
    float carry; /* score of the best path so far */
    struct PieceStep *step;
    int64_t steps;
    struct PieceSymbol *symbol;
    struct PiecePair *pair;
    int64_t symbols;
} PieceMemory;

/* ---- sentencepiece_model.c --------------------------------------------------------------------------------------- */

/* From the bytes of a tokenizer.model. `path` stands in messages. */
LsStatus ls_sentencepiece_read(const char *path, const char *bytes, int64_t count, Subword *subword) LS_MUST_USE;
void ls_sentencepiece_free(SentencePiece *piece); /* NULL is allowed */

/* ---- sentencepiece_normal.c -------------------------------------------------------------------------------------- */

/* Appends the normal form of text[0 .. *used) to the memory; last: nothing follows. */
LsStatus ls_sentencepiece_normal(const SentencePiece *piece, PieceMemory *memory, const char *text, int64_t bytes,
                                 bool last, int64_t *used) LS_MUST_USE;

/* ---- sentencepiece_encode.c -------------------------------------------------------------------------------------- */

LsStatus ls_sentencepiece_feed(const SubwordRun *run, const char *text, int64_t bytes, bool last,
                               int64_t *used) LS_MUST_USE;
void ls_piece_memory_free(PieceMemory *memory);
/* The tree of unigrams. */
LsStatus ls_sentencepiece_tree(Subword *subword) LS_MUST_USE;

#endif
