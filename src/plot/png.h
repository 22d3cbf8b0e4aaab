/* Pixels as a PNG file. */
#ifndef LS_PLOT_PNG_H
#define LS_PLOT_PNG_H

#include "lockstep/base.h"

#include <stdio.h>

/* pixels: (height, width, channels), 1 channel or 3. */
LsStatus ls_png_write(FILE *out, int64_t width, int64_t height, int64_t channels,
                      const unsigned char *pixels) LS_MUST_USE;

#endif
