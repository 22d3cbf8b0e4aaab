/* Hugging Face layout in and out: config.json, model.safetensors (or several files and their index), tokenizer files.
 *
 * What a model's settings and parameters are called there stands in its LsHf table (lockstep/model.h); nothing here
 * knows a model by name. Not collective: one rank calls.
 */
#ifndef LS_STORE_HF_H
#define LS_STORE_HF_H

#include "lockstep/base.h"

/* Makes the run folder `run` with config.yaml and a checkpoint of step 0 without optimiser state from the model in
 * `folder`. A folder without tokenizer files is fine: then the run knows ids only. LS_DATA, naming the key or tensors,
 * for whatever cannot be carried over to the bit; nothing is written then. LS_USAGE where the run folder has
 * checkpoints already. */
LsStatus ls_hf_import(const char *folder, const char *run) LS_MUST_USE;

/* Writes `folder` (made where it is not there) from a run folder (its best checkpoint) or a checkpoint file. LS_USAGE
 * where the model or one of its settings has no place in the layout. Elements are F32. */
LsStatus ls_hf_export(const char *run, const char *folder) LS_MUST_USE;

#endif
