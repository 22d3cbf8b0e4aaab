/* For authors of a kind of data set, which `prepare KIND` makes, `train` reads (data.kind) and `inspect` describes. One
 * file in src/data that fills in an LsDataKind, and one line in data_kinds.def. A kind without files (made-up
 * samples, an array of a program of your own) leaves prepare and inspect NULL.
 */
#ifndef LOCKSTEP_DATA_H
#define LOCKSTEP_DATA_H

#include "lockstep/settings.h"
#include "lockstep/source.h"

struct LsSealed;     /* io/sealed.h: an HDF5 file with digests */
struct LsCorpusPart; /* data/tokenizer.h: a text with the name of its file */
struct json_t;       /* jansson.h */

/* Arguments of LsDataKind.open. */
typedef struct LsDataOpen {
    const char *path; /* NULL: a kind without files */
    /* "train" (shuffled), "validation", or "held-out" (the validation split of a file that has one, else all of it);
     * the latter two in fixed order from the beginning */
    const char *split;
    int64_t sequence; /* the most steps of a sample: train.sequence or model.context; 0: as many as samples have */
    uint64_t seed;
    /* not 0: so many streams (LsSource.streams), for models that carry their state from step to step. In fixed order
     * there may be fewer */
    int64_t streams;
    /* not 0: samples n alike .. n alike + alike - 1 of the training part, a batch, are to have about as many steps
     * each; for kinds whose samples differ in steps, others pass it over */
    int64_t alike;
    const void *settings; /* of the kind, from the section `data:` */
    /* LsSource.info of the data that a model has learnt from, parsed: numbers of this file are scaled as it says. NULL:
     * as the file itself says */
    const struct json_t *like;
} LsDataOpen;

/* Arguments of LsDataKind.open_texts: texts that belong to no data set (`eval --input`), one after the other as
 * `prepare` would write them. */
typedef struct LsDataTexts {
    const struct LsCorpusPart *text; /* (texts) */
    int texts;
    const LsTokenizer *tokenizer; /* the model's; outlives the source */
    bool special;                 /* special tokens in a text stand for themselves */
    int64_t sequence, streams;    /* as LsDataOpen has them */
    const void *settings;
} LsDataTexts;

/* The turns of a conversation before the model's next answer, and the prompt that they make. */
typedef struct LsTurns {
    const char *system; /* NULL: nothing */
    char *const *said;  /* (count) by the user and the model in turn; the user has the last word */
    int count;
} LsTurns;

typedef struct LsTurnsPrompt {
    char *text; /* with the markers */
    int32_t *ids;
    int64_t count;
    char *stop; /* the text that ends an answer; NULL: the tokenizer's end token alone */
} LsTurnsPrompt;

typedef struct LsDataKind {
    const char *name, *summary;
    const char *example; /* of `prepare NAME`, for its help: lines; NULL: none */
    /* options of `prepare NAME`, ended by {0}; validation_file is written --validation-file */
    const LsSetting *settings;
    size_t settings_bytes;
    bool arrays; /* raw files are arrays of numbers (idx files), not text */
    /* of the section `data:` when training, ended by {0}; NULL: none */
    const LsSetting *use_settings;
    size_t use_settings_bytes;
    /* Turns raw files into the data set `output`. On failure (LS_DATA, LS_RESOURCE) `output` is as it was. */
    LsStatus (*prepare)(const void *settings, int sources, char *const *source, const char *output);
    /* *opened is NULL with LS_OK where there is no such split. */
    LsStatus (*open)(const LsDataOpen *open, LsSource **opened);
    /* A source in memory, in fixed order from the beginning; LS_DATA where there is nothing to predict. NULL: the
     * kind's samples are no stretches of text. */
    LsStatus (*open_texts)(const LsDataTexts *texts, LsSource **opened);
    /* Steps of every sample, where the settings of the section `data:` decide them: then train.sequence has no say, and
     * a model can be evaluated at another length. 0: samples have none. NULL: files or train.sequence decide. */
    int64_t (*steps)(const void *settings);
    /* Parts of every file of the kind, ended by NULL: "@NAME" an attribute, "info.NAME" a member of the JSON in /info,
     * "*" "/NAME" an array of each split that is there, else an array. NULL: `inspect` says it by itself. */
    const char *const *parts;
    /* Adds what a verified file of this kind holds to a JSON object: numbers and texts, in the order to print them. */
    LsStatus (*inspect)(struct LsSealed *file, struct json_t *object);
    /* The prompt of turns, written as the conversations that a model learnt from. info: LsSource.info of these, parsed.
     * The caller frees the members of *prompt, after a failure too. NULL: samples of this kind have no turns. */
    LsStatus (*converse)(const struct json_t *info, const LsTokenizer *tokenizer, const LsTurns *turns,
                         LsTurnsPrompt *prompt);
    /* Whether a setting of `use_settings` counts beside the values of the others; a job that sets one that does not is
     * warned. NULL: all do. */
    bool (*counts)(const void *settings, const char *setting);
} LsDataKind;

/* Makes a kind known that is in no list. Call it before any configuration is read; `kind` must live on. LS_USAGE where
 * the name is taken, or after LS_MAX_ADDED_DATA_KINDS. */
#define LS_MAX_ADDED_DATA_KINDS 16
LsStatus ls_data_kind_add(const LsDataKind *kind) LS_MUST_USE;

/* NULL with a message that lists the names. And all, ended by NULL. */
const LsDataKind *ls_data_kind(const char *name);
const LsDataKind *const *ls_data_kinds(void);

#endif
