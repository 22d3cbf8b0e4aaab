#include "lockstep/model.h"

#include <string.h>

#define MODEL(name) extern const LsModel ls_model_##name;
#include "lockstep/models.def"
#undef MODEL

#define MODEL(name) +1
enum {
    LISTED = 0
#include "lockstep/models.def"
};
#undef MODEL

static const LsModel *models[LISTED + LS_MAX_ADDED_MODELS + 1] = {
#define MODEL(name) &ls_model_##name,
#include "lockstep/models.def"
#undef MODEL
};
static int added;

const LsModel *const *ls_models(void) { return models; }

LsStatus ls_model_add(const LsModel *model)
{
    if (ls_model_find(model->name))
        return ls_fail(LS_USAGE, "there is a model '%s' already", model->name);
    if (added == LS_MAX_ADDED_MODELS)
        return ls_fail(LS_USAGE, "no room for the model '%s': at most %d can be added", model->name,
                       LS_MAX_ADDED_MODELS);
    models[LISTED + added++] = model;
    return LS_OK;
}

const LsModel *ls_model_find(const char *name)
{
    for (const LsModel *const *model = models; *model; model++)
        if (strcmp((*model)->name, name) == 0)
            return *model;
    return NULL;
}
