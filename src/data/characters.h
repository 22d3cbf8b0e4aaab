/* Properties of single Unicode characters, for tokenizers of subwords. */
#ifndef LS_DATA_CHARACTERS_H
#define LS_DATA_CHARACTERS_H

#include "lockstep/base.h"

/* Unicode's White_Space. */
static inline bool ls_is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
           code == 0x3000;
}

/* Unicode's \w: letters, marks, digits, connectors; characters.c. */
bool ls_is_word(uint32_t code);

/* Some of the letters: those after which a text may be cut in front of a blank. */
bool ls_is_cut_letter(uint32_t code);

/* The small letter where it is one character; wordpiece_text.c has the table. */
uint32_t ls_small_letter(uint32_t code);

/* The small letter, or the two characters of it (U+0130 alone), by Unicode without regard to what stands around. */
int ls_small_letters(uint32_t code, uint32_t small[2]);

#endif
