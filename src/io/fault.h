/* The system calls that change files, in one place, so that tests can make the n-th one fail.
 *
 * Each function is the system call of its name: -1 and errno on failure. ls_sys_write_all loops over short writes.
 *
 * For tests only: ls_fault_arm in a test's own process, or in the environment of the program LOCKSTEP_FAULT=KIND:N,
 * where KIND is one of
 *     full    from the N-th call on, whatever needs space fails with ENOSPC
 *     error   the N-th call fails with EIO, later ones work
 *     short   the N-th call, if it writes, writes only half of what it was asked to (not an error: callers must go on)
 *     kill    the process kills itself (SIGKILL) instead of the N-th call
 *     read    the N-th reading call fails with EIO, later ones work; these are counted apart from the others
 *     stop    the process stops itself (SIGSTOP) before the N-th call, and goes on when it is told to (SIGCONT)
 * Calls are counted from 1 over the whole process. A LOCKSTEP_FAULT that is not of this form ends the process with a
 * message.
 */
#ifndef LS_IO_FAULT_H
#define LS_IO_FAULT_H

#include "lockstep/base.h"

#include <sys/types.h>

typedef enum LsFault {
    LS_FAULT_NONE,
    LS_FAULT_FULL,
    LS_FAULT_ERROR,
    LS_FAULT_SHORT,
    LS_FAULT_KILL,
    LS_FAULT_READ,
    LS_FAULT_STOP
} LsFault;

/* Starts counting anew; LS_FAULT_NONE only counts. */
void ls_fault_arm(LsFault kind, int64_t call);

/* Calls since the process began or ls_fault_arm. */
int64_t ls_fault_calls(void);

int ls_sys_create(const char *path);     /* opens for reading and writing, made anew if it is there */
int ls_sys_create_new(const char *path); /* the same, EEXIST if it is there */
ssize_t ls_sys_pwrite(int fd, const void *bytes, size_t count, int64_t offset);
int ls_sys_truncate(int fd, int64_t size);
int ls_sys_sync(int fd);
void ls_sys_start_sync(int fd); /* asks the system to begin, does not wait; never fails, and is not counted */
int ls_sys_close(int fd);       /* of a file that was written: file systems over a network report a full disk here */
int ls_sys_rename(const char *from, const char *to);
int ls_sys_make_folder(const char *path);

/* All of it, or -1. */
int ls_sys_write_all(int fd, const void *bytes, int64_t count, int64_t offset);

/* All of it, or -1; errno is 0 where the file ends before. One reading call. */
int ls_sys_read_all(int fd, void *bytes, int64_t count, int64_t offset);

/* ls_fail with the reason of an errno: LS_RESOURCE and a cure for a full disk or too little memory, `code` for
 * everything else. */
LsStatus ls_fail_errno(LsStatus code, int error, const char *path, const char *doing);

/* The same of a place that is to be written to: LS_USAGE where what is wrong is the name that was given, or that this
 * user may not write there. */
LsStatus ls_fail_place(int error, const char *path, const char *doing);

#endif
