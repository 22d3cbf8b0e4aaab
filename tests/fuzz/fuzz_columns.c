/* `prepare columns`: words with tags. The first byte chooses options. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const options[] = {"validation=0", "validation=0;tokenizer=bytes", "validation=0;tag=2;word=-1",
                                          "validation=1;lowercase=true;punctuation=split"};
    if (bytes < 1)
        return 0;
    fuzz_write("in.conll", input + 1, bytes - 1);
    fuzz_prepare("columns", options[input[0] % LS_COUNT_OF(options)],
                 (const char *const[]){fuzz_path("in.conll"), NULL});
    return 0;
}
