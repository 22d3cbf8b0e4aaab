/* `prepare series`: numbers in comma-separated values. The first byte chooses options. */
#include "shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const options[] = {
        "window=1;validation=0;test=0", "window=2;horizon=2;date=1;validation=0.2;test=0.2",
        "window=1;date=date;only=name=a;validation=0;test=0;scaling=minmax", "window=1;columns=2,1;target=1;season=2"};
    if (bytes < 1)
        return 0;
    fuzz_write("in.csv", input + 1, bytes - 1);
    fuzz_prepare("series", options[input[0] % LS_COUNT_OF(options)], (const char *const[]){fuzz_path("in.csv"), NULL});
    return 0;
}
