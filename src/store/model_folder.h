/* Models as folders that other programs read and write: config.json, model.safetensors (or several files and their
 * index), tokenizer files. Two layouts, told apart by config.json's "model_type":
 *
 *     "lockstep"        the native one, for every model: our names and shapes (docs/formats.md), all settings
 *     "gpt2", "bert"    the one of Hugging Face: what stands in a model's LsHf table (lockstep/model.h)
 *
 * Models that are known by their tensors (LsHf.recognised) need no config.json: a folder with model.safetensors alone,
 * or the file itself, will do.
 *
 * Nothing here knows a model by name. Not collective: one rank calls.
 */
#ifndef LS_STORE_MODEL_FOLDER_H
#define LS_STORE_MODEL_FOLDER_H

#include "config/config.h"

typedef enum LsLayout {
    LS_LAYOUT_OF_MODEL, /* the one of Hugging Face where the model has one, else the native one */
    LS_LAYOUT_NATIVE
} LsLayout;

/* Makes the run folder `run` with config.yaml and a checkpoint of step 0 without optimiser state from the model in
 * `folder`. A folder without tokenizer files is fine: then the run knows ids only. LS_DATA, naming the key or tensors,
 * for whatever cannot be carried over to the bit; nothing is written then. LS_USAGE where the run folder has
 * checkpoints already. */
LsStatus ls_model_import(const char *folder, const char *run) LS_MUST_USE;

/* Writes `folder` (made where it is not there) from a run folder (its best checkpoint) or a checkpoint file. LS_USAGE
 * where the model or one of its settings has no place in the layout. Elements are F32. *written, where it is not NULL:
 * the layout's model_type. */
LsStatus ls_model_export(const char *run, int overrides, char *const *override, const char *folder, LsLayout layout,
                         const char **written) LS_MUST_USE;

/* A model in memory, wherever it came from. */
typedef struct LsStoredModel {
    char *path; /* of the checkpoint, or the folder */
    LsConfig *config;
    LsParams *params;       /* without gradients; running values too */
    char *tokenizer, *info; /* JSON; NULL: none */
} LsStoredModel;

/* The best checkpoint of a run folder, or a checkpoint file, with settings over its own. And a folder in one of the
 * layouts above; its configuration's output.path becomes `run`, where that is not NULL. Release with
 * ls_stored_model_free, after a failure too. */
LsStatus ls_stored_model_of_run(const char *run, int overrides, char *const *override,
                                LsStoredModel *model) LS_MUST_USE;
LsStatus ls_stored_model_of_folder(const char *folder, const char *run, LsStoredModel *model) LS_MUST_USE;
/* Either, by what `path` is; and its configuration alone. */
LsStatus ls_stored_model(const char *path, LsStoredModel *model) LS_MUST_USE;
LsStatus ls_stored_config(const char *path, LsConfig **config) LS_MUST_USE;
void ls_stored_model_free(LsStoredModel *model);

/* What a folder of the Hugging Face layout said of its tokens joins LsSource.info: of a model that goes on from one with
 * the same tokenizer. from: info of that one, or NULL. *joined NULL with LS_OK where there is nothing to join. */
LsStatus ls_hf_tokens_carry(const char *from, const char *info, char **joined) LS_MUST_USE;

/* Whether `path` is a folder with a config.json or model.safetensors, or a file FILE.safetensors. */
bool ls_is_model_folder(const char *path);

/* The configuration's parameters, allocated, with their initial values. */
LsStatus ls_model_params(const LsConfig *config, LsParams **params) LS_MUST_USE;

#endif
