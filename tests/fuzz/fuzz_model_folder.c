/* Folders of models in Hugging Face's layout: config.json, and where more parts follow NULs, tokenizer_config.json,
 * tokenizer.json and generation_config.json. The weights are one tensor, so that nothing is imported that has
 * layers. */
#include "shared.h"

#include "store/model_folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const names[] = {"in/config.json", "in/tokenizer_config.json", "in/tokenizer.json",
                                        "in/generation_config.json"};
    static const char header[] = "{\"wte.weight\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}   ";
    char file[8 + sizeof header - 1 + 4] = {sizeof header - 1};
    memcpy(file + 8, header, sizeof header - 1);
    fuzz_remove("in");
    fuzz_remove("run");
    mkdir(fuzz_path("in"), 0777);
    fuzz_write("in/model.safetensors", file, sizeof file);
    FuzzParts parts = {input, input + bytes};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        char *text = fuzz_part(&parts);
        if (text)
            fuzz_write(names[i], text, strlen(text));
        free(text);
    }
    if (!fuzz_is_ok(ls_model_import(fuzz_path("in"), fuzz_path("run")))) {
        struct stat st;
        FUZZ_ASSERT(stat(fuzz_path("run"), &st) != 0); /* nothing is left of a refused import */
    }
    return 0;
}
