/* An LsSealed itself: what sealed.c (the file) and sealed_array.c (what is in it) stand on. */
#include "io/sealed_internal.h"

#include "io/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

LsSealed *ls_sealed_blank(const char *path, LsStatus code)
{
    LsSealed *file = ls_alloc(sizeof *file);
    if (!file)
        return NULL;
    file->h5 = H5I_INVALID_HID;
    file->code = code;
    file->path = ls_strdup(path);
    file->disk = ls_alloc(sizeof *file->disk);
    if (file->disk)
        file->disk->fd = -1;
    if (file->path && file->disk)
        return file;
    ls_sealed_close(file);
    return NULL;
}

bool ls_sealed_close_h5(LsSealed *file)
{
    herr_t closed = file->h5 < 0 ? 0 : H5Fclose(file->h5);
    file->h5 = H5I_INVALID_HID;
    return closed >= 0;
}

void ls_sealed_free(LsSealed *file, bool h5_done)
{
    if (file->disk && file->disk->fd >= 0)
        close(file->disk->fd);
    if (file->disk && !h5_done) /* HDF5 may come back to it when the process ends: then nothing must be written */
        *file->disk = (LsDisk){.fd = -1, .error = EBADF};
    else
        ls_free(file->disk);
    ls_free(file->path);
    ls_free(file->temporary);
    ls_free(file);
}

LsStatus ls_sealed_fail(LsSealed *file, const char *format, ...)
{
    file->failed = true;
    char doing[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(doing, sizeof doing, format, arguments);
    va_end(arguments);
    if (file->disk->error) {
        H5Eclear2(H5E_DEFAULT);
        return ls_fail_errno(file->code, file->disk->error, file->path, doing);
    }
    if (file->disk->unread) {
        H5Eclear2(H5E_DEFAULT);
        return ls_fail_errno(file->code, file->disk->unread, file->path, doing);
    }
    return ls_h5_fail(file->code, file->path, "%s", doing);
}

void ls_sealed_close(LsSealed *file)
{
    if (!file)
        return;
    bool h5_done = ls_sealed_close_h5(file);
    H5Eclear2(H5E_DEFAULT);
    ls_sealed_free(file, h5_done);
}

hid_t ls_sealed_h5(const LsSealed *file) { return file->h5; }
const char *ls_sealed_kind(const LsSealed *file) { return file->kind; }
int ls_sealed_version(const LsSealed *file) { return file->version; }
const char *ls_sealed_path(const LsSealed *file) { return file->path; }
