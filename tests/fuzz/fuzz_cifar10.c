/* `prepare images` from CIFAR-10's batches. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    fuzz_write("batch.bin", input, bytes);
    fuzz_prepare("images", "validation=0;format=cifar10", (const char *const[]){fuzz_path("batch.bin"), NULL});
    return 0;
}
