/* Shared by data sets of samples (images, lines, columns, pairs, series). Such a file has
 *
 *     /train/..., /validation/..., /test/...   the arrays of each split that it has; samples in the order of the sources
 *     /info          JSON: the meaning of the numbers (class names, tokenizers, scaling); checkpoints keep it
 *     /preparation   JSON: sources, options, counts of skipped samples
 */
#ifndef LS_DATA_SAMPLES_H
#define LS_DATA_SAMPLES_H

#include "data/raw.h"
#include "lockstep/settings.h"
#include "io/sealed.h"

typedef enum LsSplit { LS_SPLIT_TRAIN, LS_SPLIT_VALIDATION, LS_SPLIT_TEST, LS_SPLITS } LsSplit;
extern const char *const ls_split_names[LS_SPLITS];

/* ---- Samples held out of the training part ----------------------------------------------------------------------- */

/* The option of each kind. */
#define LS_HELD_OUT_HELP                                                                                               \
    "samples of the sources held out for validation: their share below 1, else their number; which ones is a "         \
    "function "                                                                                                        \
    "of --seed and their positions (a keyed permutation), not of classes"
#define LS_MOST_HELD_OUT 1e9

/* The options of a kind that hold samples out of the training part, or name files of the other parts. */
typedef struct LsHeldOutSettings {
    double validation; /* share below 1, else number */
    int64_t seed;
    char *validation_file, *test; /* lists of files with commas between them; NULL: none */
} LsHeldOutSettings;

/* The rows of these options in the table of a kind whose settings S have a `member` of this type. samples, sources:
 * names of a sample and of a source, in the plural; fallback: of `validation`; more: further help on it. */
#define LS_HELD_OUT_SETTINGS(S, member, samples, sources, number, more)                                                \
    {.name = "validation",                                                                                             \
     .type = LS_SETTING_TYPE_FLOAT,                                                                                    \
     .offset = offsetof(S, member.validation),                                                                         \
     .fallback = number,                                                                                               \
     .high = LS_MOST_HELD_OUT,                                                                                         \
     .help = LS_HELD_OUT_HELP more},                                                                                   \
        {.name = "seed",                                                                                               \
         .type = LS_SETTING_TYPE_INT,                                                                                  \
         .offset = offsetof(S, member.seed),                                                                           \
         .fallback = "1",                                                                                              \
         .high = 1e15,                                                                                                 \
         .help = "of the choice of " samples " held out"},                                                             \
        {.name = "validation_file",                                                                                    \
         .type = LS_SETTING_TYPE_STRING,                                                                               \
         .offset = offsetof(S, member.validation_file),                                                                \
         .help = sources " held out for validation instead, with commas between them"},                                \
    {                                                                                                                  \
        .name = "test", .type = LS_SETTING_TYPE_STRING, .offset = offsetof(S, member.test),                            \
        .help = sources " of the test part, with commas between them"                                                  \
    }

typedef struct LsHeldOut {
    uint64_t key;
    int64_t samples, held;
} LsHeldOut;

/* Of so many samples of the training part; none where there is a validation_file. LS_DATA where nothing would be left
 * on either side. */
LsStatus ls_held_out_new(const LsHeldOutSettings *settings, int64_t samples, LsHeldOut *held_out) LS_MUST_USE;
bool ls_is_held_out(const LsHeldOut *held_out, int64_t sample);

/* The part of the sources that a split's samples are read from: samples held out are read from the training part. And
 * whether sample `sample` of that part is in the split. */
LsSplit ls_part_of_split(const LsHeldOut *held_out, LsSplit split);
bool ls_is_in_split(const LsHeldOut *held_out, LsSplit split, int64_t sample);

/* Whether a split is there, by the array's name in it. */
LsStatus ls_split_exists(LsSealed *file, LsSplit split, const char *array, bool *exists) LS_MUST_USE;

/* "train", "validation", "test"; "held-out" is the validation split of a file that has one, else the training split.
 * *exists false where there is none; array: one that every split has. LS_USAGE where it is none of them. */
LsStatus ls_split_choose(LsSealed *file, const char *wanted, const char *array, LsSplit *split,
                         bool *exists) LS_MUST_USE;

