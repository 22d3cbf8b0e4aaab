/* Pieces of SVG (and HTML) text. */
#ifndef LS_PLOT_SVG_H
#define LS_PLOT_SVG_H

#include "lockstep/base.h"

#include <stdio.h>

/* A text with the characters that mean something in XML written as entities. Bytes that are no XML character (control
 * characters) are left out. */
void ls_xml_text(FILE *out, const char *text);

/* <svg ...> of this size in pixels, with the styles of the shapes below; ended by ls_svg_end. */
void ls_svg_begin(FILE *out, int width, int height);
void ls_svg_end(FILE *out);

typedef enum LsAnchor { LS_ANCHOR_START, LS_ANCHOR_MIDDLE, LS_ANCHOR_END } LsAnchor;

/* turned: read from bottom to top. */
void ls_svg_text(FILE *out, double x, double y, LsAnchor anchor, bool turned, const char *text);
void ls_svg_line(FILE *out, double x1, double y1, double x2, double y2);

/* Colour `index` of a palette that people of all kinds of colour vision tell apart (Okabe and Ito, 2008), in turn. */
const char *ls_svg_colour(int index);

#endif
