/* `prepare text`: plain text, what is packed, or a member of JSON lines. The first byte chooses options. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const options[] = {"validation=0", "validation=0.5;tokenizer=characters",
                                          "validation=0;field=text", "validation=0;tokenizer=words;lowercase=true",
                                          "validation=0.3;field=text;skip_bad=true;hold_out=hash;separator=#"};
    if (bytes < 1)
        return 0;
    fuzz_write("in.txt", input + 1, bytes - 1);
    fuzz_prepare("text", options[input[0] % LS_COUNT_OF(options)], (const char *const[]){fuzz_path("in.txt"), NULL});
    return 0;
}
