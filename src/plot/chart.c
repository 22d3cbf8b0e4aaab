#include "plot/chart.h"

#include "plot/svg.h"

#include <math.h>
#include <string.h>

enum { LEFT = 64, RIGHT = 16, TOP = 34, BOTTOM = 44, LEGEND_ROW = 18, MARKS = 12 };

/* From numbers to pixels. */
typedef struct Frame {
    double x_low, x_high, y_low, y_high; /* of the axes; y as exponents where it is logarithmic */
    double left, right, top, bottom;     /* pixels */
    bool logarithmic;
} Frame;

static double x_at(const Frame *f, double x)
{
    return f->left + (x - f->x_low) / (f->x_high - f->x_low) * (f->right - f->left);
}

/* y: a number, or its logarithm where the axis is logarithmic. */
static double y_at(const Frame *f, double y)
{
    return f->bottom - (y - f->y_low) / (f->y_high - f->y_low) * (f->bottom - f->top);
}

/* ---- Axes -------------------------------------------------------------------------------------------------------- */

/* At powers of ten, and at 2 and 5 times these where there are few. */
static int mark_decades(double low, double high, int room, double *mark)
{
    static const double steps[] = {1, 2, 5};
    double decades = log10(high / low);
    int count = 0;
    for (double power = floor(log10(low)); power <= log10(high) && count < room; power += ceil(decades / room))
        for (int i = 0; i < (decades < 4 ? 3 : 1) && count < room; i++) {
            double value = steps[i] * pow(10, power);
            if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9))
                mark[count++] = value;
        }
    return count;
}

int ls_chart_marks(double low, double high, bool logarithmic, int room, double *mark)
{
    static const double steps[] = {1, 2, 5};
    int count = logarithmic ? mark_decades(low, high, room, mark) : 0;
    if (count > 2)
        return count;
    count = 0;
    double power = pow(10, floor(log10((high - low) / room))), step = 10 * power;
    for (int i = 2; i >= 0; i--)
        if ((high - low) / (steps[i] * power) <= room - 1)
            step = steps[i] * power;
    for (double value = ceil(low / step - 1e-9); value * step <= high + 1e-9 * step && count < room; value++)
        mark[count++] = value * step + 0.0; /* no negative zero */
    return count;
}

static void widen(double *low, double *high)
{
    if (*high > *low)
        return;
    double half = *low == 0 ? 1 : fabs(*low) / 2;
    *low -= half;
    *high += half;
}

/* The y of point i as the axis has it; false where it is not to be drawn. */
static bool point_of(const LsCurve *c, int64_t i, bool logarithmic, double *y)
{
    if (!isfinite(c->x[i]) || !isfinite(c->y[i]) || (logarithmic && c->y[i] <= 0))
        return false;
    *y = logarithmic ? log10(c->y[i]) : c->y[i];
    return true;
}

static bool find_range(const LsChart *chart, Frame *f)
{
    *f = (Frame){.x_low = HUGE_VAL, .x_high = -HUGE_VAL, .y_low = HUGE_VAL, .y_high = -HUGE_VAL};
    f->logarithmic = chart->logarithmic;
    for (int c = 0; c < chart->curves; c++)
        for (int64_t i = 0; i < chart->curve[c].points; i++) {
            double x = chart->curve[c].x[i], y;
            if (!point_of(&chart->curve[c], i, f->logarithmic, &y))
                continue;
            f->x_low = fmin(f->x_low, x);
            f->x_high = fmax(f->x_high, x);
            f->y_low = fmin(f->y_low, y);
            f->y_high = fmax(f->y_high, y);
        }
    if (!(f->x_low <= f->x_high))
        return false;
    widen(&f->x_low, &f->x_high);
    widen(&f->y_low, &f->y_high);
    double margin = 0.04 * (f->y_high - f->y_low);
    f->y_low -= margin;
    f->y_high += margin;
    return true;
}

static int y_marks(const Frame *f, double mark[MARKS])
{
    return f->logarithmic ? ls_chart_marks(pow(10, f->y_low), pow(10, f->y_high), true, MARKS, mark)
                          : ls_chart_marks(f->y_low, f->y_high, false, 7, mark);
}

/* Pixels left of the axis: for the longest number, and the label that stands upright beside it. */
static double room_left(const Frame *f)
{
    double mark[MARKS];
    int longest = 0;
    for (int i = y_marks(f, mark) - 1; i >= 0; i--) {
        int length = snprintf(NULL, 0, "%.6g", mark[i]);
        longest = length > longest ? length : longest;
    }
    return fmax(LEFT, 28 + 8 * longest);
}

static void draw_axes(FILE *out, const LsChart *chart, const Frame *f)
{
    double mark[MARKS];
    char text[32];
    int marks = y_marks(f, mark);
    for (int i = 0; i < marks; i++) {
        double y = y_at(f, f->logarithmic ? log10(mark[i]) : mark[i]);
        ls_svg_line(out, f->left, y, f->right, y);
        snprintf(text, sizeof text, "%.6g", mark[i]);
        ls_svg_text(out, f->left - 6, y + 4, LS_ANCHOR_END, false, text);
    }
    marks = ls_chart_marks(f->x_low, f->x_high, false, 8, mark);
    for (int i = 0; i < marks; i++) {
        ls_svg_line(out, x_at(f, mark[i]), f->top, x_at(f, mark[i]), f->bottom);
        snprintf(text, sizeof text, "%.6g", mark[i]);
        ls_svg_text(out, x_at(f, mark[i]), f->bottom + 16, LS_ANCHOR_MIDDLE, false, text);
    }
    fprintf(out, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#333\"/>\n", f->left, f->top, f->bottom,
            f->right);
    if (chart->title)
        ls_svg_text(out, (f->left + f->right) / 2, 18, LS_ANCHOR_MIDDLE, false, chart->title);
    if (chart->x_label)
        ls_svg_text(out, (f->left + f->right) / 2, f->bottom + 34, LS_ANCHOR_MIDDLE, false, chart->x_label);
    if (chart->y_label)
        ls_svg_text(out, 14, (f->top + f->bottom) / 2, LS_ANCHOR_MIDDLE, true, chart->y_label);
}

