/* Arrays of sealed files that are written piece by piece. */
#include "io/sealed_internal.h"

#include "io/fault.h"

#include <string.h>

struct LsSealedStream {
    LsSealed *file;
    char *name;
    LsFileType type;
    int rank;
    int64_t dim[LS_SEALED_RANK]; /* dim[0] -1: as long as what is appended */
    int64_t row;                 /* elements of one row: the product of dim[1 ..] */
    int64_t rows;                /* written so far */
    hid_t array;
    XXH3_state_t *digest;
};

static void free_stream(LsSealedStream *stream)
{
    if (stream->array >= 0)
        H5Dclose(stream->array);
    XXH3_freeState(stream->digest);
    ls_free(stream->name);
    ls_free(stream);
}

static LsSealedStream *open_stream(LsSealed *file, const char *name, LsFileType type, int rank, const int64_t *dim,
                                   int64_t chunk)
{
    LsSealedStream *stream = ls_alloc(sizeof *stream);
    if (!stream)
        return NULL;
    *stream = (LsSealedStream){.file = file,
                               .name = ls_strdup(name),
                               .type = type,
                               .rank = rank,
                               .row = 1,
                               .array = H5I_INVALID_HID,
                               .digest = XXH3_createState()};
    if (!stream->name || !stream->digest || XXH3_128bits_reset(stream->digest) == XXH_ERROR) {
        free_stream(stream);
        ls_fail(LS_RESOURCE, "out of memory for writing %s", name);
        return NULL;
    }
    hsize_t size[LS_SEALED_RANK], most[LS_SEALED_RANK];
    for (int i = 0; i < rank; i++) {
        stream->dim[i] = dim[i];
        stream->row *= i > 0 ? dim[i] : 1;
        size[i] = dim[i] < 0 ? 0 : (hsize_t)dim[i];
        most[i] = dim[i] < 0 ? H5S_UNLIMITED : size[i];
    }
    hid_t space = H5Screate_simple(rank, size, most);
    if (space >= 0) {
        stream->array = ls_sealed_make_array(file, name, type, space, chunk, chunk);
        H5Sclose(space);
    }
    if (stream->array < 0) {
        ls_sealed_fail(file, "make %s", name);
        free_stream(stream);
        return NULL;
    }
    return stream;
}

LsSealedStream *ls_sealed_stream(LsSealed *file, const char *name, LsFileType type, int64_t chunk)
{
    return open_stream(file, name, type, 1, (int64_t[]){-1}, chunk);
}

LsSealedStream *ls_sealed_stream_shape(LsSealed *file, const char *name, LsFileType type, int rank, const int64_t *dim)
{
    return open_stream(file, name, type, rank, dim, 0);
}

LsStatus ls_sealed_append(LsSealedStream *stream, const void *data, int64_t count)
{
    if (count == 0)
        return LS_OK;
    hsize_t start[LS_SEALED_RANK] = {(hsize_t)stream->rows}, size[LS_SEALED_RANK] = {(hsize_t)(count / stream->row)};
    for (int i = 1; i < stream->rank; i++)
        size[i] = (hsize_t)stream->dim[i];
    hsize_t total = start[0] + size[0];
    if (count % stream->row != 0 || (stream->dim[0] >= 0 && (int64_t)total > stream->dim[0]))
        return ls_fail(LS_ERROR, "%s: %lld elements do not fit the shape of %s", stream->file->path, (long long)count,
                       stream->name);
    hid_t space = H5I_INVALID_HID, memory = H5Screate_simple(stream->rank, size, NULL);
    bool good = memory >= 0 && (stream->dim[0] >= 0 || H5Dset_extent(stream->array, &total) >= 0) &&
                (space = H5Dget_space(stream->array)) >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
                H5Dwrite(stream->array, ls_sealed_type(stream->type), memory, space, H5P_DEFAULT, data) >= 0;
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    if (!good || stream->file->disk->error)
        return ls_sealed_fail(stream->file, "write %s", stream->name);
    XXH3_128bits_update(stream->digest, data, (size_t)count * ls_sealed_element_bytes(stream->type));
    stream->rows += (int64_t)size[0];
    return LS_OK;
}

LsStatus ls_sealed_end(LsSealedStream *stream)
{
    char digest[LS_DIGEST_TEXT];
    ls_digest_format(XXH3_128bits_digest(stream->digest), digest);
    LsStatus status = LS_OK;
    if (!ls_sealed_write_checksum(stream->array, digest) || stream->file->disk->error)
        status = ls_sealed_fail(stream->file, "write %s", stream->name);
    else if (stream->dim[0] >= 0 && stream->rows != stream->dim[0])
        stream->file->failed = true; /* what went wrong before has its message */
    free_stream(stream);
    return status;
}
