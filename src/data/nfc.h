/* Unicode's Normalization Forms D and C (UAX 15): canonical decomposition and order; then canonical composition. */
#ifndef LS_DATA_NFC_H
#define LS_DATA_NFC_H

#include "lockstep/base.h"

/* A character, and its canonical combining class; 0: it starts a new sequence. */
typedef struct LsMark {
    uint32_t code;
    unsigned char class;
} LsMark;

/* Form D of one more character, behind mark[0 .. *count); it has at most LS_NFD_MOST. */
#define LS_NFD_MOST 4 /* U+1F82 and others */
void ls_nfd_add(LsMark *mark, int64_t *count, uint32_t code);

/* Form C of text[0 .. bytes), whole UTF-8 characters: *out is NULL where it is normal already (told quickly for text
 * below U+0300), else new text of *out_bytes, the caller's to free with ls_free. */
LsStatus ls_nfc(const char *text, int64_t bytes, char **out, int64_t *out_bytes) LS_MUST_USE;

#endif
