#include "io/sealed_internal.h"

#include "io/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHECKSUM "xxh3-128"

hid_t ls_sealed_type(LsFileType type)
{
    switch (type) {
    case LS_FILE_FLOAT32:
        return H5T_IEEE_F32LE;
    case LS_FILE_UINT8:
        return H5T_STD_U8LE;
    case LS_FILE_UINT16:
        return H5T_STD_U16LE;
    case LS_FILE_INT32:
        return H5T_STD_I32LE;
    case LS_FILE_INT64:
        return H5T_STD_I64LE;
    case LS_FILE_UINT64:
        return H5T_STD_U64LE;
    }
    return H5I_INVALID_HID;
}

size_t ls_sealed_element_bytes(LsFileType type)
{
    static const size_t bytes[] = {[LS_FILE_FLOAT32] = 4, [LS_FILE_UINT8] = 1, [LS_FILE_UINT16] = 2,
                                   [LS_FILE_INT32] = 4,   [LS_FILE_INT64] = 8, [LS_FILE_UINT64] = 8};
    return bytes[type];
}

/* ---- Checksums: a text of fixed length at the array ------------------------------------------------------------ */

static hid_t checksum_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && H5Tset_size(type, LS_DIGEST_TEXT - 1) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        return type;
    return H5I_INVALID_HID;
}

bool ls_sealed_write_checksum(hid_t array, const char *digest)
{
    if (H5Aexists(array, CHECKSUM) > 0 && H5Adelete(array, CHECKSUM) < 0) /* an older one, of other content */
        return false;
    hid_t type = checksum_type(), space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(array, CHECKSUM, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool done = attribute >= 0 && H5Awrite(attribute, type, digest) >= 0;
    if (attribute >= 0)
        done = H5Aclose(attribute) >= 0 && done;
    H5Sclose(space);
    H5Tclose(type);
    return done;
}

static bool read_checksum(hid_t array, char digest[LS_DIGEST_TEXT])
{
    memset(digest, 0, LS_DIGEST_TEXT);
    hid_t type = checksum_type(), attribute = H5Aopen(array, CHECKSUM, H5P_DEFAULT);
    bool done = attribute >= 0 && H5Aread(attribute, type, digest) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Tclose(type);
    return done;
}

/* ---- Writing --------------------------------------------------------------------------------------------------- */

static hid_t make_space(int rank, const int64_t *dim)
{
    hsize_t size[H5S_MAX_RANK];
    if (rank == 0)
        return H5Screate(H5S_SCALAR);
    for (int i = 0; i < rank; i++)
        size[i] = (hsize_t)dim[i];
    return H5Screate_simple(rank, size, NULL);
}

hid_t ls_sealed_make_array(LsSealed *file, const char *name, LsFileType type, hid_t space, int64_t count, int64_t chunk)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE), creation = H5Pcreate(H5P_DATASET_CREATE), array = H5I_INVALID_HID;
    bool good = links >= 0 && creation >= 0 && H5Pset_create_intermediate_group(links, 1) >= 0 &&
                H5Pset_obj_track_times(creation, 0) >= 0 && /* the same content gives the same bytes */
                /* the unused end of the last chunk is written too: zeros, not what was in memory */
                H5Pset_fill_time(creation, chunk > 0 ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER) >= 0;
    if (good && chunk > 0 && count > 0)
        good = H5Pset_chunk(creation, 1, (hsize_t[]){(hsize_t)(chunk < count ? chunk : count)}) >= 0;
    if (good)
        array = H5Dcreate2(file->h5, name, ls_sealed_type(type), space, links, creation, H5P_DEFAULT);
    if (links >= 0)
        H5Pclose(links);
    if (creation >= 0)
        H5Pclose(creation);
    return array;
}

