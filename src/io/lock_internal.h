/* Between lock.c and lock_owner.c. */
#ifndef LS_IO_LOCK_INTERNAL_H
#define LS_IO_LOCK_INTERNAL_H

#include "io/lock.h"

#define LS_LOCK_BYTES 2048 /* more than any lock file has */

typedef enum LsLockText {
    LS_LOCK_EMPTY /* its owner was killed before it wrote */,
    LS_LOCK_FOREIGN,
    LS_LOCK_OWNED
} LsLockText;
typedef enum LsFileLock { LS_FILE_LOCKED, LS_FILE_UNLOCKED, LS_FILE_NO_LOCKS } LsFileLock;

void ls_lock_describe_self(const char *command, LsLockOwner *owner);
int ls_lock_write(const LsLockOwner *owner, char text[LS_LOCK_BYTES]); /* the file's text; its length */
LsLockText ls_lock_read(int fd, LsLockOwner *owner);
LsLockState ls_lock_judge(const LsLockOwner *owner, LsLockText content, LsFileLock lock);

#endif
