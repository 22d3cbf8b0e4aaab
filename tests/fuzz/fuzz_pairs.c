/* `prepare pairs`: texts with their translations. The first byte chooses options. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const options[] = {"validation=0", "validation=0;format=jsonl",
                                          "validation=0;shared_vocabulary=true;longest=4",
                                          "validation=1;tokenizer=characters", "validation=0;target_tokenizer=bytes"};
    if (bytes < 1)
        return 0;
    fuzz_write("in.tsv", input + 1, bytes - 1);
    fuzz_prepare("pairs", options[input[0] % LS_COUNT_OF(options)], (const char *const[]){fuzz_path("in.tsv"), NULL});
    return 0;
}
