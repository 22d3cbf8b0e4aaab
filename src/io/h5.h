/* The one door to HDF5: its error texts turned into our messages, and a file driver whose system calls are ours
 * (io/fault.h).
 *
 * The driver reads and writes a descriptor that the caller opened and keeps. It takes no file locks: a file is written
 * under a name of its own and never changed afterwards, so none is needed, and network file systems without locks work.
 * The first failing write is remembered in LsDisk.error; from then on writing does nothing and seems to succeed,
 * because HDF5 cannot be trusted to close a file whose writes fail. So look at `error` after H5Fclose, and before
 * believing that anything was written. HDF5 may take what it could not read for what is not there: `unread` tells the
 * two apart.
 */
#ifndef LS_IO_H5_H
#define LS_IO_H5_H

#include "lockstep/base.h"

#include <hdf5.h>

typedef struct LsDisk {
    int fd;
    bool writable;
    int error;       /* errno of the first write that failed, 0: none */
    int unread;      /* errno of the last read that failed; whoever asks about it sets it to 0 before */
    int64_t waiting; /* bytes since the system was last asked to begin writing them to the disk */
} LsDisk;

/* HDF5 prints nothing of its own in this thread from now on. Cheap; every entry calls it. */
void ls_h5_quiet(void);

/* ls_fail with "PATH: could not DOING" and HDF5's innermost reason, whose stack it clears. A failing file lock gets its
 * cure. */
LsStatus ls_h5_fail(LsStatus code, const char *path, const char *format, ...) LS_PRINTF(3, 4);

/* A file access list for `disk`, which must outlive every file opened with it; closes strongly. H5I_INVALID_HID on
 * failure. */
hid_t ls_h5_access(LsDisk *disk);

#endif
