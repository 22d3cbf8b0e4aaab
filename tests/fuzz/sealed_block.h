/* The block in front of a sealed file, as its format is documented (io/sealed.h). */
#ifndef FUZZ_SEALED_BLOCK_H
#define FUZZ_SEALED_BLOCK_H

#include "io/sealed_internal.h"
#include "shared.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Writes block and content. */
static inline void fuzz_seal(const char *name, const char *kind, const void *content, size_t bytes)
{
    char digest[LS_DIGEST_TEXT], *file = ls_alloc(LS_SEAL_BYTES + bytes);
    FUZZ_ASSERT(file);
    ls_digest_text(content, (int64_t)bytes, digest);
    int used =
        snprintf(file, LS_SEAL_BYTES, "LOCKSTEP %s 1\nbytes %zu\nxxh3-128 %s\n", kind, LS_SEAL_BYTES + bytes, digest);
    snprintf(file + used, LS_SEAL_BYTES - (size_t)used, "block %016" PRIx64 "\n",
             (uint64_t)XXH3_64bits(file, (size_t)used));
    memcpy(file + LS_SEAL_BYTES, content, bytes);
    fuzz_write(name, file, LS_SEAL_BYTES + bytes);
    ls_free(file);
}

#endif
