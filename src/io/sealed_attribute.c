#include "io/sealed_internal.h"

#include <string.h>

static LsStatus set(LsSealed *file, const char *name, hid_t type, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file->h5, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0)
        good = H5Aclose(attribute) >= 0 && good;
    if (space >= 0)
        H5Sclose(space);
    return good && !file->disk->error ? LS_OK : ls_sealed_fail(file, "write the attribute %s", name);
}

static LsStatus get(LsSealed *file, const char *name, hid_t type, H5T_class_t class, void *value)
{
    file->disk->unread = 0;
    if (H5Aexists(file->h5, name) <= 0)
        return file->disk->unread ? ls_sealed_fail(file, "look for the attribute %s", name)
                                  : ls_fail(file->code, "%s: has no attribute %s", file->path, name);
    hid_t attribute = H5Aopen(file->h5, name, H5P_DEFAULT);
    hid_t stored = attribute < 0 ? H5I_INVALID_HID : H5Aget_type(attribute);
    hid_t space = attribute < 0 ? H5I_INVALID_HID : H5Aget_space(attribute);
    bool good = stored >= 0 && space >= 0 && H5Tget_class(stored) == class &&
                H5Sget_simple_extent_npoints(space) == 1 && (class != H5T_STRING || H5Tis_variable_str(stored) > 0) &&
                H5Aread(attribute, type, value) >= 0;
    if (space >= 0)
        H5Sclose(space);
    if (stored >= 0)
        H5Tclose(stored);
    if (attribute >= 0)
        H5Aclose(attribute);
    return good ? LS_OK : ls_sealed_fail(file, "read the attribute %s", name);
}

LsStatus ls_sealed_has(LsSealed *file, const char *name, bool *has)
{
    file->disk->unread = 0;
    htri_t exists = H5Aexists(file->h5, name);
    *has = exists > 0;
    return exists < 0 || file->disk->unread ? ls_sealed_fail(file, "look for the attribute %s", name) : LS_OK;
}

/* Texts of any length: kept in the file's heap, which has no limit of 64 KiB as attributes have. */
static hid_t text_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        return type;
    return H5I_INVALID_HID;
}

LsStatus ls_sealed_set_text(LsSealed *file, const char *name, const char *text)
{
    hid_t type = text_type();
    LsStatus status = set(file, name, type, &text);
    H5Tclose(type);
    return status;
}

LsStatus ls_sealed_get_text(LsSealed *file, const char *name, char **text)
{
    *text = NULL;
    hid_t type = text_type();
    char *stored = NULL;
    LsStatus status = get(file, name, type, H5T_STRING, &stored);
    H5Tclose(type);
    if (status != LS_OK)
        return status;
    *text = ls_strdup(stored ? stored : "");
    if (stored)
        H5free_memory(stored);
    return *text ? LS_OK : LS_RESOURCE;
}

LsStatus ls_sealed_set_int(LsSealed *file, const char *name, int64_t value)
{
    return set(file, name, H5T_STD_I64LE, &value);
}

LsStatus ls_sealed_get_int(LsSealed *file, const char *name, int64_t *value)
{
    return get(file, name, H5T_STD_I64LE, H5T_INTEGER, value);
}

LsStatus ls_sealed_set_double(LsSealed *file, const char *name, double value)
{
    return set(file, name, H5T_IEEE_F64LE, &value);
}

LsStatus ls_sealed_get_double(LsSealed *file, const char *name, double *value)
{
    return get(file, name, H5T_IEEE_F64LE, H5T_FLOAT, value);
}
