/* The options of `prepare` that say how text becomes tokens: the same for every kind of data set that holds text.
 *
 *     typedef struct Settings { LsTokenizerSettings tokens; ... } Settings;
 *     static const LsSetting settings[] = {LS_TOKENIZER_SETTINGS(Settings, tokens, "words", "split"), ..., {0}};
 */
#ifndef LS_DATA_TOKENIZER_SETTINGS_H
#define LS_DATA_TOKENIZER_SETTINGS_H

#include "data/tokenizer.h"
#include "io/sealed.h"
#include "lockstep/settings.h"

#include <jansson.h>

typedef struct LsTokenizerSettings {
    char *tokenizer;  /* kind, or path of one */
    char *vocabulary; /* folder of a vocabulary; NULL: the kind's own */
    bool cased, split_special;
    char *like; /* data set or checkpoint whose tokenizer is used; NULL */
    int64_t words, least;
    bool lowercase;
    char *punctuation;
} LsTokenizerSettings;

/* "bytes|characters|...|PATH", from the list of tokenizers; the first sign is cut off. */
extern const char ls_tokenizer_choices[];
#define LS_TOKENIZER_CHOICES (ls_tokenizer_choices + 1)

#define LS_TOKENIZER_ROW(S, member, field) #field, .offset = offsetof(S, member.field)

#define LS_TOKENIZER_SETTINGS(S, member, kind, marks)                                                                  \
    {LS_TOKENIZER_ROW(S, member, tokenizer), .type = LS_SETTING_TYPE_CHOICE, .fallback = kind,                         \
     .choices = LS_TOKENIZER_CHOICES,                                                                                  \
     .help = "how text becomes tokens, or a folder or file of a published tokenizer"},                                 \
        {LS_TOKENIZER_ROW(S, member, vocabulary), .type = LS_SETTING_TYPE_STRING,                                      \
         .help = "tokenizers gpt2, rwkv_world, subword and wordpiece: folder with the files of a vocabulary, or one "  \
                 "of them "                                                                                            \
                 "(default of "                                                                                        \
                 "gpt2: data/gpt2-bpe)"},                                                                              \
        {LS_TOKENIZER_ROW(S, member, cased), .type = LS_SETTING_TYPE_BOOL, .fallback = "false",                        \
         .help = "tokenizer wordpiece: capital letters and accents stay (default: as tokenizer_config.json says, "     \
                 "else they go)"},                                                                                     \
        {LS_TOKENIZER_ROW(S, member, split_special), .type = LS_SETTING_TYPE_BOOL, .fallback = "false",                \
         .help = "tokenizer wordpiece: [MASK] and the like in a text are text, not special tokens"},                   \
        {LS_TOKENIZER_ROW(S, member, like), .type = LS_SETTING_TYPE_STRING,                                            \
         .help = "a data set, a run or a checkpoint whose tokenizer is used"},                                         \
        {LS_TOKENIZER_ROW(S, member, words), .type = LS_SETTING_TYPE_INT, .fallback = "0", .high = 1 << 24,            \
         .help = "tokenizer words: as many words at most, the most frequent of the training part; 0: all"},            \
        {LS_TOKENIZER_ROW(S, member, least),                                                                           \
         .type = LS_SETTING_TYPE_INT,                                                                                  \
         .fallback = "1",                                                                                              \
         .low = 1,                                                                                                     \
         .high = 1e9,                                                                                                  \
         .help = "tokenizer words: only those that occur so many times"},                                              \
        {LS_TOKENIZER_ROW(S, member, lowercase), .type = LS_SETTING_TYPE_BOOL, .fallback = "false",                    \
         .help = "tokenizer words: capital letters count as small ones"},                                              \
    {                                                                                                                  \
        LS_TOKENIZER_ROW(S, member, punctuation), .type = LS_SETTING_TYPE_CHOICE, .fallback = marks,                   \
                                                  .choices = "split|attached|drop",                                    \
                                                  .help = "tokenizer words: punctuation and symbols are words of one " \
                                                          "character, stay in words, or are left out"                  \
    }

/* The texts that a vocabulary is made of: those of the training part or, for a kind whose vocabulary is closed, those
 * of every part. Texts and their bytes belong to others. */
typedef struct LsTokenizerTexts {
    LsCorpusPart *training, *all;
    int trainings, alls;
} LsTokenizerTexts;
LsStatus ls_tokenizer_texts_new(int64_t room, LsTokenizerTexts *texts) LS_MUST_USE; /* for at most so many */
void ls_tokenizer_texts_add(LsTokenizerTexts *texts, const LsCorpusPart *text, bool training);
void ls_tokenizer_texts_free(LsTokenizerTexts *texts);

/* The tokenizer that the options ask for. kind: NULL: that of the options. role: the key in a data set's /info that
 * `like` takes it from. NULL with a message. */
LsTokenizer *ls_tokenizer_choose(const LsTokenizerSettings *settings, const char *kind, const LsTokenizerTexts *texts,
                                 const char *role);

/* The tokenizer of a data set or checkpoint: below the key `role` of /info, else in the array /tokenizer. NULL with a
 * message. */
LsTokenizer *ls_sealed_tokenizer(LsSealed *file, const char *role);

/* A tokenizer as an object of JSON, and back; NULL with a message. */
json_t *ls_tokenizer_object(const LsTokenizer *tokenizer);
LsTokenizer *ls_tokenizer_from_object(const json_t *object);

#endif
