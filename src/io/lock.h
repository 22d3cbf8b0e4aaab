/* Lock files: one process writes to a run folder, or makes an output file, at a time.
 *
 * The lock is a small text file that names its owner (command, host, process, start of the process, boot of the
 * machine, SLURM job), and an open-file-description lock (fcntl) on it where the file system has them. While it is held
 * a thread touches the file every few seconds. Whether an owner lives is decided by the first of these that can tell:
 *
 *     the file is locked                                   it lives (another node too, where locks travel: NFS)
 *     this boot of this machine                            the process number and the time at which it began
 *     an earlier boot of this machine                      it is gone
 *     the same SLURM job, requeued since                   it is gone
 *     anything else (another host, no locks between them)  the file is watched: an owner that lives touches it
 *
 * So neither a kill nor a lost node leaves a lock that must be removed by hand, and a process number that was given
 * out again is not taken for the owner. Removing the file by hand gives the place free: its owner finds out by
 * ls_lock_check before it writes again.
 */
#ifndef LS_IO_LOCK_H
#define LS_IO_LOCK_H

#include "lockstep/base.h"

typedef struct LsLock LsLock;

typedef struct LsLockOwner {
    char command[32], host[256], boot[64], machine[64]; /* ids of the machine's boot and of the machine */
    char namespace[64];                                 /* in which pid counts */
    char job[64], since[32];                            /* SLURM's number, "" where there is none; UTC */
    long pid, restart;                                  /* restart: how often SLURM has requeued the job */
    unsigned long long started;                         /* clock ticks from the machine's start to the process's */
} LsLockOwner;

typedef enum LsLockState {
    LS_LOCK_FREE,   /* there is no lock */
    LS_LOCK_HELD,   /* its owner lives */
    LS_LOCK_STALE,  /* its owner is gone */
    LS_LOCK_UNKNOWN /* its owner is on another machine; only watching tells */
} LsLockState;

/* Makes the lock file `path`, which keeps others from `guarded` (for messages). A stale lock is taken over, and that is
 * said. LS_USAGE with the owner's name and the cure where somebody else holds it. Waits for LS_LOCK_SILENCE where the
 * owner can only be watched. *lock is NULL on failure. */
LsStatus ls_lock_take(const char *path, const char *guarded, const char *command, LsLock **lock) LS_MUST_USE;

/* LS_ERROR where the lock is no longer this process's: removed, with or without its folder, or taken over. */
LsStatus ls_lock_check(const LsLock *lock) LS_MUST_USE;

void ls_lock_release(LsLock *lock); /* removes the file where it is ours; NULL is allowed */

/* Who holds the lock, without changing anything. */
LsLockState ls_lock_look(const char *path, LsLockOwner *owner);

/* "lockstep train, process 1234 on node7, since 2026-11-29 22:48:12 UTC, SLURM job 77" */
#define LS_LOCK_TEXT 512
const char *ls_lock_owner_text(const LsLockOwner *owner, char text[LS_LOCK_TEXT]);

/* Seconds between two touches, and of silence after which an owner that can only be watched is given up. Tests set
 * others with ls_lock_timing. */
#define LS_LOCK_BEAT 10.0
#define LS_LOCK_SILENCE 45.0
void ls_lock_timing(double beat, double silence);

#endif
