/* Compressed files and archives, by their first bytes: gzip, xz, zstd, bzip2, tar, zip, and these in one another. */
#ifndef LS_DATA_UNPACK_H
#define LS_DATA_UNPACK_H

#include "data/tokenizer.h"
#include "io/spool.h"

/* "gzip", "xz", "tar", ...; NULL: none of these. */
const char *ls_packed_kind(const char *bytes, int64_t count);

/* Who takes what is unpacked. */
typedef struct LsUnpacked {
    /* Whether a file of an archive, by its name there, is wanted. */
    bool (*wanted)(void *self, const char *name);
    /* A file: its name ("packed" or "packed: inside"), the taker's to free, and its text, which stays as long as its
     * region does. */
    LsStatus (*take)(void *self, char *name, const char *text, int64_t bytes);
    /* A region (ls_spool_map), the taker's to unmap; before the files in it. */
    LsStatus (*region)(void *self, const char *text, int64_t bytes);
    const char *folder; /* of ls_spool_new */
    void *self;
} LsUnpacked;

/* LS_DATA, with the file's name, where it is cut short or damaged: files before that may have been taken. */
LsStatus ls_unpack(const LsCorpusPart *packed, const LsUnpacked *to) LS_MUST_USE;

#endif
