/* Text to token ids and back: bytes, characters, words, GPT-2's byte-pair encoding, BERT's pieces of words, RWKV's longest
 * tokens, those of other published models. One file each in src/data, one line each in tokenizers.def.
 *
 *     LsTokenizer *tokenizer = ls_tokenizer_new("gpt2", NULL, 0, "data/gpt2-bpe");
 *     int32_t *ids = NULL;
 *     int64_t count = 0;
 *     LS_TRY(ls_tokenizer_encode(tokenizer, "Hello", 5, &ids, &count));
 *
 * A tokenizer does not change once made: any number of threads may use one. Nothing here is collective.
 */
#ifndef LS_DATA_TOKENIZER_H
#define LS_DATA_TOKENIZER_H

#include "lockstep/api.h" /* what programs in other languages use of a tokenizer */

/* kind: "bytes"; "characters" (vocabulary: the distinct Unicode characters of `corpus`, in code point order; malformed
 * UTF-8 is LS_DATA with byte and line); "gpt2" (from DIR/encoder.json + DIR/vocab.bpe, or vocab.json + merges.txt, or
 * tokenizer.json). corpus or folder are NULL where a kind has no use for them. NULL with a message (LS_DATA). */
LsTokenizer *ls_tokenizer_new(const char *kind, const char *corpus, int64_t bytes, const char *folder);

/* The same from a corpus in several parts (files), each named in messages. */
typedef struct LsCorpusPart {
    const char *name; /* NULL: not named */
    const char *text;
    int64_t bytes;
} LsCorpusPart;
LsTokenizer *ls_tokenizer_new_parts(const char *kind, const LsCorpusPart *part, int parts, const char *folder);

/* And with all that a kind may be asked for. "words": the most frequent words of the corpus, after <pad>, <unk>, <s>
 * and </s>. "wordpiece": from `folder`, which may be a vocab.txt itself. */
typedef struct LsTokenizerOptions {
    const char *folder;
    /* of wordpiece: capital letters and accents stay, whatever the files say; [MASK] and the like in a text are text */
    bool cased, split_special;
    /* of words */
    int64_t words, least;    /* at most so many words, 0: all; that occur so many times */
    bool lowercase;          /* texts are brought to small letters first */
    const char *punctuation; /* "split" (NULL), "attached", "drop" */
} LsTokenizerOptions;
LsTokenizer *ls_tokenizer_make(const char *kind, const LsCorpusPart *part, int parts,
                               const LsTokenizerOptions *options);

/* id that stands for a hidden token, -1 if it has none */
int64_t ls_tokenizer_mask(const LsTokenizer *tokenizer);
/* id of a word that the vocabulary has not, -1 if it has none */
int64_t ls_tokenizer_unknown(const LsTokenizer *tokenizer);
/* Ids that end a text besides ls_tokenizer_end: a model may name several; their number is returned. */
int64_t ls_tokenizer_more_ends(const LsTokenizer *tokenizer, const int32_t **ends);
/* Whether a sample that is a text stands between begin and end: [CLS] text [SEP]. */
bool ls_tokenizer_frames(const LsTokenizer *tokenizer);
/* Ids that stand for no text, ascending, the tokenizer's own; their number is returned. */
int64_t ls_tokenizer_special(const LsTokenizer *tokenizer, const int32_t **special);
/* Whether encode makes special tokens of their names in a text by itself. */
bool ls_tokenizer_takes_special(const LsTokenizer *tokenizer);
/* Ids that stand before and after each text, as in <s> text; encode does not give them. */
int64_t ls_tokenizer_before(const LsTokenizer *tokenizer, const int32_t **before);
int64_t ls_tokenizer_after(const LsTokenizer *tokenizer, const int32_t **after);
/* The folder that a kind takes its vocabulary from where none is named; NULL: none. */
const char *ls_tokenizer_kind_folder(const char *kind);
bool ls_tokenizer_is_kind(const char *name);
/* Whether a character that the corpus lacked is an error for it. */
bool ls_tokenizer_kind_is_closed(const char *kind);

/* Whether the id stands for a token: a vocabulary may have holes. */
bool ls_tokenizer_has(const LsTokenizer *tokenizer, int64_t id);

/* XXH3-128 of all that decides how text becomes ids, as hexadecimal digits: two tokenizers that are the same have the
 * same, wherever they come from. */
#define LS_TOKENIZER_DIGEST 33
LsStatus ls_tokenizer_digest(const LsTokenizer *tokenizer, char digest[LS_TOKENIZER_DIGEST]) LS_MUST_USE;

/* LS_DATA where two tokenizers are not the same, with both, and `cure`: names are of the files that they come from. */
LsStatus ls_tokenizer_check_same(const char *name, const LsTokenizer *tokenizer, const char *other_name,
                                 const LsTokenizer *other, const char *cure) LS_MUST_USE;

/* Files of the Hugging Face layout (vocab.json, merges.txt, tokenizer_config.json, ...) into and from a folder that
 * exists. Bytes and characters write lockstep_tokenizer.json, and a tokenizer.json that gives the same ids. from: NULL
 * with no message where the folder has none of them. */
#define LS_TOKENIZER_OWN_FILE "lockstep_tokenizer.json" /* what ls_tokenizer_to_json gives; goes before other files */
LsStatus ls_tokenizer_write_folder(const LsTokenizer *tokenizer, const char *folder) LS_MUST_USE;
LsTokenizer *ls_tokenizer_from_folder(const char *folder);
/* The same of a folder, or of a single file in one of its forms. NULL with a message. */
LsTokenizer *ls_tokenizer_from_path(const char *path);

/* The kinds, ended by NULL: for help texts. */
typedef struct LsTokenizerKind LsTokenizerKind;
const LsTokenizerKind *const *ls_tokenizer_kinds(void);
const char *ls_tokenizer_kind_name(const LsTokenizerKind *kind);
const char *ls_tokenizer_kind_summary(const LsTokenizerKind *kind);

/* ---- A text too large for one piece ------------------------------------------------------------------------------ */

/* Ids that grow at the end; id is the holder's to free with ls_free. */
typedef struct LsTokens {
    int32_t *id;
    int64_t count, room;
} LsTokens;

/* Makes room for `more` further ids. */
LsStatus ls_tokens_reserve(LsTokens *tokens, int64_t more) LS_MUST_USE;

/* Reads one text window by window; the ids are those of the whole text at once, whatever the windows. Remembers
 * frequent words, and where in the text it is, for messages. Used by one thread. */
typedef struct LsEncoder LsEncoder;
LsEncoder *ls_encoder_new(const LsTokenizer *tokenizer);

/* Appends the ids of text[0 .. *used) to *tokens. last: nothing follows, and all is used. Otherwise what the ids of may
 * still depend on the text to come stays unused: the caller gives it again at the start of the next window; *used may
 * be 0, which asks for a longer one. */
LsStatus ls_encoder_feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens,
                         int64_t *used) LS_MUST_USE;
void ls_encoder_free(LsEncoder *encoder);

#endif