LsStatus ls_sealed_write(LsSealed *file, const char *name, LsFileType type, int rank, const int64_t *dim,
                         const void *data, int64_t chunk)
{
    char digest[LS_DIGEST_TEXT];
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dim[i];
    ls_digest_text(data, count * (int64_t)ls_sealed_element_bytes(type), digest);
    hid_t space = make_space(rank, dim);
    hid_t array = space < 0 ? H5I_INVALID_HID : ls_sealed_make_array(file, name, type, space, count, chunk);
    bool good = array >= 0;
    if (good && count > 0)
        good = H5Dwrite(array, ls_sealed_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    good = good && ls_sealed_write_checksum(array, digest);
    if (array >= 0)
        good = H5Dclose(array) >= 0 && good;
    if (space >= 0)
        H5Sclose(space);
    return good && !file->disk->error ? LS_OK : ls_sealed_fail(file, "write %s", name);
}

/* ---- Reading --------------------------------------------------------------------------------------------------- */

/* The array of this name; below 0 where there is none (of each group on the way first: HDF5 fails on a missing one),
 * and where the file could not be read, which disk->unread tells apart. */
static hid_t open_array(LsSealed *file, const char *name)
{
    char path[1024];
    file->disk->unread = 0;
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof path)
        return H5I_INVALID_HID;
    memcpy(path, name, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        if (H5Lexists(file->h5, path, H5P_DEFAULT) <= 0)
            return H5I_INVALID_HID;
        path[i] = name[i];
    }
    hid_t object = H5Oopen(file->h5, name, H5P_DEFAULT);
    if (object >= 0 && H5Iget_type(object) != H5I_DATASET) {
        H5Oclose(object);
        return H5I_INVALID_HID;
    }
    return object;
}

static bool get_type(hid_t array, LsFileType *type)
{
    hid_t stored = H5Dget_type(array);
    bool found = false;
    for (int i = LS_FILE_FLOAT32; i <= LS_FILE_UINT64 && !found; i++)
        if (stored >= 0 && H5Tequal(stored, ls_sealed_type((LsFileType)i)) > 0) {
            *type = (LsFileType)i;
            found = true;
        }
    if (stored >= 0)
        H5Tclose(stored);
    return found;
}

static int64_t get_count(hid_t array)
{
    hid_t space = H5Dget_space(array);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (space >= 0)
        H5Sclose(space);
    return (int64_t)count;
}

LsStatus ls_sealed_shape(LsSealed *file, const char *name, bool *exists, LsFileType *type, int *rank, int64_t *dim)
{
    hid_t array = open_array(file, name);
    *exists = array >= 0;
    if (array < 0)
        return file->disk->unread ? ls_sealed_fail(file, "look for %s", name) : LS_OK;
    LsStatus status = LS_OK;
    hsize_t size[H5S_MAX_RANK];
    hid_t space = H5Dget_space(array);
    int dims = space < 0 ? -1 : H5Sget_simple_extent_dims(space, size, NULL);
    if (dims < 0)
        status = ls_sealed_fail(file, "read the shape of %s", name);
    else if (dims > LS_SEALED_RANK)
        status = ls_fail(file->code, "%s: %s has %d dimensions, at most %d are read", file->path, name, dims,
                         LS_SEALED_RANK);
    else if (!get_type(array, type))
        status =
            ls_fail(file->code, "%s: %s has elements of a type that this program does not write", file->path, name);
    if (status == LS_OK)
        *rank = dims;
    for (int i = 0; status == LS_OK && i < dims; i++)
        dim[i] = (int64_t)size[i];
    if (space >= 0)
        H5Sclose(space);
    H5Dclose(array);
    return status;
}

/* Opens it and sees to its type. */
static hid_t open_typed(LsSealed *file, const char *name, LsFileType type)
{
    hid_t array = open_array(file, name);
    LsFileType stored = type;
    if (array < 0 && file->disk->unread) {
        ls_sealed_fail(file, "look for %s", name);
    } else if (array < 0) {
        ls_fail(file->code, "%s: has no array %s", file->path, name);
    } else if (!get_type(array, &stored) || stored != type) {
        ls_fail(file->code, "%s: %s has elements of another type than expected", file->path, name);
        H5Dclose(array);
        array = H5I_INVALID_HID;
    }
    return array;
}

