/* The safetensors format: 8 bytes with the header's length (little-endian), a JSON header, the elements.
 *
 *     {"__metadata__": {"format": "pt", "writer": "lockstep"}, "wte.weight": {"dtype": "F32", "shape": [37, 20], "data_offsets": [0, 2960]}, ...}
 *
 * Everything in a header is checked before it is used: lengths, shapes, types, offsets in range, no overlaps, no
 * duplicates.
 */
#ifndef LS_STORE_SAFETENSORS_H
#define LS_STORE_SAFETENSORS_H

#include "lockstep/base.h"

#define LS_SAFE_RANK 8

typedef struct LsSafeTensor {
    char *name;
    /* as in the file: "F32", "F16", "BF16", "F64", or one that ls_safetensors_read refuses ("I64", ...) */
    const char *dtype;
    int rank;
    int64_t dim[LS_SAFE_RANK];
    int64_t count;         /* elements */
    int64_t offset, bytes; /* in its file */
    int file;              /* index in files */
} LsSafeTensor;

typedef struct LsSafeFile {
    char *path;
    int fd;
} LsSafeFile;

typedef struct LsSafetensors {
    LsSafeTensor *list; /* in order of the headers */
    int count;
    LsSafeFile *files;
    int file_count;
    struct LsNames *names; /* indices in list */
    LsStatus code;
} LsSafetensors;

/* path: a .safetensors file, or the .index.json of a model in several files (weight_map; the files stand beside it).
 * `code` is the status of a failure. The caller closes. */
LsStatus ls_safetensors_open(const char *path, LsStatus code, LsSafetensors **tensors) LS_MUST_USE;
void ls_safetensors_close(LsSafetensors *tensors); /* NULL is allowed */

/* NULL where there is none of this name. */
const LsSafeTensor *ls_safetensors_find(const LsSafetensors *tensors, const char *name);

/* All elements as floats; F16 and BF16 exactly, F64 rounded. */
LsStatus ls_safetensors_read(const LsSafetensors *tensors, const LsSafeTensor *tensor, float *to) LS_MUST_USE;

/* A tensor to be written; offsets follow from the order. */
typedef struct LsSafeOut {
    const char *name;
    int rank;
    int64_t dim[LS_SAFE_RANK];
} LsSafeOut;

/* Writes them as F32 by the safe replace. get(self, i) gives the elements of tensor i, valid until its next call, NULL
 * with a message where it fails. Of each other file in the folder nothing is touched. */
LsStatus ls_safetensors_write(const char *path, int count, const LsSafeOut *list,
                              const float *(*get)(void *self, int i), void *self) LS_MUST_USE;

/* Whether ls_safetensors_write wrote it: its header says so. */
bool ls_safetensors_is_ours(const char *path);

#endif
