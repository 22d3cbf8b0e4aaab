/* Charts of curves as SVG. A curve of more points than the chart is wide is drawn by columns: the mean of each as a
 * line, least to largest as a band behind it. */
#ifndef LS_PLOT_CHART_H
#define LS_PLOT_CHART_H

#include "lockstep/base.h"

#include <stdio.h>

typedef struct LsCurve {
    const char *name; /* in the legend; NULL: not there */
    int64_t points;
    const double *x, *y; /* (points); a point with a number that is not finite is left out */
    int colour;          /* of the palette (plot/svg.h) */
} LsCurve;

typedef struct LsChart {
    const char *title, *x_label, *y_label; /* NULL: none */
    int curves;
    const LsCurve *curve;
    bool logarithmic; /* the y axis; points at or below 0 are left out */
    int width, height;
} LsChart;

/* Writes <svg>...</svg>. LS_USAGE where no curve has a point. */
LsStatus ls_chart_write(FILE *out, const LsChart *chart) LS_MUST_USE;

/* Marks of an axis from low to high: at most `room`, at 1, 2 or 5 times a power of ten that many times over; logarithmic,
 * where the range has three of them: at 1, 2, 5 times powers of ten, or powers alone where these are many. Returns how
 * many. */
int ls_chart_marks(double low, double high, bool logarithmic, int room, double *mark);

#endif