LsStatus ls_sealed_read(LsSealed *file, const char *name, LsFileType type, int64_t count, void *data)
{
    hid_t array = open_typed(file, name, type);
    if (array < 0)
        return file->code;
    LsStatus status = LS_OK;
    char expected[LS_DIGEST_TEXT], digest[LS_DIGEST_TEXT];
    if (get_count(array) != count)
        status = ls_fail(file->code, "%s: %s has %lld elements where %lld were expected", file->path, name,
                         (long long)get_count(array), (long long)count);
    else if ((count > 0 && H5Dread(array, ls_sealed_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) ||
             !read_checksum(array, expected))
        status = ls_sealed_fail(file, "read %s", name);
    H5Dclose(array);
    if (status != LS_OK)
        return status;
    ls_digest_text(data, count * (int64_t)ls_sealed_element_bytes(type), digest);
    if (strcmp(digest, expected) != 0)
        return ls_fail(file->code, "%s: damaged: array %s differs from its checksum", file->path, name);
    return LS_OK;
}

LsStatus ls_sealed_read_part(LsSealed *file, const char *name, LsFileType type, int64_t first, int64_t count,
                             void *data)
{
    hid_t array = open_typed(file, name, type), space = H5I_INVALID_HID, memory = H5I_INVALID_HID;
    if (array < 0)
        return file->code;
    LsStatus status = LS_OK;
    if (first < 0 || count < 0 || first + count > get_count(array)) {
        status = ls_fail(file->code, "%s: elements %lld to %lld are asked of %s, which has %lld", file->path,
                         (long long)first, (long long)(first + count), name, (long long)get_count(array));
    } else if (count > 0) {
        hsize_t start = (hsize_t)first, size = (hsize_t)count;
        space = H5Dget_space(array);
        memory = H5Screate_simple(1, &size, NULL);
        if (space < 0 || memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &size, NULL) < 0 ||
            H5Dread(array, ls_sealed_type(type), memory, space, H5P_DEFAULT, data) < 0)
            status = ls_sealed_fail(file, "read a part of %s", name);
    }
    if (memory >= 0)
        H5Sclose(memory);
    if (space >= 0)
        H5Sclose(space);
    H5Dclose(array);
    return status;
}

LsStatus ls_sealed_each(LsSealed *file, const char *group, LsStatus (*visit)(void *self, const char *name), void *self)
{
    file->disk->unread = 0;
    hid_t object = H5Oopen(file->h5, group[0] ? group : "/", H5P_DEFAULT);
    H5G_info_t info;
    if (object < 0 || H5Gget_info(object, &info) < 0) {
        if (object >= 0)
            H5Oclose(object);
        return ls_sealed_fail(file, "list %s", group[0] ? group : "/");
    }
    LsStatus status = LS_OK;
    for (hsize_t i = 0; i < info.nlinks && status == LS_OK; i++) {
        char name[512], path[1024];
        ssize_t length = H5Lget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        hid_t child =
            length <= 0 || length >= (ssize_t)sizeof name ? H5I_INVALID_HID : H5Oopen(object, name, H5P_DEFAULT);
        if (child < 0) {
            status = ls_sealed_fail(file, "list %s", group);
            break;
        }
        H5I_type_t kind = H5Iget_type(child);
        H5Oclose(child);
        bool top = group[0] == '\0' || strcmp(group, "/") == 0;
        int used = snprintf(path, sizeof path, "%s%s%s", top ? "" : group, top ? "" : "/", name);
        if (used >= (int)sizeof path)
            status = ls_fail(file->code, "%s: names below %s are too long", file->path, group);
        else if (kind == H5I_GROUP)
            status = ls_sealed_each(file, path, visit, self);
        else if (kind == H5I_DATASET)
            status = visit(self, path);
    }
    H5Oclose(object);
    return status;
}

/* ---- Checking all ---------------------------------------------------------------------------------------------- */

typedef struct Extent {
    char *name;
    char expected[LS_DIGEST_TEXT];
    int64_t offset, bytes; /* offset -1: chunked */
    int outcome;           /* 0 good, 1 differs, else -1 */
    int error;
} Extent;

typedef struct Extents {
    LsSealed *file;
    Extent *list;
    int count, room;
} Extents;

