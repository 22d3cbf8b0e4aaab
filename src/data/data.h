/* Kinds of data sets: what `prepare KIND` makes, `train` reads (data.kind) and `inspect` describes. One file in
 * src/data that fills in an LsDataKind, and one line in config/data_kinds.def.
 *
 *     LsSource *training = NULL, *validation = NULL;
 *     LS_TRY(ls_data_open(&config->data, sequence, seed, &training, &validation));
 */
#ifndef LS_DATA_DATA_H
#define LS_DATA_DATA_H

#include "config/config.h"
#include "data/source.h"
#include "io/sealed.h"

#include <jansson.h>

typedef struct LsDataKind {
    const char *name, *summary;
    /* options of `prepare NAME`, ended by {0}; validation_file is written --validation-file */
    const LsSetting *settings;
    size_t settings_bytes;
    /* Turns raw files into the data set `output`. On failure (LS_DATA, LS_RESOURCE) `output` is as it was. */
    LsStatus (*prepare)(const void *settings, int sources, char *const *source, const char *output);
    /* A source of samples: split "train" (shuffled), "validation", or "held-out" (the validation split of a file that
     * has one, else all of it); the latter two in fixed order. *opened NULL with LS_OK where the file has no such
     * split. */
    LsStatus (*open)(const char *path, const char *split, int64_t sequence, uint64_t seed, LsSource **opened);
    /* Adds what a verified file of this kind holds to a JSON object: numbers and texts, in the order to print them. */
    LsStatus (*inspect)(LsSealed *file, json_t *object);
} LsDataKind;

/* NULL with a message that lists the names. And all, ended by NULL. */
const LsDataKind *ls_data_kind(const char *name);
const LsDataKind *const *ls_data_kinds(void);

/* The sources that the section `data:` asks for. *validation: from validation_path where one is given, else the
 * validation split of path, NULL where it has none. Both must have the same tokenizer: LS_DATA. Freed with
 * ls_source_free. */
LsStatus ls_data_open(const LsDataSettings *data, int64_t sequence, uint64_t seed, LsSource **training,
                      LsSource **validation) LS_MUST_USE;

/* LS_DATA where the ids of a source do not mean to a model what they mean to the source: another tokenizer, or ids past
 * the model's vocabulary (0: not known). model: its name in messages; tokenizer: its own, NULL where it has none, which
 * is a warning. */
LsStatus ls_data_check_model(const char *path, const LsSource *source, const char *model, const LsTokenizer *tokenizer,
                             int64_t vocabulary) LS_MUST_USE;

/* LS_USAGE where model.loss_vocabulary is not 0 and lies below the source's vocabulary or above the model's. */
LsStatus ls_data_check_loss(const LsConfig *config, const LsSource *source) LS_MUST_USE;

/* Verifies a data set of any kind and describes it; *object is the caller's to json_decref. LS_DATA where it is damaged
 * or none. */
LsStatus ls_data_inspect(const char *path, json_t **object) LS_MUST_USE;

#endif
