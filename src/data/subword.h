/* Tokenizers of subwords, as the files of published models say them: tokenizer.json (the `tokenizers` library), the
 * older pair vocab.json and merges.txt, and SentencePiece's tokenizer.model. A text goes through
 *
 *     added tokens     strings that are tokens whole                 subword_added.c
 *     normal form      composition, small letters, replacements      subword_normal.c
 *     added tokens     those that are looked for in the normal form
 *     words            patterns, digits, blanks as a sign            subword_split.c
 *     model            byte pairs or unigrams                        subword_bpe.c, sentencepiece.h
 *
 * and its ids may stand between others (<s> text). The ids are those of the library that the files are of, to the last
 * one; what its files ask for and is not known here is refused by name when they are read.
 */
#ifndef LS_DATA_SUBWORD_H
#define LS_DATA_SUBWORD_H

#include "data/merges.h"
#include "data/subword_regex.h"
#include "data/tokenizer_kind.h"
#include "data/word_cache.h"

/* ---- Vocabulary -------------------------------------------------------------------------------------------------- */

/* Strings with ids: a table of the places where they hash. */
typedef struct SubwordIndex {
    int32_t *slot; /* slot: (slots), a power of two: an id, or -1 */
    int64_t slots;
} SubwordIndex;

/* Strings one after another: number i is bytes[start[i] .. start[i + 1]). */
typedef struct SubwordTexts {
    char *bytes;
    int64_t *start; /* start: (count + 1) */
    int64_t count;
} SubwordTexts;

static inline int64_t subword_length(const SubwordTexts *texts, int64_t i)
{
    return texts->start[i + 1] - texts->start[i];
}

/* ---- Added tokens ------------------------------------------------------------------------------------------------ */

typedef struct SubwordAdded {
    char *text; /* what is looked for: the token, or its normal form */
    int64_t bytes;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} SubwordAdded;

/* Added tokens that are searched for in the text as it is, or in its normal form; of several that start at one place
 * the longest is taken. */
typedef struct SubwordAddedSet {
    SubwordAdded *list; /* longest first */
    int64_t count;
    int32_t first[256]; /* first[b]: the longest that starts with byte b, -1: none */
    int32_t *next;      /* next: (count), the next that starts with the same byte */
} SubwordAddedSet;

/* ---- Normal form ------------------------------------------------------------------------------------------------- */

typedef enum SubwordNormal {
    SUBWORD_NFC,
    SUBWORD_LOWERCASE,
    SUBWORD_PREPEND,
    SUBWORD_REPLACE,
    SUBWORD_NORMALS
} SubwordNormal;

typedef struct SubwordNormalStep {
    SubwordNormal kind;
    char *find, *with; /* with: what is put in front, or in the place of `find` */
    char *expression;  /* in the place of `find`, and as it is compiled */
    void *regex;
} SubwordNormalStep;

/* ---- Words ------------------------------------------------------------------------------------------------------- */

typedef enum SubwordSplit {
    SUBWORD_PATTERN,   /* by what a pattern matches */
    SUBWORD_METASPACE, /* blanks become a sign, words begin with it */
    SUBWORD_BYTELEVEL  /* words become their bytes */
} SubwordSplit;

/* How the parts that a pattern matches are treated: removed; words of their own; joined with matching neighbours; added
 * to the end of the word before; added to the start of the word after. */
typedef enum SubwordBehavior {
    SUBWORD_REMOVED,
    SUBWORD_ISOLATED,
    SUBWORD_CONTIGUOUS,
    SUBWORD_WITH_PREVIOUS,
    SUBWORD_WITH_NEXT,
    SUBWORD_BEHAVIORS
} SubwordBehavior;

typedef enum SubwordPrepend { SUBWORD_NEVER, SUBWORD_FIRST, SUBWORD_ALWAYS } SubwordPrepend;

typedef struct SubwordSplitStep {
    SubwordSplit kind;
    SubwordBehavior behavior;
    bool invert;
    char *find;       /* a text that is the pattern; NULL: `expression` is, or the sign of blanks */
    char *expression; /* and as it is compiled */
    void *regex;
    bool local, cuts;       /* looks at nothing across a blank after a letter; two words part there */
    SubwordPrepend prepend; /* of a blank in front of the text, where it has none: as sign, or with bytes as ' ' */
    bool splits;            /* of METASPACE */
    char sign[5];
} SubwordSplitStep;

