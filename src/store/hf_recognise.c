/* Files of weights that come without config.json: the model is known by a tensor, its settings by shapes. */
#include "store/hf_internal.h"

#include <stdio.h>
#include <string.h>

/* A tensor's name with the layer's number in the place of {i}. */
static const LsSafeTensor *find_tensor(const LsSafetensors *tensors, const char *pattern, int64_t layer)
{
    const char *hole = strstr(pattern, "{i}");
    char name[256];
    snprintf(name, sizeof name, "%.*s", hole ? (int)(hole - pattern) : (int)sizeof name - 1, pattern);
    if (hole)
        snprintf(name + strlen(name), sizeof name - strlen(name), "%lld%s", (long long)layer, hole + 3);
    return ls_safetensors_find(tensors, name);
}

static const LsHf *find_table(const LsSafetensors *tensors)
{
    for (const LsModel *const *m = ls_models(); *m; m++)
        for (const LsHf *hf = (*m)->hf; hf; hf = hf->next)
            if (hf->recognised && find_tensor(tensors, hf->recognised, 0))
                return hf;
    return NULL;
}

/* The value that a tensor's shape gives to a key, -1: none. */
static int64_t shape_value(const LsSafetensors *tensors, const LsHfShape *shape)
{
    const LsSafeTensor *t = find_tensor(tensors, shape->tensor, 0);
    int64_t layers = 0;
    if (shape->axis != LS_HF_LAYERS)
        return t && shape->axis < t->rank ? t->dim[shape->axis] : -1;
    while (find_tensor(tensors, shape->tensor, layers))
        layers++;
    return layers;
}

LsStatus ls_hf_recognise(const char *path, const LsSafetensors *tensors, json_t **keys)
{
    const LsHf *hf = find_table(tensors);
    if (!hf)
        return ls_fail(LS_DATA,
                       "%s: there is no config.json, and the tensors are of no model that is known without one", path);
    if (hf->foreign && find_tensor(tensors, hf->foreign, 0))
        return ls_fail(LS_DATA, "%s: %s is of %s, which is not supported", path, hf->foreign, hf->foreign_model);
    *keys = json_pack("{s:s, s:[s]}", "model_type", hf->model_type, "architectures", hf->architectures->name);
    int failed = !*keys;
    for (const LsHfShape *shape = hf->shapes; !failed && shape->key; shape++) {
        int64_t value = shape_value(tensors, shape);
        failed = value >= 0 ? json_object_set_new(*keys, shape->key, json_integer(value)) : 0;
    }
    return failed ? ls_fail(LS_RESOURCE, "out of memory for what %s holds", path) : LS_OK;
}
