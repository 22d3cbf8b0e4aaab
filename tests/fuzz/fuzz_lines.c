/* `prepare lines`: labels and texts in columns or JSON lines, or text files. The first byte chooses. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const options[] = {"validation=0", "validation=0;format=jsonl",
                                          "validation=0;label=label;text=2", "validation=1;tokenizer=bytes",
                                          "validation=0;lowercase=true;punctuation=drop;classes=a,b"};
    if (bytes < 1)
        return 0;
    fuzz_write("in.tsv", input + 1, bytes - 1);
    fuzz_prepare("lines", options[input[0] % LS_COUNT_OF(options)], (const char *const[]){fuzz_path("in.tsv"), NULL});
    return 0;
}
