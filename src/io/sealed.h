/* Sealed HDF5 files: plain HDF5 for every reader (h5dump, h5py), with a user block of 512 bytes in front that holds a
 * magic line, the kind and version of the content, the size of the file and an XXH3-128 digest of everything after the
 * block. So a truncation or a flipped bit anywhere is found before HDF5 parses a byte. Checkpoints and data sets are
 * sealed.
 *
 *     LOCKSTEP checkpoint 1
 *     bytes 123456
 *     xxh3-128 0123456789abcdef0123456789abcdef
 *     block 0123456789abcdef        (XXH3-64 of the lines above)
 *     (zeros to 512)
 *
 * Every function returns the `code` that the file was created or opened with, LS_RESOURCE for a full disk. A failure of
 * ls_sealed_write or _set_* need not be followed up at once: ls_sealed_commit fails too then.
 */
#ifndef LS_IO_SEALED_H
#define LS_IO_SEALED_H

#include "lockstep/base.h"

#include <hdf5.h>

typedef struct LsSealed LsSealed;

/* Creates a temporary file beside path. kind: a word, "checkpoint", "text", ... The HDF5 handle is ls_sealed_h5(). NULL
 * with a message. */
LsSealed *ls_sealed_create(const char *path, const char *kind, int version, LsStatus code);

/* Closes HDF5, seals, syncs, verifies by reading back, renames. Frees `file` whatever happens; on failure path is as it
 * was. */
LsStatus ls_sealed_commit(LsSealed *file) LS_MUST_USE;
/* The same; before the file gets its name `check` looks at the temporary one, sealed and closed, at that path. What it
 * refuses is not kept; in its message the temporary name becomes the path. */
typedef LsStatus (*LsSealedCheck)(void *self, const char *temporary);
LsStatus ls_sealed_commit_checked(LsSealed *file, LsSealedCheck check, void *self) LS_MUST_USE;
void ls_sealed_discard(LsSealed *file); /* closes and removes the temporary; NULL is allowed */
/* Commits where `status`, that of the work so far, is LS_OK, else discards. Returns the first failure. */
LsStatus ls_sealed_finish(LsSealed *file, LsStatus status) LS_MUST_USE;

/* A copy, to be committed over `path`, of an HDF5 file that another program wrote or changed: with a block in front
 * that need not fit any more, with 512 bytes of anything, or with none. The checksums of all arrays are computed anew.
 * kind, version: where no block says them; NULL: it must. LS_USAGE where it says another kind, or there is none. A
 * failure of `code` where it is no HDF5, or of a form that is never written here. */
LsStatus ls_sealed_adopt(const char *path, const char *kind, int version, LsStatus code, LsSealed **file) LS_MUST_USE;

/* Opens for reading: checks magic, kind (NULL: any), size and digest. `code` is the status of a failure: LS_DATA or
 * LS_CHECKPOINT. NULL with a message. *at_fault, where at_fault is not NULL: whether the file itself is why (gone, cut
 * short, changed, none of ours, of another kind); false where the system did not let it be read, so that it may be
 * whole. */
LsSealed *ls_sealed_open(const char *path, const char *kind, LsStatus code, bool *at_fault);
void ls_sealed_close(LsSealed *file);

/* The block in front of a sealed file, read without verifying anything: to choose the reader of a file, and to
 * recognise a file by its digest. False where the file does not begin as sealed ones do, or cannot be read. */
typedef struct LsSealedHead {
    char kind[64];
    int version;
    int64_t bytes;
    char digest[33]; /* hexadecimal digits */
} LsSealedHead;
bool ls_sealed_head(const char *path, LsSealedHead *head);

/* A failure that says so where the file's content is of a later version than `newest`, the last that the caller knows
 * how to read. */
LsStatus ls_sealed_check_version(const LsSealed *file, int newest) LS_MUST_USE;

