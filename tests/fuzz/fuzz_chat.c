/* `prepare chat`: conversations as JSON lines. The first byte chooses options. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const options[] = {"validation=0", "validation=1", "validation=0;tokenizer=bytes"};
    if (bytes < 1)
        return 0;
    fuzz_write("in.jsonl", input + 1, bytes - 1);
    fuzz_prepare("chat", options[input[0] % LS_COUNT_OF(options)], (const char *const[]){fuzz_path("in.jsonl"), NULL});
    return 0;
}
