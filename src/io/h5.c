#include "io/h5.h"

#include "io/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

/* ---- Errors ------------------------------------------------------------------------------------------------- */

void ls_h5_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

typedef struct Reason {
    char text[256]; /* innermost */
    bool lock, memory;
} Reason;

static herr_t collect_reason(unsigned n, const H5E_error2_t *error, void *self)
{
    (void)n;
    Reason *reason = self;
    if (!reason->text[0] && error->desc)
        snprintf(reason->text, sizeof reason->text, "%s", error->desc);
    reason->memory = reason->memory || (error->maj_num == H5E_RESOURCE &&
                                        (error->min_num == H5E_NOSPACE || error->min_num == H5E_CANTALLOC));
    reason->lock = reason->lock || (error->desc && strstr(error->desc, "lock file"));
    return 0;
}

LsStatus ls_h5_fail(LsStatus code, const char *path, const char *format, ...)
{
    char doing[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(doing, sizeof doing, format, arguments);
    va_end(arguments);
    Reason reason = {.lock = false};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect_reason, &reason);
    H5Eclear2(H5E_DEFAULT);
    if (reason.memory) /* says nothing of the file */
        return ls_fail_errno(code, ENOMEM, path, doing);
    return ls_fail(
        code, "%s: could not %s: %s%s", path, doing, reason.text[0] ? reason.text : "HDF5 gives no reason",
        reason.lock ? "; where the file system has no locks, set HDF5_USE_FILE_LOCKING=FALSE in the environment" : "");
}

/* Asking the system to begin writing to the disk each time so much has gathered overlaps that with our own work; left
 * to itself it begins when a tenth of the memory is dirty, and the sync at the end then waits for all of it. */
#define EAGER_BYTES (INT64_C(32) << 20)

/* ---- Driver ------------------------------------------------------------------------------------------------- */

typedef struct DiskInfo {
    LsDisk *disk;
} DiskInfo;

typedef struct DiskFile {
    H5FD_t base; /* HDF5's part comes first */
    LsDisk *disk;
    haddr_t eoa, eof;
} DiskFile;

static H5FD_t *disk_open(const char *name, unsigned flags, hid_t access, haddr_t most)
{
    (void)name, (void)flags, (void)most;
    const DiskInfo *info = H5Pget_driver_info(access);
    struct stat st;
    if (!info || fstat(info->disk->fd, &st) != 0)
        return NULL;
    DiskFile *file = calloc(1, sizeof *file);
    if (!file) {
        info->disk->error = ENOMEM;
        return NULL;
    }
    file->disk = info->disk;
    file->eof = (haddr_t)st.st_size;
    return &file->base;
}

static herr_t disk_close(H5FD_t *base)
{
    free(base); /* the descriptor is the caller's */
    return 0;
}

static herr_t disk_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t disk_get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const DiskFile *)base)->eoa;
}

static herr_t disk_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t eoa)
{
    (void)type;
    ((DiskFile *)base)->eoa = eoa;
    return 0;
}

static haddr_t disk_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const DiskFile *)base)->eof;
}

static herr_t disk_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t count, void *bytes)
{
    (void)type, (void)transfer;
    DiskFile *file = (DiskFile *)base;
    /* what lies beyond the end of the file is zero, as with HDF5's own drivers */
    haddr_t there = at < file->eof ? file->eof - at : 0;
    size_t have = count < there ? count : (size_t)there;
    memset((char *)bytes + have, 0, count - have);
    if (ls_sys_read_all(file->disk->fd, bytes, (int64_t)have, (int64_t)at) == 0)
        return 0;
    file->disk->unread = errno ? errno : ENODATA;
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_IO, H5E_READERROR, "%s",
             errno ? strerror(errno) : "end of file");
    return -1;
}

static herr_t disk_write(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t count, const void *bytes)
{
    (void)type, (void)transfer;
    DiskFile *file = (DiskFile *)base;
    LsDisk *disk = file->disk;
    if (!disk->writable && !disk->error)
        disk->error = EROFS;
    if (!disk->error && ls_sys_write_all(disk->fd, bytes, (int64_t)count, (int64_t)at) != 0)
        disk->error = errno;
    disk->waiting += (int64_t)count;
    if (disk->waiting >= EAGER_BYTES && !disk->error) {
        ls_sys_start_sync(disk->fd);
        disk->waiting = 0;
    }
    if (at + count > file->eof)
        file->eof = at + count;
    return 0;
}

static herr_t disk_truncate(H5FD_t *base, hid_t transfer, hbool_t closing)
{
    (void)transfer, (void)closing;
    DiskFile *file = (DiskFile *)base;
    LsDisk *disk = file->disk;
    if (!disk->writable || file->eoa == file->eof)
        return 0;
    if (!disk->error && ls_sys_truncate(disk->fd, (int64_t)file->eoa) != 0)
        disk->error = errno;
    file->eof = file->eoa;
    return 0;
}

static const H5FD_class_t disk_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)517, /* any number above those of HDF5's own drivers */
#endif
    .name = "lockstep",
    .maxaddr = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(DiskInfo),
    .open = disk_open,
    .close = disk_close,
    .query = disk_query,
    .get_eoa = disk_get_eoa,
    .set_eoa = disk_set_eoa,
    .get_eof = disk_get_eof,
    .read = disk_read,
    .write = disk_write,
    .truncate = disk_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t ls_h5_access(LsDisk *disk)
{
    static hid_t driver = H5I_INVALID_HID;
    if (driver < 0)
        driver = H5FDregister(&disk_class);
    hid_t access = driver < 0 ? H5I_INVALID_HID : H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0)
        return H5I_INVALID_HID;
    if (H5Pset_driver(access, driver, &(DiskInfo){disk}) < 0 || H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0) {
        H5Pclose(access);
        return H5I_INVALID_HID;
    }
    return access;
}
