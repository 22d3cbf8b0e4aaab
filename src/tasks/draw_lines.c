/* Forecasts against what came, as a chart. */
#include "plot/chart.h"
#include "tasks/drawings.h"

#include <math.h>

typedef struct Curves {
    LsCurve *curve; /* what came, then the forecasts */
    int count;
    double *x, *y; /* of all curves one after the other */
    int64_t points;
} Curves;

static LsStatus make_room(const LsLines *lines, Curves *c)
{
    int64_t places = lines->samples + lines->horizon - 1, said = (lines->samples + lines->horizon) * 2;
    c->curve = ls_alloc_array(2 + lines->samples / lines->horizon, sizeof *c->curve);
    c->x = ls_alloc_array(places + said, sizeof *c->x);
    c->y = ls_alloc_array(places + said, sizeof *c->y);
    return c->curve && c->x && c->y ? LS_OK : LS_RESOURCE;
}

static void begin_curve(Curves *c, const char *name, int colour)
{
    c->curve[c->count++] = (LsCurve){.name = name, .x = c->x + c->points, .y = c->y + c->points, .colour = colour};
}

static void add_point(Curves *c, const LsLines *lines, int64_t place, float value)
{
    c->x[c->points] = (double)place;
    c->y[c->points++] = lines->offset + lines->scale * (double)value;
    c->curve[c->count - 1].points++;
}

/* Number h of a sample is at place sample + h. Forecasts of several steps are curves of their own, one after the
 * other. */
static void fill_curves(const LsLines *lines, Curves *c)
{
    const int64_t horizon = lines->horizon;
    begin_curve(c, "what came", 6);
    for (int64_t place = 0; place < lines->samples + horizon - 1; place++) {
        int64_t sample = place < lines->samples ? place : lines->samples - 1;
        add_point(c, lines, place, lines->wanted[sample * horizon + place - sample]);
    }
    for (int64_t sample = 0; sample < lines->samples; sample += horizon) {
        if (sample == 0 || horizon > 1)
            begin_curve(c, sample > 0 ? NULL : horizon > 1 ? "forecasts, each from where it begins" : "forecast", 1);
        for (int64_t h = 0; h < horizon; h++)
            add_point(c, lines, sample + h, lines->said[sample * horizon + h]);
    }
}

LsStatus ls_draw_lines(const LsLines *lines, FILE *out)
{
    Curves c = {0};
    LsStatus status = make_room(lines, &c);
    if (status == LS_OK) {
        fill_curves(lines, &c);
        status = ls_chart_write(out, &(LsChart){.x_label = "sample",
                                                .y_label = lines->name,
                                                .curves = c.count,
                                                .curve = c.curve,
                                                .width = 960,
                                                .height = 360});
    }
    ls_free(c.curve);
    ls_free(c.x);
    ls_free(c.y);
    return status;
}
