/* The list of models. */
#include "lockstep/model.h"

#define LS_LIST_FILE "lockstep/models.def"
#define MODEL LS_LIST_ENTRY
#define LS_LIST_TYPE LsModel
#define LS_LIST_SYMBOL(name) ls_model_##name
#define LS_LIST_WHAT "model"
#define LS_LIST_ROOM LS_MAX_ADDED_MODELS
#include "base/registry_list.h"

const LsModel *const *ls_models(void) { return (const LsModel *const *)(const void *)members; }

LsStatus ls_model_add(const LsModel *model) { return ls_registry_add(&registry, model); }

const LsModel *ls_model_find(const char *name) { return ls_registry_find(&registry, name); }
