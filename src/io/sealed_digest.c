#include "io/sealed_internal.h"

#include "io/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

void ls_digest_format(XXH128_hash_t hash, char text[LS_DIGEST_TEXT])
{
    snprintf(text, LS_DIGEST_TEXT, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
}

void ls_digest_text(const void *bytes, int64_t count, char text[LS_DIGEST_TEXT])
{
    ls_digest_format(XXH3_128bits(bytes, (size_t)count), text);
}

int ls_digest_file(int fd, int64_t offset, int64_t count, char text[LS_DIGEST_TEXT])
{
    const int64_t most = 1 << 20; /* stays in the second-level cache between reading and hashing */
    int64_t block = count < 1 ? 1 : count < most ? count : most;
    char *buffer = ls_alloc((size_t)block);
    XXH3_state_t *state = XXH3_createState();
    int result = buffer && state ? 0 : -1;
    if (result != 0)
        errno = ENOMEM;
    else
        XXH3_128bits_reset(state);
    while (result == 0 && count > 0) {
        int64_t part = count < block ? count : block;
        result = ls_sys_read_all(fd, buffer, part, offset);
        if (result == 0)
            XXH3_128bits_update(state, buffer, (size_t)part);
        offset += part;
        count -= part;
    }
    if (result == 0)
        ls_digest_format(XXH3_128bits_digest(state), text);
    int error = errno;
    XXH3_freeState(state);
    ls_free(buffer);
    errno = error;
    return result;
}
