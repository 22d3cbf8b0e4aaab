/* Text data sets: a stream of tokens in a sealed HDF5 file of kind "text".
 *
 *     /train/tokens, /validation/tokens   one dimension, chunked; unsigned 8 or 16 bits, or int32, by the vocabulary
 *     /train/sentences, ...               of a tokenizer that frames texts: where each line that has tokens begins (S + 1)
 *     /train/documents, ...               and the first line of each document (D + 1); they end at empty lines and files
 *     /separator                          ids behind each document, int32; missing where there are none (text_documents.h)
 *     /tokenizer                          its JSON (ls_tokenizer_to_json), bytes
 *     attributes                          tokenizer (kind), vocabulary, train_bytes, validation_bytes, sources, read,
 *                                         options (of prepare, those that are not the defaults; none: missing)
 *
 * /validation/tokens is missing where nothing was held out.
 */
#ifndef LS_DATA_TEXT_H
#define LS_DATA_TEXT_H

#include "data/data.h"
#include "data/tokenizer_settings.h"

#define LS_TEXT_VERSION 1

typedef struct LsTextSettings {
    LsTokenizerSettings tokens;
    double validation;     /* share of the text's bytes held out, from its end */
    char *validation_file; /* held out instead; NULL */
    char *hold_out;        /* which share: "end" (NULL), "documents", "hash" */
    int64_t seed;          /* of documents and hashes */
    char *field;           /* of JSON lines: the member that is a text; NULL: plain text */
    char *separator;       /* between two texts; NULL: the tokenizer's end token, where it has one */
    bool special;          /* special tokens in a text stand for themselves */
    bool skip_bad, as_is;  /* as LsCorpusOptions has them */
} LsTextSettings;
extern const LsSetting ls_text_settings[];

/* Of the section `data:`. */
typedef struct LsTextUse {
    char *as;   /* "windows", "segments" */
    char *mask; /* "none", "documents" */
} LsTextUse;
extern const LsSetting ls_text_use_settings[];

/* Joins the sources (text_corpus.h) in their order and writes the data set. Where the tokenizer has an end token it
 * stands between texts, unless it frames them: then samples have it. Reads and writes in pieces: memory does not grow
 * with the text. LS_DATA: a source that is missing, unreadable, empty, or malformed for the tokenizer (with byte and
 * line); output is then as it was. */
LsStatus ls_text_prepare(const LsTextSettings *settings, int sources, char *const *source,
                         const char *output) LS_MUST_USE;

/* A text data set, verified, for reading; NULL with a message. Closed with ls_sealed_close. */
LsSealed *ls_text_file(const char *path);

/* Two segments a sample, with or without the order of the text: fields "ids" (T), "types" (T), "length", "next". As
 * LsDataKind.open. */
LsStatus ls_segments_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

/* As LsDataKind.open. */
LsStatus ls_text_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

/* The same with the bytes of tokens that may be held in memory (on each rank); a larger split stays in the file, and
 * its windows are read one by one. The samples are the same. */
#define LS_TEXT_MEMORY ((int64_t)1 << 30)
LsStatus ls_text_open_within(const LsDataOpen *open, int64_t memory, LsSource **opened) LS_MUST_USE;

/* As LsDataKind.open_texts. */
LsStatus ls_text_open_texts(const LsDataTexts *texts, LsSource **opened) LS_MUST_USE;

#endif
