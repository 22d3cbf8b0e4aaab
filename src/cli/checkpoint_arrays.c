#include "cli/checkpoint_arrays.h"

#include <stdio.h>
#include <string.h>

/* One pass over all arrays, which takes those of one group. */
typedef struct Pass {
    LsFileTensors *tensors;
    const char *group;
} Pass;

static LsStatus add(void *self, const char *name)
{
    const Pass *pass = self;
    LsFileTensors *tensors = pass->tensors;
    bool exists = false;
    if (strncmp(name, pass->group, strlen(pass->group)) != 0)
        return LS_OK;
    LsFileType type;
    LsFileTensor tensor = {.count = 1};
    LS_TRY(ls_sealed_shape(tensors->checkpoint->file, name, &exists, &type, &tensor.rank, tensor.dim));
    if (!exists || type != LS_FILE_FLOAT32)
        return LS_OK;
    for (int i = 0; i < tensor.rank; i++)
        tensor.count *= tensor.dim[i];
    if (tensors->count == tensors->room) {
        int room = tensors->room ? 2 * tensors->room : 64;
        LsFileTensor *list = ls_alloc_array(room, sizeof *list);
        if (!list)
            return LS_RESOURCE;
        if (tensors->count)
            memcpy(list, tensors->list, (size_t)tensors->count * sizeof *list);
        ls_free(tensors->list);
        tensors->list = list;
        tensors->room = room;
    }
    tensor.name = ls_strdup(name);
    if (!tensor.name)
        return LS_RESOURCE;
    tensors->list[tensors->count++] = tensor;
    return LS_OK;
}

LsStatus ls_file_tensors_open(const char *path, LsFileTensors *tensors)
{
    *tensors = (LsFileTensors){0};
    LS_TRY(ls_checkpoint_open(path, NULL, &tensors->checkpoint));
    LS_TRY(ls_sealed_each(tensors->checkpoint->file, "", add, &(Pass){tensors, "parameters/"}));
    /* an imported model has none */
    return ls_sealed_each(tensors->checkpoint->file, "", add, &(Pass){tensors, "optimizer/"});
}

void ls_file_tensors_close(LsFileTensors *tensors)
{
    for (int i = 0; i < tensors->count; i++)
        ls_free(tensors->list[i].name);
    ls_free(tensors->list);
    ls_checkpoint_close(tensors->checkpoint);
    *tensors = (LsFileTensors){0};
}

const LsFileTensor *ls_file_tensor(const LsFileTensors *tensors, const char *name)
{
    for (int i = 0; i < tensors->count; i++)
        if (strcmp(tensors->list[i].name, name) == 0)
            return &tensors->list[i];
    return NULL;
}

float *ls_file_tensor_read(const LsFileTensors *tensors, const LsFileTensor *tensor)
{
    float *value = ls_alloc_array(tensor->count, sizeof *value);
    if (value &&
        ls_sealed_read(tensors->checkpoint->file, tensor->name, LS_FILE_FLOAT32, tensor->count, value) != LS_OK) {
        ls_free(value);
        return NULL;
    }
    return value;
}