#define SUBWORD_MOST_STEPS 16

/* ---- The whole --------------------------------------------------------------------------------------------------- */

typedef struct Subword {
    LsTokenizer base;
    SubwordTexts names;  /* by id, as texts are written in the model: bytes where `level`; empty: no token */
    SubwordTexts spoken; /* by id: what decoding gives */
    bool *has;           /* has: (vocabulary) whether there is such a token */
    SubwordIndex index;  /* of the model's tokens, added ones left out */
    bool level;          /* words are bytes; else characters */
    SubwordAddedSet raw, normal;
    SubwordNormalStep normals[SUBWORD_MOST_STEPS];
    int normal_steps;
    SubwordSplitStep splits[SUBWORD_MOST_STEPS];
    int split_steps;
    bool cuttable;   /* texts may be read in parts that end between a letter and a blank */
    bool signs_part; /* no merge joins a letter and the sign that a blank becomes */
    /* byte pairs */
    LsMerges merges;
    int32_t byte_id[256]; /* of byte b, or of <0xXX>; -1: none */
    bool byte_fallback;   /* a character that is no token becomes its bytes */
    bool all_bytes;       /* every byte has such a token, so that nothing is unknown */
    bool fuse_unknown;    /* neighbours that are unknown become one */
    bool whole_words;     /* a word that is a token is one, whatever merges say */
    uint64_t *inner;      /* inner: (inner_slots), a power of two: pairs of characters that some merge joins */
    int64_t inner_slots;
    struct SentencePiece *piece; /* of a tokenizer.model, in the place of steps and merges; NULL: none */
} Subword;

/* Working memory of one thread. */
typedef struct SubwordMemory {
    LsMerger *merger;
    LsKnownWord *known;
    LsPattern *pattern;
    char *room[SUBWORD_MOST_STEPS + 2]; /* texts that a step makes */
    int64_t room_bytes[SUBWORD_MOST_STEPS + 2];
    struct PieceMemory *piece; /* of sentencepiece.h */
    bool inside;               /* the text so far ends in the midst of a part between added tokens */
    bool started;              /* there is a text so far */
} SubwordMemory;

/* Where the parts of a text go. */
typedef struct SubwordRun {
    LsEncoder *encoder; /* for messages */
    const Subword *subword;
    SubwordMemory *memory;
    LsTokens *tokens;
    const char *place; /* start of the part of the text that is being read */
} SubwordRun;

/* ---- subword_texts.c --------------------------------------------------------------------------------------------- */

/* Strings are added one after another: room for `count` of `bytes` altogether. */
LsStatus ls_subword_texts_new(SubwordTexts *texts, int64_t count, int64_t bytes) LS_MUST_USE;
void ls_subword_texts_free(SubwordTexts *texts);

LsStatus ls_subword_index_new(SubwordIndex *index, int64_t count) LS_MUST_USE;
void ls_subword_index_add(SubwordIndex *index, const SubwordTexts *texts, int32_t id);
/* -1 where it is not there. */
int32_t ls_subword_index_find(const SubwordIndex *index, const SubwordTexts *texts, const char *text, int64_t bytes);

/* Room of at least so many bytes at a level, kept for the next. NULL with a message. */
char *ls_subword_room(SubwordMemory *memory, int level, int64_t bytes);

/* ---- subword_added.c --------------------------------------------------------------------------------------------- */

LsStatus ls_subword_added_index(SubwordAddedSet *set) LS_MUST_USE;
void ls_subword_added_free(SubwordAddedSet *set);

/* Gives the parts of a text in order: those between added tokens (found NULL) and these. */
typedef LsStatus (*SubwordTake)(void *self, const char *text, int64_t bytes, const SubwordAdded *found);
LsStatus ls_subword_added_cut(const SubwordAddedSet *set, const char *text, int64_t bytes, SubwordTake take,
                              void *self) LS_MUST_USE;
