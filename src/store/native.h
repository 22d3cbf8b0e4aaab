/* The native layout of a model folder: config.json with "model_type": "lockstep" and the sections of the configuration
 * as objects, model.safetensors with our names and shapes, running values among them, and lockstep_info.json where the
 * training data said something of themselves (names of classes, units). */
#ifndef LS_STORE_NATIVE_H
#define LS_STORE_NATIVE_H

#include "config/config.h"
#include "io/json.h"
#include "store/safetensors.h"

#define LS_NATIVE_TYPE "lockstep"

bool ls_native_is(const json_t *keys); /* of config.json */

/* The configuration that config.json's keys stand for; path stands in messages. run: its output.path; NULL: the
 * default. LS_DATA with all mistakes. */
LsStatus ls_native_config_in(const char *path, const json_t *keys, const char *run, LsConfig **config) LS_MUST_USE;
LsStatus ls_native_config_out(const LsConfig *config, json_t **keys) LS_MUST_USE;

/* All of params, and of params->running, from the file's tensors; all names, shapes and types that do not agree are
 * listed. */
LsStatus ls_native_tensors_in(const LsSafetensors *tensors, LsParams *params) LS_MUST_USE;
LsStatus ls_native_tensors_out(const LsParams *params, const char *path) LS_MUST_USE;

/* *info: the caller's to free, NULL where the folder has none. And writes it; NULL: nothing. */
LsStatus ls_native_info_in(const char *folder, char **info) LS_MUST_USE;
LsStatus ls_native_info_out(const char *folder, const char *info) LS_MUST_USE;

#endif
