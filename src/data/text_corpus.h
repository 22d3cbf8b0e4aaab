/* The texts that `prepare text` reads: files, the files of folders, members of JSON lines. */
#ifndef LS_DATA_TEXT_CORPUS_H
#define LS_DATA_TEXT_CORPUS_H

#include "data/texts.h"

typedef struct LsCorpus {
    char **name; /* of all files, in order */
    int names, name_room;
    LsRawFiles raw;
    LsTexts documents;  /* of JSON lines */
    LsCorpusPart *part; /* the texts, in raw or in documents */
    int parts;
    int64_t passed; /* files of folders that are no texts */
} LsCorpus;

/* Reads the sources in their order. Of a folder all files below it whose names end in .txt (with field: .jsonl), in
 * order of their names. field: NULL, or the member of each line's JSON object that is a text of its own, to which a
 * line's end is added where it has none; these are held in memory. LS_DATA with file and line. */
LsStatus ls_corpus_read(LsCorpus *corpus, int sources, char *const *source, const char *field) LS_MUST_USE;
void ls_corpus_free(LsCorpus *corpus);

#endif
