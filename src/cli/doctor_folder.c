#include "cli/doctor.h"
#include "io/file.h"
#include "io/sealed.h"
#include "io/temporary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBE_BYTES (4 << 20)

/* Seconds to write and fsync a few MiB in the folder; below 0 with errno where that fails. */
static double fsync_seconds(const char *folder)
{
    char *path = ls_format("%s/.doctor-%ld", folder, (long)getpid()), *bytes = ls_alloc(PROBE_BYTES);
    int file = path && bytes ? ls_temporary_create(path) : -1, error = errno;
    double seconds = -1;
    if (file >= 0) {
        double start = ls_seconds();
        ssize_t written = write(file, bytes, PROBE_BYTES);
        if (written == PROBE_BYTES && fsync(file) == 0)
            seconds = ls_seconds() - start;
        error = written >= 0 && written < PROBE_BYTES ? ENOSPC : errno;
        close(file);
        ls_temporary_remove(path);
    }
    ls_free(path);
    ls_free(bytes);
    errno = error;
    return seconds;
}

/* Writes a small sealed file and opens it again, as a checkpoint is. */
static LsStatus probe_hdf5(const char *folder)
{
    char *path = ls_format("%s/.doctor-%ld.h5", folder, (long)getpid());
    if (!path)
        return LS_RESOURCE;
    const int64_t dim[1] = {4};
    ls_temporary_note(path);
    LsSealed *file = ls_sealed_create(path, "probe", 1, LS_ERROR);
    LsStatus status = file ? ls_sealed_write(file, "x", LS_FILE_FLOAT32, 1, dim, (float[4]){1, 2, 3, 4}, 0) : LS_ERROR;
    if (file && status == LS_OK) {
        status = ls_sealed_commit(file);
        file = NULL;
    }
    if (file)
        ls_sealed_discard(file);
    if (status == LS_OK) {
        float x[4] = {0};
        file = ls_sealed_open(path, "probe", LS_ERROR, NULL);
        status = file ? ls_sealed_read(file, "x", LS_FILE_FLOAT32, 4, x) : LS_ERROR;
        if (status == LS_OK && x[3] != 4)
            status = ls_fail(LS_ERROR, "%s: read back other values than were written", path);
        if (file)
            ls_sealed_close(file);
    }
    ls_temporary_remove(path);
    ls_free(path);
    return status;
}

static void check_space(LsReport *report, const char *path)
{
    int64_t bytes = ls_free_bytes(path);
    if (bytes < 0)
        ls_report(report, LS_WARNING, "disk", "check with df", "%s: free space is not known", path);
    else if (bytes < 1000000000)
        ls_report(report, LS_WARNING, "disk", "free some, or set output.path to another disk", "%s: %.2f GB free", path,
                  1e-9 * (double)bytes);
    else
        ls_report(report, LS_FINE, "disk", NULL, "%s: %.1f GB free", path, 1e-9 * (double)bytes);
}

void ls_doctor_folder(LsReport *report, const char *path)
{
    if (!ls_file_exists(path)) {
        ls_report(report, LS_FAILURE, "run folder", "make it, or name one that exists", "%s: %s", path,
                  strerror(ENOENT));
        return;
    }
    double seconds = fsync_seconds(path);
    if (seconds < 0) {
        ls_report(report, LS_FAILURE, "run folder", "name a folder that this user may write to", "%s: %s", path,
                  strerror(errno));
        return;
    }
    check_space(report, path);
    if (seconds > 2)
        ls_report(report, LS_WARNING, "fsync",
                  "save less often (output.save_every), or set output.path to a faster disk",
                  "%d MiB take %.1f s: each checkpoint waits that long, and longer", PROBE_BYTES >> 20, seconds);
    else
        ls_report(report, LS_FINE, "fsync", NULL, "%d MiB in %.3f s", PROBE_BYTES >> 20, seconds);
    if (probe_hdf5(path) != LS_OK)
        ls_report(report, LS_FAILURE, "HDF5",
                  "export HDF5_USE_FILE_LOCKING=FALSE: some network file systems refuse locks", "%s", ls_message());
    else
        ls_report(report, LS_FINE, "HDF5", NULL, "a file was written, locked, verified and read back");
}
