/* The texts that `prepare text` and `eval --input` read: files, folders, archives, members of JSON lines. */
#ifndef LS_DATA_TEXT_CORPUS_H
#define LS_DATA_TEXT_CORPUS_H

#include "data/seen.h"
#include "data/texts.h"

typedef struct LsCorpusOptions {
    /* sources that are not named *.txt are JSON lines, and this member of each object is a text of its own; NULL: all
     * are text */
    const char *field;
    bool as_is;         /* the bytes of files as they stand: nothing is unpacked, taken away or converted */
    bool skip_bad;      /* files and records that cannot be read are passed over and counted */
    bool utf8;          /* among them those that are no UTF-8 */
    const char *folder; /* for what is unpacked and converted (ls_spool_new) */
} LsCorpusOptions;

/* What stands in memory for a corpus. */
typedef struct LsRegion {
    const char *text;
    int64_t bytes;
    bool spooled;
} LsRegion;

/* A kind of file that is read as plain text though it looks like something else. */
typedef struct LsLooksLike {
    const char *kind, *cure;
    const char *first; /* a file's name */
    int files;
} LsLooksLike;
#define LS_LOOKS 8

typedef struct LsCorpus {
    const LsCorpusOptions *options;
    LsRegion *region;
    int regions, region_room;
    char **file; /* names of what was read: of each file of an archive too */
    int files, file_room;
    LsCorpusPart *part; /* the texts: documents, in order; name: of their file */
    int *file_of;       /* (parts) index of their file */
    int parts, part_room;
    /* files: of folders and archives, that have another ending; among them *.jsonl; unpacked; that begin
     * with a byte order mark; whose lines end in CR LF. bad: files and records */
    int64_t passed, others, packed, marks, returns, bad;
    char first_bad[256]; /* why the first of them was */
    bool hinted;         /* the message of a failure names --skip-bad */
    LsLooksLike looks[LS_LOOKS];
    LsSeen seen; /* files of folders too, not those in archives */
} LsCorpus;

/* Reads the sources in their order; "-" is standard input. Of a folder all files below it, and of an archive all in it,
 * whose names end in .txt (with a field: in .jsonl too), compressed or not; those of a folder in order of their names.
 * gzip, xz, zstd, bzip2, tar and zip are unpacked. A byte order mark at a file's beginning is taken away, and CR LF
 * becomes LF in files in which every line ends so. LS_DATA with file and line. */
LsStatus ls_corpus_read(LsCorpus *corpus, int sources, char *const *source, const LsCorpusOptions *options) LS_MUST_USE;
void ls_corpus_free(LsCorpus *corpus);

/* What was read, on one line: "312 files (3 unpacked), 2 with a byte order mark, ..."; the caller frees it. And
 * warnings of files that look like something else, and of those that are read twice. */
char *ls_corpus_report(const LsCorpus *corpus);
void ls_corpus_warn(LsCorpus *corpus);

/* What a text that is to be read as it stands looks like by its beginning, and what to do; NULL: like a text. */
const char *ls_looks_like(const char *text, int64_t bytes, const char **cure);
/* Warns of a prompt, or other input by this name, that is no text. */
void ls_warn_binary(const char *name, const char *text, int64_t bytes);

#endif
