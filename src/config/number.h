/* Numbers as people write them in settings, and back without loss. Independent of the locale. */
#ifndef LS_CONFIG_NUMBER_H
#define LS_CONFIG_NUMBER_H

#include "lockstep/base.h"

/* 12, -3, 1_000, 0x20, and 5e3 or 2.0 where whole. False where text is none of these or does not fit. */
bool ls_number_int(const char *text, int64_t *value);

/* 0.1, 1e-3, 1_000.5, .5. False where text is no number or not finite. */
bool ls_number_float(const char *text, double *value);

/* 4GiB, 4G (the same), 1.5MiB, 300MB (decimal), 512, 64B: bytes. False where text is none of these, not whole or does
 * not fit. */
bool ls_number_bytes(const char *text, int64_t *value);

/* "4GiB", "1536MiB", "1000": the largest unit that leaves a whole number. Writes at most 32 bytes. */
void ls_number_bytes_text(int64_t value, char text[32]);

/* The shortest of 15, 16, 17 digits that reads back to the same bits. Writes at most 32 bytes. */
void ls_number_text(double value, char text[32]);

#endif
