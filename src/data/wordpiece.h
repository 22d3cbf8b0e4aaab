/* The parts of BERT's tokenizer: Devlin et al. 2019; WordPiece after Wu et al. 2016, section 4.1.
 *
 * 1. Text is cut into words (wordpiece_text.c): control characters go, ideographs and punctuation are words of one
 *    character, capital letters and accents are brought to small letters without any; the names of special tokens are
 *    taken out whole before.
 * 2. A word becomes pieces (wordpiece_pieces.c), the longest of the vocabulary first; pieces that go on in a word are
 *    written with "##" before them. A word that is no sequence of pieces is [UNK].
 */
#ifndef LS_DATA_WORDPIECE_H
#define LS_DATA_WORDPIECE_H

#include "data/nfc.h"
#include "data/raw.h"
#include "data/tokenizer_kind.h"

typedef enum WordpieceRole {
    WORDPIECE_UNKNOWN,
    WORDPIECE_BEGIN,
    WORDPIECE_END,
    WORDPIECE_PAD,
    WORDPIECE_MASK,
    WORDPIECE_ROLES
} WordpieceRole;
/* In the tokenizer's own JSON, and in tokenizer_config.json. */
extern const char *const ls_wordpiece_roles[WORDPIECE_ROLES], *const ls_wordpiece_hf_roles[WORDPIECE_ROLES];

enum { WORDPIECE_SMALL = 2048 }; /* characters below have their traits looked up at once */

typedef struct WordpieceRules {
    bool clean, ideographs, strip_accents, lowercase;
    bool whole_special; /* the name of a special token that stands in a text is that token */
    int64_t longest_word;
} WordpieceRules;

typedef struct Wordpiece {
    LsTokenizer base;
    WordpieceRules rules;
    char *prefix; /* "##" */
    /* token i is text[start[i] .. start[i + 1]): a word with a space before it, what goes on in a word as it is;
     * nothing where no token has this id */
    char *text;
    int64_t *start;  /* start: (vocabulary + 1) */
    int64_t longest; /* bytes */
    int32_t *slot;   /* slot: (slots), a power of two: an id, or -1 */
    int64_t slots;
    int32_t role[WORDPIECE_ROLES]; /* ids; -1: none */
    bool special_start[256];       /* whether a special token starts with this byte */
    unsigned char trait[WORDPIECE_SMALL];
    uint16_t small[WORDPIECE_SMALL];
} Wordpiece;

/* ---- wordpiece_pieces.c ------------------------------------------------------------------------------------------ */

/* From the JSON of tokenizer_wordpiece.c; `name` stands in messages. */
LsStatus ls_wordpiece_new(const json_t *object, const char *name, Wordpiece **wordpiece) LS_MUST_USE;
void ls_wordpiece_free(Wordpiece *wordpiece);
json_t *ls_wordpiece_json(const Wordpiece *wordpiece); /* NULL: out of memory */

/* The name of a token as vocabularies write it, NUL-terminated, in room for `longest` + bytes of the prefix + 1; NULL
 * where there is none. */
const char *ls_wordpiece_name(const Wordpiece *wordpiece, int64_t id, char *room);

/* Appends the pieces of a word; word[0] is a space in front of it, which is overwritten no more than the word is. */
LsStatus ls_wordpiece_cut(const Wordpiece *wordpiece, const char *word, int64_t bytes, int64_t characters,
                          LsTokens *tokens) LS_MUST_USE;

/* ---- wordpiece_text.c -------------------------------------------------------------------------------------------- */

/* The encoder's memory of the text between two places where words end for certain. Begins as {0}. */
typedef struct WordpieceSegment {
    LsMark *mark; /* its characters */
    int64_t count, room;
    char *word;
    int64_t word_room;
} WordpieceSegment;
void ls_wordpiece_segment_free(WordpieceSegment *segment);

/* Gets a word: word[0] is a space, then its bytes. */
typedef LsStatus (*WordpieceTake)(void *self, const char *word, int64_t bytes, int64_t characters);

typedef struct WordpieceReader {
    const Wordpiece *wordpiece;
    WordpieceSegment *segment;
    WordpieceTake take;
    LsStatus (*take_special)(void *self, int32_t id);
    void *self;
} WordpieceReader;

/* The words of text[0 .. *used), as ls_encoder_feed. Bytes that are no characters are passed over. */
LsStatus ls_wordpiece_read(const WordpieceReader *reader, const char *text, int64_t bytes, bool last,
                           int64_t *used) LS_MUST_USE;

/* Traits and small letters of the characters below WORDPIECE_SMALL. */
void ls_wordpiece_fill_tables(Wordpiece *wordpiece);

/* ---- wordpiece_files.c ------------------------------------------------------------------------------------------- */

/* From a vocab.txt, or a folder with one or with a tokenizer.json, and the settings in a tokenizer_config.json beside
 * it, as the JSON of ls_wordpiece_new. NULL with LS_OK where a folder has neither. cased: capital letters and accents
 * stay, whatever the files say. */
LsStatus ls_wordpiece_read_files(const char *path, bool cased, json_t **object) LS_MUST_USE;
LsStatus ls_wordpiece_write_files(const Wordpiece *wordpiece, const char *folder) LS_MUST_USE;

#endif
