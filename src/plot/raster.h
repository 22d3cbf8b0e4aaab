/* The pictures of this layer as pixels. */
#ifndef LS_PLOT_RASTER_H
#define LS_PLOT_RASTER_H

#include "lockstep/base.h"

#include <stdio.h>

/* Draws what svg.h and chart.h have written (their elements, not any SVG) and writes it as PNG, `scale` pixels for one
 * of its units. */
LsStatus ls_svg_png(const char *svg, double scale, FILE *out) LS_MUST_USE;

#endif
