/* Unicode's Normalization Form C (UAX 15): canonical decomposition, canonical order, canonical composition. */
#ifndef LS_DATA_NFC_H
#define LS_DATA_NFC_H

#include "lockstep/base.h"

/* Normalizes text[0 .. bytes), whole UTF-8 characters. *out is NULL where it is normal already (told quickly for text
 * below U+0300), else new text of *out_bytes, the caller's to free with ls_free. */
LsStatus ls_nfc(const char *text, int64_t bytes, char **out, int64_t *out_bytes) LS_MUST_USE;

#endif