hid_t ls_sealed_h5(const LsSealed *file);
const char *ls_sealed_kind(const LsSealed *file);
int ls_sealed_version(const LsSealed *file);
const char *ls_sealed_path(const LsSealed *file);

/* Arrays with a checksum attribute ("xxh3-128" of the elements' bytes, little-endian), verified by every read. Names
 * may have slashes: groups are made. chunk: elements a chunk of a one-dimensional array, 0 contiguous. */
#define LS_SEALED_RANK 5 /* dimensions at most: LS_MAX_RANK of tensors */

typedef enum LsFileType {
    LS_FILE_FLOAT32,
    LS_FILE_UINT8,
    LS_FILE_UINT16,
    LS_FILE_INT32,
    LS_FILE_INT64,
    LS_FILE_UINT64
} LsFileType;

LsStatus ls_sealed_write(LsSealed *file, const char *name, LsFileType type, int rank, const int64_t *dim,
                         const void *data, int64_t chunk) LS_MUST_USE;
/* An array of one dimension in chunks, written piece by piece, its length not known before. NULL with a message.
 * ls_sealed_end writes its checksum and frees the stream whatever happens: call it after a failure too. Several may be
 * open at once. */
typedef struct LsSealedStream LsSealedStream;
LsSealedStream *ls_sealed_stream(LsSealed *file, const char *name, LsFileType type, int64_t chunk);
/* The same of an array whose shape is known before, contiguous; written in the order of its elements. Where
 * some are missing at the end the file cannot be committed. */
LsSealedStream *ls_sealed_stream_shape(LsSealed *file, const char *name, LsFileType type, int rank, const int64_t *dim);
/* count: elements; of an array of several dimensions whole rows of its first. */
LsStatus ls_sealed_append(LsSealedStream *stream, const void *data, int64_t count) LS_MUST_USE;
LsStatus ls_sealed_end(LsSealedStream *stream) LS_MUST_USE;

/* Reads all of it; the type and count must agree. */
LsStatus ls_sealed_read(LsSealed *file, const char *name, LsFileType type, int64_t count, void *data) LS_MUST_USE;
/* Shape and type; LS_OK and *exists false where there is no such array. */
LsStatus ls_sealed_shape(LsSealed *file, const char *name, bool *exists, LsFileType *type, int *rank,
                         int64_t *dim) LS_MUST_USE;
/* Calls visit for every array below group, in name order; names are full paths without the leading slash. */
LsStatus ls_sealed_each(LsSealed *file, const char *group, LsStatus (*visit)(void *self, const char *name),
                        void *self) LS_MUST_USE;

/* Compares every array with its checksum; contiguous ones in parallel. */
LsStatus ls_sealed_check_arrays(LsSealed *file) LS_MUST_USE;

/* Reads `count` elements from `first` of a one-dimensional array, without a checksum: for arrays too large to be held,
 * in files whose digest was verified. */
LsStatus ls_sealed_read_part(LsSealed *file, const char *name, LsFileType type, int64_t first, int64_t count,
                             void *data) LS_MUST_USE;

/* Attributes of the root group; UTF-8. The text is freed by the caller. A missing one is a failure. */
LsStatus ls_sealed_set_text(LsSealed *file, const char *name, const char *text) LS_MUST_USE;
LsStatus ls_sealed_get_text(LsSealed *file, const char *name, char **text) LS_MUST_USE;
LsStatus ls_sealed_set_int(LsSealed *file, const char *name, int64_t value) LS_MUST_USE;
LsStatus ls_sealed_get_int(LsSealed *file, const char *name, int64_t *value) LS_MUST_USE;
LsStatus ls_sealed_has(LsSealed *file, const char *name, bool *has) LS_MUST_USE; /* an attribute */
LsStatus ls_sealed_set_double(LsSealed *file, const char *name, double value) LS_MUST_USE;
LsStatus ls_sealed_get_double(LsSealed *file, const char *name, double *value) LS_MUST_USE;

#endif
