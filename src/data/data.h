/* The data that a configuration asks for.
 *
 *     LsSource *training = NULL, *validation = NULL;
 *     LS_TRY(ls_data_open(config, sequence, 0, &training, &validation));
 */
#ifndef LS_DATA_DATA_H
#define LS_DATA_DATA_H

#include "config/config.h"
#include "data/source.h"
#include "io/sealed.h"

#include <jansson.h>

/* The sources that the section `data:` asks for; sequence, streams and like as LsDataOpen has them. *validation: from
 * validation_path where one is given, scaled as the training data, else the validation split of path, NULL where it has
 * none. Both must have the same fields and the same tokenizer: LS_DATA. Freed with ls_source_free. */
LsStatus ls_data_open(const LsConfig *config, int64_t sequence, int64_t streams, const json_t *like,
                      LsSource **training, LsSource **validation) LS_MUST_USE;

/* One split: "train", "validation" (of validation_path where one is given), or another that the data set has.
 * *source is NULL with LS_OK where there is none. */
LsStatus ls_data_open_split(const LsConfig *config, const char *split, int64_t sequence, int64_t streams,
                            const json_t *like, LsSource **source) LS_MUST_USE;

/* Sources in this folder, a temporary one, are recorded as "memory" by what this thread prepares; NULL: none are. And
 * what is recorded of a source. */
void ls_sources_in_memory(const char *folder);
const char *ls_source_recorded(const char *path);

/* Whether a path is there and was never a data set: a folder, or a file that is not named FILE.h5 and begins neither as
 * those of this program do nor as HDF5. */
bool ls_data_is_raw(const char *path);
/* LS_DATA for such a path, with the command that makes a data set of it, and the option that takes it then ("give
 * --input "). */
LsStatus ls_data_check_raw(const LsDataKind *kind, const char *path, const char *option) LS_MUST_USE;

/* The kind of the data set at a path, as its first bytes have it; NULL: it is none. */
const LsDataKind *ls_data_kind_of_file(const char *path);

/* Among the overrides of a run: the kind of the data set that data.path names, where data.kind is not given. NULL: the
 * run's own stays. */
const LsDataKind *ls_data_kind_overridden(int overrides, char *const *override);

/* LS_DATA where the ids of a source do not mean to a model what they mean to the source: another tokenizer, or ids past
 * the model's vocabulary (0: not known). model: its name in messages; tokenizer: its own, NULL where it has none, which
 * is a warning. */
LsStatus ls_data_check_model(const char *path, const LsSource *source, const char *model, const LsTokenizer *tokenizer,
                             int64_t vocabulary) LS_MUST_USE;

/* LS_DATA where samples do not hold what a model was built for: fields of other shapes, or of more classes. */
LsStatus ls_data_check_fields(const char *path, const LsSource *source, const char *model,
                              const LsFields *fields) LS_MUST_USE;

/* LS_DATA where a data set's classes have other names than those that the model learnt (info of its training data, NULL
 * where there is none): their numbers mean something else. */
LsStatus ls_data_check_classes(const char *path, const LsSource *source, const char *model,
                               const json_t *info) LS_MUST_USE;

/* LS_USAGE where model.loss_vocabulary is not 0 and lies below the source's vocabulary or above the model's. */
LsStatus ls_data_check_loss(const LsConfig *config, const LsSource *source) LS_MUST_USE;

/* Verifies a data set of any kind and describes it; *object is the caller's to json_decref. LS_DATA where it is damaged
 * or none. */
LsStatus ls_data_inspect(const char *path, json_t **object) LS_MUST_USE;

#endif
