/* Files that are never half-written.
 *
 * ls_replace_* follow the safe replace: write NAME.tmp-PID-N in the same folder, flush, fsync, verify, rename, fsync
 * the folder. All writing goes through a small layer of calls (io/fault.h) that tests can make fail at the n-th one
 * (full disk, input-output error).
 */
#ifndef LS_IO_FILE_H
#define LS_IO_FILE_H

#include "lockstep/base.h"

#include <stdio.h>

/* Opens a file for reading; a folder, a pipe or a device is refused before a byte is read, and never waited for. -1
 * with a message of status `code`. */
int ls_open_regular(const char *path, LsStatus code);
FILE *ls_stream_regular(const char *path, LsStatus code); /* the same for stdio: NULL with a message */

/* Reads a whole file (ls_open_regular). *bytes gets a terminating NUL after its *count bytes; the caller frees it.
 * `code` is the status of a failure. */
LsStatus ls_file_read(const char *path, LsStatus code, char **bytes, int64_t *count) LS_MUST_USE;

/* The same of a file or a pipe, "<(program)", which is waited for: a text that a user names and one rank reads once. A
 * pipe has 256 MiB at most. */
LsStatus ls_input_read(const char *path, LsStatus code, char **bytes, int64_t *count) LS_MUST_USE;

/* The same from an open descriptor, to its end: for input that may be a pipe. */
LsStatus ls_descriptor_read(int fd, const char *path, LsStatus code, char **bytes, int64_t *count) LS_MUST_USE;

/* Writes a whole file by the safe replace. */
LsStatus ls_file_replace(const char *path, const void *bytes, int64_t count) LS_MUST_USE;

/* The same of a file that `write` writes; a failure of it, whose message names path, is passed on. */
LsStatus ls_file_replace_by(const char *path, LsStatus (*write)(void *self, int fd, const char *path),
                            void *self) LS_MUST_USE;

/* The name to write to before ls_replace_finish: PATH.tmp-PID-N in the same folder, free of clashes. The caller frees
 * it. */
char *ls_replace_name(const char *path);

/* Whether a file's name is one that ls_replace_name gives: what is left of it was left by a process that was killed. */
bool ls_replace_is_temporary(const char *name);

/* Removes temporary files in `folder` of files whose names match one of the patterns (fnmatch, ended by NULL). For
 * those alone who hold the lock of what is written there: their writers are gone then. What cannot be removed is a
 * warning. */
void ls_remove_temporaries(const char *folder, const char *const *patterns);
char *ls_pattern_of(const char *name); /* the pattern that this name alone matches; the caller frees it */

/* fsyncs the finished temporary file, renames it to path, fsyncs the folder. On failure the temporary file is removed,
 * an older file at path is whole. A full disk is LS_RESOURCE. */
LsStatus ls_replace_finish(const char *temporary, const char *path) LS_MUST_USE;

LsStatus ls_make_folders(const char *path) LS_MUST_USE; /* like mkdir -p */
bool ls_file_exists(const char *path);
/* Bytes of a path without slashes at its end. */
size_t ls_path_length(const char *path);
bool ls_file_exists_in(const char *folder, const char *name);
int64_t ls_free_bytes(const char *path); /* free to this user on the file system that holds path; -1 unknown */

#endif
