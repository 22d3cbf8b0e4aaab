/* The Hugging Face layout of a model folder: hf_settings.c (config.json) and hf_tensors.c (model.safetensors). What a
 * model's settings and parameters are called there stands in its LsHf table. */
#ifndef LS_STORE_HF_INTERNAL_H
#define LS_STORE_HF_INTERNAL_H

#include "config/config.h"
#include "lockstep/model.h"
#include "io/json.h"
#include "store/safetensors.h"

/* A model, which of its tables, and which of that one's architectures. */
typedef struct LsHfForm {
    const LsModel *model;
    const LsHf *hf;
    const LsHfArchitecture *architecture;
} LsHfForm;

/* The one that config.json's model_type and architectures name and the file's tensors fit. LS_DATA with a message that
 * lists those there are. */
LsStatus ls_hf_find(const char *path, const json_t *keys, const LsSafetensors *tensors, LsHfForm *form) LS_MUST_USE;

/* Makes a config.json for tensors that come without one, from the model that their names belong to. LS_DATA where no
 * model has such tensors. The caller calls json_decref. */
LsStatus ls_hf_recognise(const char *path, const LsSafetensors *tensors, json_t **keys) LS_MUST_USE;

/* The one that can hold what the configuration says; LS_USAGE with what cannot be held. */
LsStatus ls_hf_find_for(const LsConfig *config, LsHfForm *form) LS_MUST_USE;

/* The configuration that config.json stands for; path stands in messages. run: its output.path; NULL: the default.
 * markers: of the conversations that the model learnt, or NULL. *info: what LsSource.info says of classes with names, NULL where they have none; the caller frees it. */
LsStatus ls_hf_config_in(const char *path, const LsHfForm *form, const json_t *keys, const char *run,
                         const json_t *markers, LsConfig **config, char **info) LS_MUST_USE;

/* config.json's keys; end: id that ends a text, -1: none; info: as above. The caller calls json_decref. */
LsStatus ls_hf_config_out(const LsHfForm *form, const LsConfig *config, int64_t end, const char *info,
                          json_t **keys) LS_MUST_USE;

/* LS_DATA, naming the key, where config.json has one that no table knows and that may change what the model computes, or
 * one with another value than the only one that is supported. */
LsStatus ls_hf_check_keys(const char *path, const LsHf *hf, const json_t *keys) LS_MUST_USE;
/* Whether `name` is matched by one of "a|b_*|c". */
bool ls_hf_is_listed(const char *list, const char *name);
/* The JSON object of one of a table's texts, {} where it is NULL. The caller calls json_decref. */
LsStatus ls_hf_parse_table(const LsHf *hf, const char *text, json_t **object) LS_MUST_USE;

/* The value of "expand*width", or "width/heads", for these settings of the model; -1 where the table is wrong. A
 * setting of 0 counts as the product in its key's `zero`. */
int64_t ls_hf_product(const LsHfForm *form, const char *product, const void *config);

/* Member `name`, "object.member" too; NULL: there is none. And set to a new reference, which is taken over. */
json_t *ls_hf_member(const json_t *keys, const char *name);
bool ls_hf_set_member(json_t *keys, const char *name, json_t *value);

/* A copy of config.json's keys in which objects that the table's keys reach into are laid flat, as "object.member", and
 * values stand under the first name of their key. The caller calls json_decref. */
LsStatus ls_hf_flatten(const char *path, const LsHf *hf, const json_t *keys, json_t **flat) LS_MUST_USE;

/* Texts of a preset: "task.epsilon=$epsilon" with the model's settings and `labels` put in. The caller frees it. */
char *ls_hf_expand(const LsModel *model, const void *config, int64_t labels, const char *text);

/* Classes as config.json names them: their number, and as JSON of LsSource.info those that have names of their own. And
 * back: the number is that of the field. */
LsStatus ls_hf_labels_in(const char *path, const json_t *keys, int64_t *labels, char **info) LS_MUST_USE;
LsStatus ls_hf_labels_out(const LsConfig *config, const char *field, const char *info, json_t *keys) LS_MUST_USE;

/* Ids of tokens in config.json's keys (path: of that file, for messages) and generation_config.json join *info, for the
 * export. LS_DATA where they are no ids. And back: into the keys, and as a file. */
LsStatus ls_hf_tokens_in(const char *folder, const char *path, const json_t *keys, int64_t vocabulary,
                         char **info) LS_MUST_USE;
LsStatus ls_hf_token_ids_out(const char *info, json_t *keys) LS_MUST_USE;
LsStatus ls_hf_generation_out(const char *folder, const char *info) LS_MUST_USE;

/* Sets a member of LsSource.info: *info is its JSON or NULL, and is replaced. */
LsStatus ls_hf_info_set(char **info, const char *key, json_t *value) LS_MUST_USE;

/* The member of LsSource.info that has the markers of conversations. */
#define LS_HF_TEMPLATE "template"

/* chat_template.jinja of the markers in LsSource.info (LS_HF_TEMPLATE), in the place of one that came with the tokenizer;
 * nothing where there are none. And the markers of such a file, a new reference, NULL where there is none or it is
 * another program. */
LsStatus ls_hf_template_out(const char *folder, const char *info) LS_MUST_USE;
LsStatus ls_hf_template_in(const char *folder, json_t **markers) LS_MUST_USE;

/* Whether the file has a tensor of this name of theirs, with or without the prefix. */
bool ls_hf_has(const LsHf *hf, const LsSafetensors *tensors, const char *theirs);

/* All of params from the file's tensors; all names and shapes that do not agree are listed. config: of the model's
 * settings, here and below. */
LsStatus ls_hf_tensors_in(const LsHfForm *form, const void *config, const LsSafetensors *tensors,
                          LsParams *params) LS_MUST_USE;

LsStatus ls_hf_tensors_out(const LsHfForm *form, const void *config, const LsParams *params,
                           const char *path) LS_MUST_USE;

#endif
