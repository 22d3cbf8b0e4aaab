/* Weights in the safetensors format: the header, and the elements of each tensor. */
#include "shared.h"

#include "store/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    LsSafetensors *tensors = NULL;
    fuzz_write("model.safetensors", input, bytes);
    if (fuzz_is_ok(ls_safetensors_open(fuzz_path("model.safetensors"), LS_DATA, &tensors)))
        for (int i = 0; i < tensors->count; i++) {
            const LsSafeTensor *tensor = &tensors->list[i];
            FUZZ_ASSERT(tensor->bytes <= (int64_t)bytes && tensor->count <= (int64_t)bytes);
            FUZZ_ASSERT(ls_safetensors_find(tensors, tensor->name) == tensor);
            float *value = ls_alloc_array(tensor->count, sizeof *value);
            FUZZ_ASSERT(value);
            fuzz_is_ok(ls_safetensors_read(tensors, tensor, value));
            ls_free(value);
        }
    ls_safetensors_close(tensors);
    return 0;
}
