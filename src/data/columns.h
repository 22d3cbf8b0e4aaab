/* Words with a tag each as a data set of kind "columns" (CoNLL's form).
 *
 *     /SPLIT/ids, /SPLIT/ids_offsets   tokens of all sentences, and where each sentence starts (N + 1)
 *     /SPLIT/tags                      a tag for each token: index into the tags; -1: none, a further token of a word
 *     /info                            {"kind": "columns", "classes": [tags], "tokenizer": {...}}
 */
#ifndef LS_DATA_COLUMNS_H
#define LS_DATA_COLUMNS_H

#include "lockstep/data.h"
#include "data/texts.h"

#define LS_COLUMNS_VERSION 1

typedef struct LsColumnsSettings {
    LsTokenizerSettings tokens;
    char *word, *tag, *classes;
    LsHeldOutSettings held_out;
} LsColumnsSettings;

LsStatus ls_columns_prepare(const LsColumnsSettings *settings, int sources, char *const *source,
                            const char *output) LS_MUST_USE;

/* Fields "ids" (T), "length", "tags" (T); with a tokenizer that frames texts also "types" (T). As LsDataKind.open. */
LsStatus ls_columns_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

/* The sentences of one part, as they stand in the files. */
typedef struct LsSentences {
    LsRawFiles raw;
    LsTexts words;
    LsTokens tag;         /* of each word: index into the tags */
    LsTokens length;      /* of each sentence, in words */
    int64_t blank, marks; /* further empty lines, and lines that mark documents: passed over */
} LsSentences;

/* Reads all files of a part. Tags that are new are added to `tags`, unless those are fixed: LS_DATA then. */
LsStatus ls_sentences_read(const LsColumnsSettings *settings, LsClasses *tags, LsSentences *part) LS_MUST_USE;
void ls_sentences_free(LsSentences *part);

#endif
