/* The objects that a sealed file may consist of. Its digest tells damage, not intent: anybody can compute one. HDF5
 * would follow links into other files, read arrays from any file of the machine, unfold a few bytes into terabytes.
 * Nothing of that kind is ever written here, so a file that has it was not written by this program, and is refused
 * before any of its content is read. */
#include "io/sealed_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { DEEPEST = 8, LEAST_BYTES = 16 /* of the file that any group or array takes at least */ };

typedef struct Form {
    LsSealed *file;
    int64_t bytes;   /* of the file */
    int64_t objects; /* so far */
} Form;

/* An object that could not be read may look as if it were not there. */
static LsStatus refuse(const Form *form, const char *name, const char *why)
{
    if (form->file->disk->unread)
        return ls_sealed_fail(form->file, "read the form of %s", name);
    return ls_fail(form->file->code, "%s: %s %s: this program did not write it", form->file->path, name, why);
}

/* Why an array's storage is none that this program makes, or NULL. */
static const char *foreign_storage(hid_t creation)
{
    H5D_layout_t layout = creation < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(creation);
    if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)
        return "lies in other files or arrays";
    if (H5Pget_external_count(creation) != 0)
        return "lies in another file";
    return H5Pget_nfilters(creation) != 0 ? "is filtered (compressed)" : NULL;
}

static LsStatus check_array(const Form *form, const char *name, hid_t array)
{
    hid_t creation = H5Dget_create_plist(array), space = H5Dget_space(array), type = H5Dget_type(array);
    const char *why = foreign_storage(creation);
    hsize_t size[H5S_MAX_RANK];
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, size, NULL);
    int64_t bytes = type < 0 ? 0 : (int64_t)H5Tget_size(type), stored = (int64_t)H5Dget_storage_size(array);
    bool fits = rank >= 0 && bytes > 0 && bytes <= 8;
    for (int i = 0; i < rank && fits; i++)
        fits = size[i] <= (hsize_t)form->bytes && !__builtin_mul_overflow(bytes, (int64_t)size[i], &bytes);
    if (!why && (!fits || bytes > form->bytes || stored > form->bytes))
        why = "is said to be larger than the file";
    if (!why && stored < bytes)
        why = "is not there as a whole";
    if (creation >= 0)
        H5Pclose(creation);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return why ? refuse(form, name, why) : LS_OK;
}

static LsStatus check_group(Form *form, const char *path, hid_t group, int depth);

/* One link of a group. path: of what it leads to. */
static LsStatus check_link(Form *form, const char *path, hid_t group, const char *name, int depth)
{
    H5L_info_t link;
    if (H5Lget_info(group, name, &link, H5P_DEFAULT) < 0)
        return ls_sealed_fail(form->file, "look at %s", path);
    if (link.type != H5L_TYPE_HARD)
        return refuse(form, path, "is a link to something else");
    if (++form->objects > form->bytes / LEAST_BYTES)
        return refuse(form, path, "is one of more names than the file has objects");
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0)
        return ls_sealed_fail(form->file, "open %s", path);
    H5I_type_t kind = H5Iget_type(object);
    LsStatus status = kind == H5I_DATASET                     ? check_array(form, path, object)
                      : kind != H5I_GROUP || depth == DEEPEST ? refuse(form, path, "is neither a group nor an array")
                                                              : check_group(form, path, object, depth + 1);
    H5Oclose(object);
    return status;
}

static LsStatus check_group(Form *form, const char *path, hid_t group, int depth)
{
    H5G_info_t info;
    if (H5Gget_info(group, &info) < 0)
        return ls_sealed_fail(form->file, "list %s", path);
    LsStatus status = LS_OK;
    for (hsize_t i = 0; i < info.nlinks && status == LS_OK; i++) {
        char name[512], below[1024];
        ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        if (length <= 0)
            status = ls_sealed_fail(form->file, "list %s", path);
        else if (length >= (ssize_t)sizeof name ||
                 snprintf(below, sizeof below, "%s/%s", path, name) >= (int)sizeof below)
            status = refuse(form, path, "has names that are too long");
        else
            status = check_link(form, below, group, name, depth);
    }
    return status;
}

LsStatus ls_sealed_check_form(LsSealed *file)
{
    struct stat st;
    if (fstat(file->disk->fd, &st) != 0)
        return ls_sealed_fail(file, "ask for its size");
    Form form = {.file = file, .bytes = st.st_size};
    file->disk->unread = 0;
    hid_t root = H5Gopen2(file->h5, "/", H5P_DEFAULT);
    if (root < 0)
        return ls_sealed_fail(file, "open");
    LsStatus status = check_group(&form, "", root, 0);
    H5Gclose(root);
    return status;
}
