/* Letters as strokes, for pictures of pixels: no font is asked for. */
#ifndef LS_PLOT_LETTERS_H
#define LS_PLOT_LETTERS_H

#include "lockstep/base.h"

/* Polylines with blanks between them; a point is two digits, x and y: capitals reach from y 0 to 6, the baseline, small
 * letters from 2, what hangs below to 8. Of a character that has none, a box. */
const char *ls_letter(unsigned code);
/* How far the next letter is, in x. */
double ls_letter_advance(const char *strokes);

#define LS_LETTER_TALL 6 /* of a capital */

#endif