static LsStatus add_extent(void *self, const char *name)
{
    Extents *all = self;
    if (all->count == all->room) {
        int room = all->room ? 2 * all->room : 256;
        Extent *grown = ls_alloc_array(room, sizeof *grown);
        if (!grown)
            return LS_RESOURCE;
        if (all->count)
            memcpy(grown, all->list, sizeof *grown * (size_t)all->count);
        ls_free(all->list);
        all->list = grown;
        all->room = room;
    }
    Extent *e = &all->list[all->count];
    hid_t array = open_array(all->file, name);
    LsFileType type = LS_FILE_UINT8;
    bool good = array >= 0 && get_type(array, &type) && read_checksum(array, e->expected);
    if (good) {
        haddr_t at = H5Dget_offset(array);
        e->bytes = get_count(array) * (int64_t)ls_sealed_element_bytes(type);
        e->offset = at == HADDR_UNDEF && e->bytes > 0 ? -1 : (int64_t)at;
        e->name = ls_strdup(name);
    }
    if (array >= 0)
        H5Dclose(array);
    if (!good)
        return ls_sealed_fail(all->file, "read the checksum of %s", name);
    if (!e->name)
        return LS_RESOURCE;
    all->count++;
    return LS_OK;
}

/* In pieces: a data set may be larger than the memory. */
static LsStatus check_chunked(LsSealed *file, const Extent *e)
{
    const int64_t piece = (int64_t)8 << 20; /* bytes; a whole number of chunks */
    LsFileType type = LS_FILE_UINT8;
    bool exists = false;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK];
    char digest[LS_DIGEST_TEXT];
    LS_TRY(ls_sealed_shape(file, e->name, &exists, &type, &rank, dim));
    if (rank != 1)
        return ls_fail(file->code, "%s: %s is in chunks, but not of one dimension", file->path, e->name);
    void *data = ls_alloc((size_t)piece);
    XXH3_state_t *state = XXH3_createState();
    LsStatus status = data && state ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for checking %s", e->name);
    if (state)
        XXH3_128bits_reset(state);
    int64_t size = (int64_t)ls_sealed_element_bytes(type);
    for (int64_t at = 0; status == LS_OK && at < dim[0]; at += piece / size) {
        int64_t count = dim[0] - at < piece / size ? dim[0] - at : piece / size;
        status = ls_sealed_read_part(file, e->name, type, at, count, data);
        if (status == LS_OK)
            XXH3_128bits_update(state, data, (size_t)(count * size));
    }
    if (status == LS_OK) {
        ls_digest_format(XXH3_128bits_digest(state), digest);
        if (strcmp(digest, e->expected) != 0)
            status = ls_fail(file->code, "%s: damaged: array %s differs from its checksum", file->path, e->name);
    }
    XXH3_freeState(state);
    ls_free(data);
    return status;
}

LsStatus ls_sealed_check_arrays(LsSealed *file)
{
    Extents all = {.file = file};
    LsStatus status = ls_sealed_each(file, "", add_extent, &all);
    if (status == LS_OK) {
#pragma omp parallel for schedule(dynamic, 1)
        for (int i = 0; i < all.count; i++) {
            Extent *e = &all.list[i];
            char digest[LS_DIGEST_TEXT];
            if (e->offset < 0)
                continue;
            e->outcome = ls_digest_file(file->disk->fd, e->offset, e->bytes, digest);
            e->error = errno;
            if (e->outcome == 0)
                e->outcome = strcmp(digest, e->expected) != 0;
        }
    }
    for (int i = 0; i < all.count && status == LS_OK; i++) {
        const Extent *e = &all.list[i];
        if (e->offset < 0)
            status = check_chunked(file, e);
        else if (e->outcome == 1)
            status = ls_fail(file->code, "%s: damaged: array %s differs from its checksum", file->path, e->name);
        else if (e->outcome != 0)
            status = ls_fail_errno(file->code, e->error, file->path, "read");
    }
    for (int i = 0; i < all.count; i++)
        ls_free(all.list[i].name);
    ls_free(all.list);
    return status;
}
