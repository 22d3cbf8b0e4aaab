/* The index of weights in several files. */
#include "shared.h"

#include "store/safetensors.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}      ";
    char file[8 + sizeof header - 1 + 4] = {sizeof header - 1};
    LsSafetensors *tensors = NULL;
    memcpy(file + 8, header, sizeof header - 1);
    fuzz_write("model-1.safetensors", file, sizeof file);
    fuzz_write("model.safetensors.index.json", input, bytes);
    fuzz_is_ok(ls_safetensors_open(fuzz_path("model.safetensors.index.json"), LS_DATA, &tensors));
    ls_safetensors_close(tensors);
    return 0;
}
