/* Shared by the fuzzing targets. Each defines LLVMFuzzerTestOneInput and has the reader of one kind of file read the
 * input. A reader may refuse it, with a message, or take it; anything else stops the target: a fault of memory,
 * undefined behaviour, ten seconds, two gigabytes, a refusal without a message. */
#ifndef FUZZ_SHARED_H
#define FUZZ_SHARED_H

#include "lockstep/base.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);

/* The process's own folder (in $TMPDIR), and a path in it; of the last 8 calls. */
const char *fuzz_path(const char *name);
void fuzz_write(const char *name, const void *bytes, size_t count);
void fuzz_remove(const char *name); /* with all below it, where it is there */

/* Stops the target unless a failure has its message. True for LS_OK. */
bool fuzz_is_ok(LsStatus status);
#define FUZZ_ASSERT(condition) ((condition) ? (void)0 : fuzz_stop(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_stop(const char *what, const char *file, int line);

/* Parts of the input with NULs between them: the next one, NUL-terminated and the caller's to free; NULL after the
 * last. */
typedef struct FuzzParts {
    const uint8_t *at, *end;
} FuzzParts;
char *fuzz_part(FuzzParts *parts);

/* As `lockstep prepare KIND SOURCE... --option value ...` (options: "name=value;name=value", sources ended by NULL),
 * into the file "out.h5"; then reads that as fuzz_read_data does. What was prepared must be readable. */
void fuzz_prepare(const char *kind, const char *options, const char *const *source);

/* Describes a data set, and reads samples of each of its splits. False where it was refused. */
bool fuzz_read_data(const char *kind, const char *path);

#endif
