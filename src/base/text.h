/* Pieces of messages. */
#ifndef LS_BASE_TEXT_H
#define LS_BASE_TEXT_H

#include "lockstep/base.h"

/* "(2, 3)"; "()" without dimensions. One of eight buffers of this thread that are used in turn. */
const char *ls_dims_text(int rank, const int64_t *dim);

/* Whether `name` is one of "a|b|c"; a list that is NULL is empty. */
bool ls_text_lists(const char *list, const char *name);

/* A list in a message, one line each, bounded: what is past the bound is counted only. Begins as {0}. */
typedef struct LsNotes {
    char text[8192];
    size_t used;
    int count, listed;
} LsNotes;

void ls_note(LsNotes *notes, const char *format, ...) LS_PRINTF(2, 3);

/* "\n  first\n  second\n  and 3 more"; "" where there are none. */
const char *ls_notes_text(LsNotes *notes);

#endif
