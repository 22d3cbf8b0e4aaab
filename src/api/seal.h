/* Checks a file as the reader of its kind would. */
#ifndef LS_API_SEAL_H
#define LS_API_SEAL_H

#include "io/sealed.h"

/* A check of ls_sealed_commit_checked: `kind`, a const char *, as the file was sealed. */
LsStatus ls_seal_check(void *kind, const char *path) LS_MUST_USE;

/* LS_CHECKPOINT for checkpoints, else LS_DATA; LS_USAGE where nothing reads files of the kind. kind NULL: by the block
 * in front of `path`. */
LsStatus ls_seal_code(const char *path, const char *kind, LsStatus *code) LS_MUST_USE;

#endif
