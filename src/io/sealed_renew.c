/* Files that another program wrote or changed: a sealed copy of them. */
#include "io/sealed_internal.h"

#include "io/fault.h"
#include "io/file.h"
#include "io/temporary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((int64_t)8 << 20) /* bytes read at once */
static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

/* ---- The copy ---------------------------------------------------------------------------------------------------- */

/* Where HDF5 begins: behind a block of ours or of zeros, or at once. */
static LsStatus find_content(int fd, const char *path, LsStatus code, int64_t *begin, int64_t *end)
{
    struct stat st;
    unsigned char head[LS_SEAL_BYTES + sizeof signature] = {0};
    if (fstat(fd, &st) != 0 || pread(fd, head, sizeof head, 0) < 0)
        return ls_fail_errno(code, errno, path, "read");
    *begin = memcmp(head, signature, sizeof signature) == 0 ? 0 : LS_SEAL_BYTES;
    *end = st.st_size;
    if (memcmp(head + *begin, signature, sizeof signature) != 0)
        return ls_fail(code, "%s: no HDF5 file: it begins neither at once nor behind a block of %d bytes", path,
                       LS_SEAL_BYTES);
    return LS_OK;
}

static LsStatus copy_content(const LsSealed *file, int from, int64_t begin, int64_t end)
{
    char *buffer = ls_alloc((size_t)PIECE);
    LsStatus status = buffer ? LS_OK : LS_RESOURCE;
    for (int64_t at = begin; at < end && status == LS_OK; at += PIECE) {
        int64_t count = end - at < PIECE ? end - at : PIECE;
        if (ls_sys_read_all(from, buffer, count, at) != 0)
            status = ls_fail_errno(file->code, errno, file->path, "read");
        else if (ls_sys_write_all(file->disk->fd, buffer, count, at - begin + LS_SEAL_BYTES) != 0)
            status = ls_fail_errno(file->code, errno, file->path, "write");
    }
    ls_free(buffer);
    return status;
}

/* ---- Checksums --------------------------------------------------------------------------------------------------- */

/* Rows first .. first + rows - 1 of the first dimension. */
static bool read_rows(hid_t array, LsFileType type, int rank, const int64_t *dim, int64_t first, int64_t rows,
                      void *data)
{
    hsize_t start[LS_SEALED_RANK] = {(hsize_t)first}, size[LS_SEALED_RANK];
    for (int i = 0; i < rank; i++)
        size[i] = (hsize_t)(i == 0 ? rows : dim[i]);
    hid_t space = H5Dget_space(array);
    hid_t memory = rank > 0 ? H5Screate_simple(rank, size, NULL) : H5Screate(H5S_SCALAR);
    bool good = space >= 0 && memory >= 0 &&
                (rank == 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0) &&
                H5Dread(array, ls_sealed_type(type), memory, space, H5P_DEFAULT, data) >= 0;
    if (memory >= 0)
        H5Sclose(memory);
    if (space >= 0)
        H5Sclose(space);
    return good;
}

/* Of an array whose rows have `row` bytes, in pieces of whole rows. */
static LsStatus digest_array(LsSealed *file, hid_t array, const char *name, char digest[LS_DIGEST_TEXT])
{
    bool exists = false;
    LsFileType type = LS_FILE_UINT8;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LS_TRY(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    int64_t row = (int64_t)ls_sealed_element_bytes(type), rows = rank > 0 ? dim[0] : 1;
    for (int i = 1; i < rank; i++)
        row *= dim[i];
    int64_t most = row > 0 && row < PIECE ? PIECE / row : 1;
    void *data = ls_alloc_array(most, row > 0 ? (size_t)row : 1);
    XXH3_state_t *state = XXH3_createState();
    LsStatus status = data && state ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for reading %s", name);
    if (state)
        XXH3_128bits_reset(state);
    for (int64_t at = 0; row > 0 && at < rows && status == LS_OK; at += most) {
        int64_t count = rows - at < most ? rows - at : most;
        if (read_rows(array, type, rank, dim, at, count, data))
            XXH3_128bits_update(state, data, (size_t)(count * row));
        else
            status = ls_sealed_fail(file, "read %s", name);
    }
    if (status == LS_OK)
        ls_digest_format(XXH3_128bits_digest(state), digest);
    XXH3_freeState(state);
    ls_free(data);
    return status;
}

static LsStatus renew_checksum(void *self, const char *name)
{
    LsSealed *file = self;
    char digest[LS_DIGEST_TEXT];
    hid_t array = H5Dopen2(file->h5, name, H5P_DEFAULT);
    if (array < 0)
        return ls_sealed_fail(file, "open %s", name);
    LsStatus status = digest_array(file, array, name, digest);
    if (status == LS_OK && !ls_sealed_write_checksum(array, digest))
        status = ls_sealed_fail(file, "write the checksum of %s", name);
    H5Dclose(array);
    return status;
}

/* ---- Adopting ---------------------------------------------------------------------------------------------------- */

static LsStatus choose_kind(LsSealed *file, const char *kind, int version)
{
    LsSealedHead head;
    bool named = ls_sealed_head(file->path, &head);
    if (named && kind && strcmp(kind, head.kind) != 0)
        return ls_fail(LS_USAGE, "%s: says that it is of kind %s, not %s", file->path, head.kind, kind);
    if (!named && !kind)
        return ls_fail(LS_USAGE, "%s: does not say of which kind it is: name the kind (--kind)", file->path);
    snprintf(file->kind, sizeof file->kind, "%s", named ? head.kind : kind);
    file->version = named ? head.version : version;
    return LS_OK;
}

static LsStatus open_copy(LsSealed *file)
{
    file->disk->writable = true;
    hid_t access = ls_h5_access(file->disk);
    if (access >= 0)
        file->h5 = H5Fopen(file->temporary, H5F_ACC_RDWR, access);
    LsStatus status = file->h5 < 0 ? ls_sealed_fail(file, "open") : ls_sealed_check_form(file);
    if (access >= 0)
        H5Pclose(access);
    return status;
}

static LsStatus adopt(LsSealed *file, int from, const char *kind, int version)
{
    int64_t begin = 0, end = 0;
    LS_TRY(find_content(from, file->path, file->code, &begin, &end));
    LS_TRY(choose_kind(file, kind, version));
    file->temporary = ls_replace_name(file->path);
    if (!file->temporary)
        return LS_RESOURCE;
    file->disk->fd = ls_temporary_create(file->temporary);
    if (file->disk->fd < 0)
        return ls_fail_errno(file->code, errno, file->path, "create a file in its folder");
    LS_TRY(copy_content(file, from, begin, end));
    LS_TRY(open_copy(file));
    return ls_sealed_each(file, "", renew_checksum, file);
}

LsStatus ls_sealed_adopt(const char *path, const char *kind, int version, LsStatus code, LsSealed **adopted)
{
    ls_h5_quiet();
    *adopted = NULL;
    int from = ls_open_regular(path, code);
    if (from < 0)
        return ls_message_status();
    LsSealed *file = ls_sealed_blank(path, code);
    LsStatus status = file ? adopt(file, from, kind, version) : LS_RESOURCE;
    close(from);
    if (status == LS_OK)
        *adopted = file;
    else
        ls_sealed_discard(file);
    return status;
}
