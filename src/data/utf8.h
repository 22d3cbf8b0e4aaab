/* UTF-8 as Unicode 3.9 defines it (table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef LS_DATA_UTF8_H
#define LS_DATA_UTF8_H

#include "lockstep/base.h"

#define LS_CODE_POINTS 0x110000

/* Bytes of the character at text[0], 1 to 4, and its code point; 0 where none starts there; -1 where the text ends
 * inside what may become one. bytes must be at least 1. */
int ls_utf8_decode(const char *text, int64_t bytes, uint32_t *code);

/* Writes a code point that is not a surrogate; returns its bytes, 1 to 4. */
int ls_utf8_encode(uint32_t code, char text[4]);

/* Bytes of the longest prefix that is whole characters. */
int64_t ls_utf8_span(const char *text, int64_t bytes);

/* A copy in which every byte that belongs to no character is U+FFFD: names of files may be any bytes, JSON may not. The
 * caller frees it. */
char *ls_utf8_repair(const char *text);
/* The same of a text that may hold zeros, which stay; the copy is *made_bytes long, and a zero stands behind it. */
char *ls_utf8_repair_bytes(const char *text, int64_t bytes, int64_t *made_bytes);

/* ---- Tables of code points: rows in ascending order of their first column ---------------------------------------- */

/* The last row of a table whose first column is at most `code`; -1 where there is none. */
int ls_code_row(const int32_t *table, int rows, int columns, uint32_t code);

/* The small letter of a character by a table of (first, last, step, difference): of every step-th character of a range,
 * step 0 of all, the small letter is so much further; others are their own. */
uint32_t ls_code_small(const int32_t *table, int rows, uint32_t code);

#endif
