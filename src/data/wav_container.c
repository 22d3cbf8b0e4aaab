/* The containers of sounds, looked at for their ends: libsndfile reads what there is of a file that is cut short, and
 * says nothing.
 *
 *     WAV    RIFF (4 bytes of size) WAVE, then chunks: a name of 4 bytes, 4 bytes of size, the content, padded to an
 *            even size; the samples are the content of the chunk "data"
 *     OGG    pages: OggS, version, flags (4: the last page of a stream), position (8), stream (4), number (4), CRC-32
 *            (4), the number of segments and their sizes (1 byte each), the segments
 *     FLAC   fLaC, and a header that says how many samples there are, which decoding counts
 */
#include "data/wav.h"

#include <string.h>

static uint32_t little_endian(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static LsStatus check_riff(const char *path, const unsigned char *bytes, int64_t count)
{
    int64_t at = 12;
    while (at + 8 <= count) {
        int64_t size = little_endian(bytes + at + 4), there = count - at - 8;
        if (memcmp(bytes + at, "data", 4) != 0) {
            at += 8 + size + size % 2;
            continue;
        }
        if (size > there)
            return ls_fail(LS_DATA,
                           "%s: is cut short, or was written to a pipe: its header says %lld bytes of samples, and "
                           "%lld are there",
                           path, (long long)size, (long long)there);
        return LS_OK;
    }
    return ls_fail(LS_DATA, "%s: is cut short: it has no samples (no chunk 'data')", path);
}

/* Ogg's: polynomial 0x04c11db7, the highest bit first, over the page with zeros in the place of the CRC itself. */
static uint32_t page_crc(const unsigned char *page, int64_t bytes)
{
    uint32_t crc = 0;
    for (int64_t i = 0; i < bytes; i++) {
        crc ^= (uint32_t)(i >= 22 && i < 26 ? 0 : page[i]) << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000u ? crc << 1 ^ 0x04c11db7u : crc << 1;
    }
    return crc;
}

/* Bytes of the page at `page`; -1 where it is not all there. */
static int64_t page_bytes(const unsigned char *page, int64_t there)
{
    if (there < 27 || there < 27 + page[26])
        return -1;
    int64_t bytes = 27 + page[26];
    for (int segment = 0; segment < page[26]; segment++)
        bytes += page[27 + segment];
    return bytes <= there ? bytes : -1;
}

static LsStatus check_ogg(const char *path, const unsigned char *bytes, int64_t count)
{
    bool last = false;
    for (int64_t at = 0; at < count;) {
        int64_t page = page_bytes(bytes + at, count - at);
        if (page < 0)
            return ls_fail(LS_DATA, "%s: is cut short: its page at byte %lld is not all there", path, (long long)at);
        if (memcmp(bytes + at, "OggS", 4) != 0 || page_crc(bytes + at, page) != little_endian(bytes + at + 22))
            return ls_fail(LS_DATA, "%s: is damaged: the page at byte %lld is not as it was written", path,
                           (long long)at);
        last = bytes[at + 5] & 4;
        at += page;
    }
    return last ? LS_OK : ls_fail(LS_DATA, "%s: is cut short: its last page is missing", path);
}

LsStatus ls_wav_check_whole(const char *path, const void *content, int64_t count)
{
    const unsigned char *bytes = content;
    if (count == 0)
        return ls_fail(LS_DATA, "%s: is empty", path);
    if (count >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WAVE", 4) == 0)
        return check_riff(path, bytes, count);
    if (count >= 4 && memcmp(bytes, "OggS", 4) == 0)
        return check_ogg(path, bytes, count);
    if (count >= 4 && memcmp(bytes, "fLaC", 4) == 0)
        return LS_OK;
    return ls_fail(LS_DATA, "%s: is no sound that is read here: it begins neither as WAV (RIFF) nor as FLAC or OGG do",
                   path);
}
