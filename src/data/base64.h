/* Bytes as letters (RFC 4648, section 4): for files in JSON that are no text. */
#ifndef LS_DATA_BASE64_H
#define LS_DATA_BASE64_H

#include "lockstep/base.h"

/* NULL with a message when out of memory; the caller frees. */
char *ls_base64_encode(const void *bytes, int64_t count);
/* *bytes is the caller's to free; LS_DATA where the text, which may be NULL, is none of this form. */
LsStatus ls_base64_decode(const char *text, char **bytes, int64_t *count) LS_MUST_USE;

#endif
