/* The Hugging Face layout of a model folder: hf_settings.c (config.json) and hf_tensors.c (model.safetensors). What a
 * model's settings and parameters are called there stands in its LsHf table. */
#ifndef LS_STORE_HF_INTERNAL_H
#define LS_STORE_HF_INTERNAL_H

#include "config/config.h"
#include "lockstep/model.h"
#include "store/json.h"
#include "store/safetensors.h"

/* The model whose table has this config.json's model_type. NULL with a message that lists those there are. */
const LsModel *ls_hf_model(const char *path, const json_t *keys);

/* Settings from config.json as a YAML text of the section `model:`; path stands in messages. The caller frees it. */
LsStatus ls_hf_settings_in(const char *path, const LsModel *model, const json_t *keys, char **yaml) LS_MUST_USE;

/* config.json's keys from settings; end: id that ends a text, -1: none. The caller calls json_decref. */
LsStatus ls_hf_settings_out(const LsModel *model, const void *config, int64_t end, json_t **keys) LS_MUST_USE;

/* All of params from the file's tensors; all names and shapes that do not agree are listed. */
LsStatus ls_hf_tensors_in(const LsModel *model, const LsSafetensors *tensors, LsParams *params) LS_MUST_USE;

LsStatus ls_hf_tensors_out(const LsModel *model, const LsParams *params, const char *path) LS_MUST_USE;

#endif
