/* Shared by sealed.c (the file), sealed_array.c and sealed_stream.c (its content): the handle, digests, arrays. */
#ifndef LS_IO_SEALED_INTERNAL_H
#define LS_IO_SEALED_INTERNAL_H

#include "io/h5.h"
#include "io/sealed.h"

#include <xxhash.h>

#define LS_SEAL_BYTES 512
#define LS_DIGEST_TEXT 33 /* 32 hexadecimal digits and a NUL */

struct LsSealed {
    char *path, *temporary; /* temporary: NULL when reading */
    char kind[64];
    int version;
    LsStatus code; /* of failures that are not a full disk */
    LsDisk *disk;
    hid_t h5;
    bool failed; /* something was not written: never to be committed */
};

/* Neither open nor created yet; NULL with a message. */
LsSealed *ls_sealed_blank(const char *path, LsStatus code);

/* Closes HDF5's side, false where it does not close; what its driver could not write shows in disk->error. */
bool ls_sealed_close_h5(LsSealed *file);

/* Frees what is left. h5_done: what ls_sealed_close_h5 gave. */
void ls_sealed_free(LsSealed *file, bool h5_done);

/* The failure of a file whose first bytes are not `magic`; block is ended by a zero. */
LsStatus ls_sealed_fail_foreign(const LsSealed *file, const char *block, int64_t bytes, const char *magic);

/* A failure of HDF5 on this file: the disk's error where there was one, else HDF5's reason. Always returns a failure;
 * the file cannot be committed any more. */
LsStatus ls_sealed_fail(LsSealed *file, const char *format, ...) LS_PRINTF(2, 3);

/* XXH3-128 as hexadecimal digits, most significant first, as xxh128sum prints it. */
void ls_digest_format(XXH128_hash_t hash, char text[LS_DIGEST_TEXT]);
void ls_digest_text(const void *bytes, int64_t count, char text[LS_DIGEST_TEXT]);

/* The same of a file from `offset` to offset + count. -1 with errno where it cannot be read. */
int ls_digest_file(int fd, int64_t offset, int64_t count, char text[LS_DIGEST_TEXT]);

/* Refuses what this program never writes: filters, external and virtual storage, links, arrays that the file has no
 * room for (sealed_form.c). Reads no array. */
LsStatus ls_sealed_check_form(LsSealed *file) LS_MUST_USE;

/* ---- sealed_array.c ---------------------------------------------------------------------------------------------- */

hid_t ls_sealed_type(LsFileType type);
size_t ls_sealed_element_bytes(LsFileType type);

/* A new array, its groups with it; chunk 0: contiguous. count: its elements, at most which a chunk has. */
hid_t ls_sealed_make_array(LsSealed *file, const char *name, LsFileType type, hid_t space, int64_t count,
                           int64_t chunk);
bool ls_sealed_write_checksum(hid_t array, const char *digest);

#endif