/* Which sample stands at place `sample` of the endless stream: epochs in an order of their own each. */
int64_t ls_shuffled(uint64_t key, int64_t samples, int64_t sample);

/* ---- Numbers of any length --------------------------------------------------------------------------------------- */

/* A one-dimensional array of whole numbers that grows; NULL with a message. */
typedef struct LsNumbers LsNumbers;
LsNumbers *ls_numbers_new(LsSealed *file, const char *name, LsFileType type);
LsStatus ls_numbers_add(LsNumbers *numbers, const int32_t *value, int64_t count) LS_MUST_USE;
LsStatus ls_numbers_add_one(LsNumbers *numbers, int64_t value) LS_MUST_USE;
/* Writes what is left where `status`, that of the work so far, is LS_OK, and frees it whatever happens. Returns the
 * first failure. NULL is allowed. */
LsStatus ls_numbers_end(LsNumbers *numbers, LsStatus status) LS_MUST_USE;

/* The smallest type that holds ids below this. */
LsFileType ls_id_type(int64_t vocabulary);

/* An array of whole numbers of any type and one dimension, the caller's to ls_free; NULL and LS_OK where there is none.
 * LS_DATA where a number is outside low .. below - 1, with its place. */
LsStatus ls_numbers_read(LsSealed *file, const char *name, int64_t low, int64_t below, int32_t **value,
                         int64_t *count) LS_MUST_USE;
/* Offsets of texts in an array of `total`: ascending, from 0 to total; count + 1 of them. */
LsStatus ls_offsets_read(LsSealed *file, const char *name, int64_t total, int64_t **offset, int64_t *count) LS_MUST_USE;

/* ---- JSON beside the arrays -------------------------------------------------------------------------------------- */

LsStatus ls_sealed_write_json(LsSealed *file, const char *name, const json_t *object) LS_MUST_USE;
LsStatus ls_sealed_read_json(LsSealed *file, const char *name, json_t **object) LS_MUST_USE;

/* What `prepare` was asked for: the options of a kind, and the sources. */
typedef struct LsAsked {
    const LsSetting *table;
    const void *options;
    int sources;
    char *const *source;
} LsAsked;

/* Writes /info and /preparation, and takes both references. preparation gets the options that are not the defaults, and
 * the sources. */
LsStatus ls_sealed_write_notes(LsSealed *file, json_t *info, json_t *preparation, const LsAsked *asked) LS_MUST_USE;

/* ---- Descriptions ------------------------------------------------------------------------------------------------ */

/* Shortest, median, mean, the length that 95 of 100 do not pass, longest. Sorts `length`. */
json_t *ls_describe_lengths(int64_t *length, int64_t count);
/* The same of the texts between offsets. NULL with a message. */
json_t *ls_describe_offsets(const int64_t *offset, int64_t count);

/* Numbers of samples by class name; `names`: a JSON array. */
json_t *ls_describe_classes(const int32_t *label, int64_t count, const json_t *names);

/* Adds the sources (one line each) and the counts of skipped samples. */
LsStatus ls_describe_preparation(LsSealed *file, json_t *object) LS_MUST_USE;

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

/* Distinct names of labels: gathered, then numbered. Begins as {0}. */
typedef struct LsClasses {
    char **name;
    int64_t *seen; /* how often each was added */
    int count, room;
    int *slot; /* hash table: index + 1 */
    int slots;
    bool fixed; /* further names are refused */
} LsClasses;

/* The index of a name, which is added where it is new and the list is not fixed; -1 where it is fixed or there is no
 * memory. */
int ls_classes_add(LsClasses *classes, LsSpan name);
int ls_classes_find(const LsClasses *classes, LsSpan name);
/* From "negative,positive", in that order, and fixed. */
LsStatus ls_classes_from_list(LsClasses *classes, const char *list) LS_MUST_USE;
/* Numbers them in sorted order (as numbers where all are whole numbers), fixes the list, and renumbers label:
 * (labels). */
LsStatus ls_classes_sort_labels(LsClasses *classes, int32_t *label, int64_t labels) LS_MUST_USE;
json_t *ls_classes_json(const LsClasses *classes);
void ls_classes_free(LsClasses *classes);

#endif
