/* `prepare wav` from one file, which says by its content whether it is WAV, FLAC or OGG. The checksums of OGG's pages
 * are made anew, so that their contents are reached. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>

/* Of a page: polynomial 0x04c11db7, the highest bit first, zeros in the place of the checksum. */
static uint32_t checksum(const uint8_t *page, size_t bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        sum ^= (uint32_t)(i >= 22 && i < 26 ? 0 : page[i]) << 24;
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 0x80000000u ? sum << 1 ^ 0x04c11db7u : sum << 1;
    }
    return sum;
}

static void renew_checksums(uint8_t *ogg, size_t bytes)
{
    for (size_t at = 0; at + 27 <= bytes && memcmp(ogg + at, "OggS", 4) == 0;) {
        size_t page = 27 + (size_t)ogg[at + 26];
        for (size_t segment = 0; at + 27 + segment < bytes && segment < ogg[at + 26]; segment++)
            page += ogg[at + 27 + segment];
        if (page > bytes - at)
            return;
        uint32_t sum = checksum(ogg + at, page);
        for (int i = 0; i < 4; i++)
            ogg[at + 22 + (size_t)i] = (uint8_t)(sum >> 8 * i);
        at += page;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    uint8_t *sound = malloc(bytes + 1);
    FUZZ_ASSERT(sound);
    memcpy(sound, input, bytes);
    renew_checksums(sound, bytes);
    fuzz_write("x.wav", sound, bytes);
    fuzz_prepare("wav", "validation=0;length=4096;label=(x)", (const char *const[]){fuzz_path("x.wav"), NULL});
    free(sound);
    return 0;
}