/* Whether a text that is cut between a letter and a blank has its added tokens in the same places. */
bool ls_subword_added_cuttable(const SubwordAddedSet *set);

/* ---- subword_normal.c -------------------------------------------------------------------------------------------- */

/* The normal form of whole characters; *out is `text` itself, or in the memory's room. inside: the text goes on from
 * one before, so that nothing is put in front. */
LsStatus ls_subword_normal(const Subword *subword, SubwordMemory *memory, const char *text, int64_t bytes, bool inside,
                           const char **out, int64_t *out_bytes) LS_MUST_USE;

/* ---- subword_split.c --------------------------------------------------------------------------------------------- */

/* The words of a part of a text, to the model. first: it is the start of the whole text. inside: as above. */
LsStatus ls_subword_words(const SubwordRun *run, const char *text, int64_t bytes, bool first, bool inside) LS_MUST_USE;

/* ---- subword_bpe.c ----------------------------------------------------------------------------------------------- */

/* Appends the tokens of a word. */
LsStatus ls_subword_word(const SubwordRun *run, const char *word, int64_t bytes) LS_MUST_USE;
/* The pairs of characters inside tokens that merges make. */
LsStatus ls_subword_inner(Subword *subword) LS_MUST_USE;
bool ls_subword_is_inner(const Subword *subword, uint32_t left, uint32_t right);

/* ---- subword_json.c, subword_steps.c: from tokenizer.json -------------------------------------------------------- */

Subword *ls_subword_new(void);
void ls_subword_free(Subword *subword);
/* `path` stands in messages. The caller frees with ls_subword_free, after a failure too. */
LsStatus ls_subword_read_json(const char *path, const json_t *root, Subword *subword) LS_MUST_USE;
LsStatus ls_subword_read_normalizer(const char *path, const json_t *normalizer, Subword *subword) LS_MUST_USE;
LsStatus ls_subword_read_splits(const char *path, const json_t *pre_tokenizer, Subword *subword) LS_MUST_USE;
LsStatus ls_subword_read_decoder(const char *path, const json_t *decoder, Subword *subword) LS_MUST_USE;
LsStatus ls_subword_read_template(const char *path, const json_t *processor, Subword *subword) LS_MUST_USE;
/* The id of a token that was added or that the model has, -1: there is none. */
json_int_t ls_subword_id_named(const json_t *root, const char *name);

/* The byte that "<0x0A>" stands for, -1 for other names. */
int ls_subword_byte_named(const char *name);

bool ls_subword_is_type(const json_t *object, const char *type);
/* Whether a value is absent, null, false or an empty text. */
bool ls_subword_is_off(const json_t *object, const char *key);
/* LS_DATA for a key of `object` that is none of "a|b|c". */
LsStatus ls_subword_check_keys(const char *path, const char *where, const json_t *object,
                               const char *known) LS_MUST_USE;

/* ---- subword_files.c, subword_config.c --------------------------------------------------------------------------- */

/* The files that a tokenizer is made of, by name: texts, or {"base64": text}; of a folder, or a file with those beside
 * it. NULL with LS_OK where there are none of this form. */
LsStatus ls_subword_read_files(const char *path, json_t **files) LS_MUST_USE;
/* From such files. `path` stands in messages. */
LsStatus ls_subword_of_files(const char *path, const json_t *files, Subword **subword) LS_MUST_USE;

/* Merges the files beside a tokenizer.json into it: tokens that are named or added there, flags. */
LsStatus ls_subword_join_config(const char *path, const json_t *files, json_t *root) LS_MUST_USE;
/* Ids that begin and end texts, and whether they stand around each. */
LsStatus ls_subword_read_ends(const char *path, const json_t *files, const json_t *root, Subword *subword) LS_MUST_USE;
/* A file of `files` parsed; *root is NULL where it is not among them. */
LsStatus ls_subword_parse_file(const char *path, const json_t *files, const char *name, json_t **root) LS_MUST_USE;

/* Brings vocab.json and merges.txt into the form of tokenizer.json. */
LsStatus ls_subword_pair_json(const char *path, const json_t *files, json_t **root) LS_MUST_USE;

#endif
