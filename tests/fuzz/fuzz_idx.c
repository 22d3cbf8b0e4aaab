/* `prepare images` from idx files: the pictures (gzip or not), in two bytes their length, then the labels. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    if (bytes < 2)
        return 0;
    size_t first = (size_t)input[0] * 256 + input[1];
    first = first < bytes - 2 ? first : bytes - 2;
    fuzz_write("x-images-idx3-ubyte", input + 2, first);
    fuzz_write("x-labels-idx1-ubyte", input + 2 + first, bytes - 2 - first);
    fuzz_prepare("images", "validation=0;format=idx",
                 (const char *const[]){fuzz_path("x-images-idx3-ubyte"), fuzz_path("x-labels-idx1-ubyte"), NULL});
    return 0;
}
