/* Status codes and error messages.
 *
 * Every function that can fail returns an LsStatus (or NULL) and leaves one message, which says what went
 * wrong, where (file, line, tensor, rank) and what to do. The codes are the exit statuses of the program.
 *
 *     LsStatus ls_open_thing(const char *path)
 *     {
 *         if (access(path, R_OK) != 0)
 *             return ls_fail(LS_DATA, "%s: %s; prepare it with 'lockstep prepare'", path, strerror(errno));
 *         return LS_OK;
 *     }
 */
#ifndef LOCKSTEP_STATUS_H
#define LOCKSTEP_STATUS_H

typedef enum LsStatus {
    LS_OK = 0,
    LS_ERROR = 1,      /* anything without a code of its own, defects of this program included */
    LS_USAGE = 2,      /* command line or configuration */
    LS_DATA = 3,       /* data set, tokenizer or input file */
    LS_CHECKPOINT = 4, /* checkpoint missing, damaged, or not of this model */
    LS_DIVERGED = 5,   /* a loss or gradient is not finite */
    LS_LAUNCH = 6,     /* MPI, SLURM, or the shape of the launch */
    LS_RESOURCE = 7,   /* out of disk or memory */
    LS_STOPPED = 75    /* stopped on a signal after saving: run me again */
} LsStatus;

#define LS_MUST_USE __attribute__((warn_unused_result))
#define LS_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Replaces this thread's message and returns `status`, so that `return ls_fail(...)` is the idiom.
 * Not collective. The message is cut at 16 KiB. */
LsStatus ls_fail(LsStatus status, const char *format, ...) LS_PRINTF(2, 3);

/* Puts "<context>: " before this thread's message and returns `status`, or LS_RESOURCE where the message has that; for
 * callers that know the where of an error that a callee reported. */
LsStatus ls_fail_in(LsStatus status, const char *format, ...) LS_PRINTF(2, 3);

/* This thread's message, "" if there is none. Owned by the library; valid until the thread's next failure. */
const char *ls_message(void);

/* The status that this thread's message came with, LS_ERROR if there is none: for callers of functions that return
 * NULL, so that `return ls_message_status();` never reads as success. */
LsStatus ls_message_status(void);

/* Forgets this thread's message, after an error that was dealt with. */
void ls_clear_message(void);

/* Returns from the calling function with the status of `call` unless it is LS_OK. */
#define LS_TRY(call)                                                                                                   \
    do {                                                                                                               \
        LsStatus ls_try_status_ = (call);                                                                              \
        if (ls_try_status_ != LS_OK)                                                                                   \
            return ls_try_status_;                                                                                     \
    } while (0)

/* Stores the status of `call` in the local variable `status` and goes to the label `cleanup` unless it is LS_OK. */
#define LS_TRY_CLEANUP(call)                                                                                           \
    do {                                                                                                               \
        status = (call);                                                                                               \
        if (status != LS_OK)                                                                                           \
            goto cleanup;                                                                                              \
    } while (0)

#endif
