#include "lockstep/model.h"

#include <string.h>

#define MODEL(name) extern const LsModel ls_model_##name;
#include "lockstep/models.def"
#undef MODEL

static const LsModel *const models[] = {
#define MODEL(name) &ls_model_##name,
#include "lockstep/models.def"
#undef MODEL
    NULL};

const LsModel *const *ls_models(void) { return models; }

const LsModel *ls_model_find(const char *name)
{
    for (const LsModel *const *model = models; *model; model++)
        if (strcmp((*model)->name, name) == 0)
            return *model;
    return NULL;
}