/* ---- Curves ------------------------------------------------------------------------------------------------------ */

/* The points of one column of pixels. */
typedef struct Column {
    int64_t points;
    double x, sum, least, most;
} Column;

static void draw_columns(FILE *out, const Column *column, int columns, const Frame *f, const char *colour)
{
    fprintf(out, "<path fill=\"%s\" fill-opacity=\"0.15\" d=\"", colour);
    char command = 'M';
    for (int i = 0; i < columns; i++)
        if (column[i].points) {
            fprintf(out, "%c%.1f %.1f", command, x_at(f, column[i].x), y_at(f, column[i].most));
            command = 'L';
        }
    for (int i = columns - 1; i >= 0; i--)
        if (column[i].points)
            fprintf(out, "L%.1f %.1f", x_at(f, column[i].x), y_at(f, column[i].least));
    fprintf(out, "Z\"/>\n<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" d=\"", colour);
    command = 'M';
    for (int i = 0; i < columns; i++)
        if (column[i].points) {
            double mean = column[i].sum / (double)column[i].points;
            fprintf(out, "%c%.1f %.1f", command, x_at(f, column[i].x), y_at(f, mean));
            command = 'L';
        }
    fputs("\"/>\n", out);
}

static LsStatus draw_by_columns(FILE *out, const LsCurve *c, const Frame *f)
{
    int columns = (int)(f->right - f->left);
    Column *column = ls_alloc_array(columns + 1, sizeof *column);
    if (!column)
        return LS_RESOURCE;
    for (int64_t i = 0; i < c->points; i++) {
        double y;
        if (!point_of(c, i, f->logarithmic, &y))
            continue;
        Column *at = &column[(int)(x_at(f, c->x[i]) - f->left)];
        at->x = c->x[i];
        at->sum += y;
        at->least = at->points && at->least < y ? at->least : y;
        at->most = at->points && at->most > y ? at->most : y;
        at->points++;
    }
    draw_columns(out, column, columns + 1, f, ls_svg_colour(c->colour));
    ls_free(column);
    return LS_OK;
}

static LsStatus draw_curve(FILE *out, const LsCurve *c, const Frame *f)
{
    int64_t drawn = 0;
    double y = 0, x = 0;
    for (int64_t i = 0; i < c->points; i++)
        drawn += point_of(c, i, f->logarithmic, &y);
    if (drawn > f->right - f->left)
        return draw_by_columns(out, c, f);
    if (drawn > 1)
        fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" d=\"", ls_svg_colour(c->colour));
    for (int64_t i = 0, n = 0; i < c->points; i++) {
        double at;
        if (!point_of(c, i, f->logarithmic, &at))
            continue;
        y = at;
        x = c->x[i];
        if (drawn > 1)
            fprintf(out, "%c%.1f %.1f", n == 0 ? 'M' : 'L', x_at(f, x), y_at(f, y));
        n++;
    }
    if (drawn > 1)
        fputs("\"/>\n", out);
    if (drawn == 1) /* a line of one point cannot be seen */
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x_at(f, x), y_at(f, y),
                ls_svg_colour(c->colour));
    return LS_OK;
}

static int legend_rows(const LsChart *chart)
{
    int rows = 0;
    for (int c = 0; c < chart->curves; c++)
        rows += chart->curve[c].name != NULL;
    return rows;
}

static void draw_legend(FILE *out, const LsChart *chart, double top)
{
    double y = top;
    for (int c = 0; c < chart->curves; c++) {
        if (!chart->curve[c].name)
            continue;
        fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"18\" height=\"4\" fill=\"%s\"/>\n", LEFT, y + 5,
                ls_svg_colour(chart->curve[c].colour));
        ls_svg_text(out, LEFT + 26, y + 11, LS_ANCHOR_START, false, chart->curve[c].name);
        y += LEGEND_ROW;
    }
}

LsStatus ls_chart_write(FILE *out, const LsChart *chart)
{
    Frame f;
    if (!find_range(chart, &f))
        return ls_fail(LS_USAGE, "%s: there is nothing to draw", chart->title ? chart->title : "chart");
    f.left = room_left(&f);
    f.right = chart->width - RIGHT;
    f.top = TOP;
    f.bottom = chart->height - BOTTOM;
    int rows = legend_rows(chart);
    ls_svg_begin(out, chart->width, chart->height + rows * LEGEND_ROW);
    draw_axes(out, chart, &f);
    LsStatus status = LS_OK;
    for (int c = 0; c < chart->curves && status == LS_OK; c++)
        status = draw_curve(out, &chart->curve[c], &f);
    draw_legend(out, chart, chart->height);
    ls_svg_end(out);
    return status;
}
