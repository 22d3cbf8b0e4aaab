/* The list of models. */
#include "lockstep/model.h"

#include "base/registry.h"

#define MODEL(name) extern const LsModel ls_model_##name;
#include "lockstep/models.def"
#undef MODEL

#define MODEL(name) +1
enum {
    LISTED = 0
#include "lockstep/models.def"
};
#undef MODEL

static const void *list[LISTED + LS_MAX_ADDED_MODELS + 1] = {
#define MODEL(name) &ls_model_##name,
#include "lockstep/models.def"
#undef MODEL
};
static LsRegistry models = {"model", list, LISTED, LS_MAX_ADDED_MODELS, 0};

const LsModel *const *ls_models(void) { return (const LsModel *const *)(const void *)list; }

LsStatus ls_model_add(const LsModel *model) { return ls_registry_add(&models, model); }

const LsModel *ls_model_find(const char *name) { return ls_registry_find(&models, name); }
