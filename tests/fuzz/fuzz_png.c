/* `prepare images` from PNG files: one picture of each of two classes, both the input. libpng compares the checksums of
 * chunks, which the target makes anew, so that their contents are reached. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Each chunk: length, name, content, CRC-32 of name and content. */
static void renew_checksums(uint8_t *png, size_t bytes)
{
    for (size_t at = 8; at + 12 <= bytes;) {
        size_t length = number(png + at);
        if (length > bytes - at - 12)
            return;
        uint32_t sum = (uint32_t)crc32(0, png + at + 4, (uInt)(length + 4));
        for (int i = 0; i < 4; i++)
            png[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += 12 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    uint8_t *png = malloc(bytes + 1);
    FUZZ_ASSERT(png);
    memcpy(png, input, bytes);
    renew_checksums(png, bytes);
    mkdir(fuzz_path("png"), 0777);
    mkdir(fuzz_path("png/a"), 0777);
    mkdir(fuzz_path("png/b"), 0777);
    fuzz_write("png/a/1.png", png, bytes);
    fuzz_write("png/b/1.png", png, bytes);
    fuzz_prepare("images", "validation=0;format=png", (const char *const[]){fuzz_path("png"), NULL});
    free(png);
    return 0;
}
