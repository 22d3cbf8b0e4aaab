/* Checkpoints: a sealed HDF5 file with /parameters/NAME, /optimizer/KIND/NAME (float32, natural shapes), /tokenizer
 * and /info (JSON as bytes), and the attributes format_version, program_version, step, samples, tokens, seed,
 * metrics_rows, best_loss, best_step, optimizer ("m v") and config (YAML). Names' dots become slashes of HDF5
 * nowhere: "/parameters/layer.3.in_w" is one data set.
 *
 * Nothing here is collective: rank 0 calls and broadcasts. Failures are LS_CHECKPOINT, and LS_RESOURCE for a full
 * disk or out of memory.
 */
#ifndef LS_STORE_CHECKPOINT_H
#define LS_STORE_CHECKPOINT_H

#include "lockstep/saved.h"

/* The entry of the values that a model saves but does not train (ls_running); only where params->running is not
 * NULL. */
LsSaved ls_saved_running(const LsParams *params);

/* JSON or YAML that a checkpoint holds. tokenizer and info (LsSource.info) may be NULL. */
typedef struct LsSavedTexts {
    const char *config, *tokenizer, *info;
} LsSavedTexts;

typedef struct LsProgress {
    int64_t step, samples, tokens; /* done; tokens: targets learned from, for the metrics */
    uint64_t seed;
    int64_t metrics_rows; /* rows of metrics.jsonl that belong to steps up to this one */
    /* of the validation by which the best is chosen, lower is better (ls_evaluation_score); HUGE_VAL before the first.
     * Its attribute is best_loss. */
    double best_score;
    int64_t best_step; /* -1 before the first */
} LsProgress;

/* Saves by rank 0 alone (call it there only): the parameters and what the list says. Checks free disk first:
 * LS_RESOURCE. Makes the folder. The file is read back and compared with the checksums of what is in memory before it
 * gets its name; on failure nothing is left and an older file of this name is whole. */
LsStatus ls_checkpoint_save(const char *path, const LsParams *params, int count, const LsSaved *saved,
                            const LsProgress *progress, const LsSavedTexts *texts) LS_MUST_USE;

/* A checkpoint that is open for reading and whole: its digest was verified. */
typedef struct LsCheckpoint {
    char *path;
    LsProgress progress;
    char *config, *tokenizer, *info; /* the latter two: NULL if none */
    const char *weights;             /* the group that parameters are read from */
    struct LsSealed *file;
} LsCheckpoint;

/* *checkpoint is NULL on failure. *at_fault, where at_fault is not NULL: as ls_sealed_open has it. */
LsStatus ls_checkpoint_open(const char *path, bool *at_fault, LsCheckpoint **checkpoint) LS_MUST_USE;
void ls_checkpoint_close(LsCheckpoint *checkpoint); /* NULL is allowed */

/* Parameters are read from the average of weights, where the file holds one: for whatever does not go on with the
 * training. */
LsStatus ls_checkpoint_use_average(LsCheckpoint *checkpoint, const LsParams *params) LS_MUST_USE;

/* Reads into params (sealed, names and shapes must agree: all differences are listed) and the arrays of the list (count
 * 0: only parameters). On failure the arrays' content is undefined. */
LsStatus ls_checkpoint_read(LsCheckpoint *checkpoint, LsParams *params, int count, const LsSaved *saved) LS_MUST_USE;

/* ls_checkpoint_open, _read and _close. progress may be NULL. */
LsStatus ls_checkpoint_load(const char *path, LsParams *params, int count, const LsSaved *saved,
                            LsProgress *progress) LS_MUST_USE;

/* RUN/checkpoints/step-00001000.h5 of a run folder; the caller frees it. */
char *ls_checkpoint_path(const char *run, int64_t step);

/* Opens the newest checkpoint of `run` that is whole; damaged ones are named in a warning and passed over. One that the
 * system does not let us read, or of a newer version of this program, is a failure: it may be whole, and nothing older
 * must take its place unasked. `run` may also be a checkpoint file. *checkpoint is the caller's to close; NULL where
 * there is none at all, LS_CHECKPOINT where there are only damaged ones. */
LsStatus ls_checkpoint_newest(const char *run, LsCheckpoint **checkpoint) LS_MUST_USE;

/* The best by validation loss if the newest one knows it and it still exists, else the newest. */
LsStatus ls_checkpoint_best(const char *run, LsCheckpoint **checkpoint) LS_MUST_USE;

/* Patterns of the files that are written into a run folder itself, for ls_output_folder. */
extern const char *const ls_run_temporaries[];

/* Removes temporary files that a killed process left in a run folder, which the caller holds (io/output.h): those of
 * files that a training writes, and no others, since a prediction may be written into the same folder at this moment.
 */
LsStatus ls_checkpoint_clean(const char *run) LS_MUST_USE;

/* To be called by a training that begins, before its first save, with the step it goes on from (-1: from the
 * beginning): removes temporary files that a killed process left in the run folder, and renames checkpoints of later
 * steps to NAME.aside, with a warning. They are damaged or belong to a course of the training that was given up; they
 * must not be taken for the newest ones later. */
LsStatus ls_checkpoint_begin(const char *run, int64_t step) LS_MUST_USE;

/* Removes all but the `keep` newest, the one of best_step, and the one of `resumed_step` (-1: none); and temporary
 * files that a killed process left. keep counts from 1. What cannot be removed is a warning. */
LsStatus ls_checkpoint_prune(const char *run, int64_t keep, int64_t best_step, int64_t resumed_step) LS_MUST_USE;

/* About what a file will take. */
int64_t ls_checkpoint_bytes(const LsParams *params, int count, const LsSaved *saved);

/* Steps of a run folder's checkpoints, newest first, whether whole or not; *steps is the caller's to free. */
LsStatus ls_checkpoint_steps(const char *run, int64_t **steps, int *count) LS_MUST_USE;

#endif
