#include "plot/raster.h"

#include "plot/letters.h"
#include "plot/png.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Raster {
    int64_t width, height;
    double scale;
    unsigned char *pixels; /* (height, width, 3) */
    float *cover;          /* (height, width): of the element that is being drawn, how much of each pixel */
    int64_t low, high;     /* rows of cover that are not zero */
} Raster;

typedef struct Point {
    double x, y; /* pixels */
} Point;

/* ---- Cover ------------------------------------------------------------------------------------------------------- */

static double between(double value, double low, double high) { return value < low ? low : value > high ? high : value; }

static void cover_pixel(Raster *r, int64_t x, int64_t y, double share)
{
    float *at = &r->cover[y * r->width + x];
    *at = share > *at ? (float)share : *at;
    r->low = y < r->low ? y : r->low;
    r->high = y > r->high ? y : r->high;
}

static double distance_to(Point p, Point a, Point b)
{
    double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
    double t = length > 0 ? between(((p.x - a.x) * dx + (p.y - a.y) * dy) / length, 0, 1) : 0;
    return hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

/* A line of this width with round ends: each pixel as far as its middle is inside. */
static void cover_line(Raster *r, Point a, Point b, double width)
{
    double half = width / 2, reach = half + 1;
    int64_t left = (int64_t)between(fmin(a.x, b.x) - reach, 0, (double)r->width);
    int64_t right = (int64_t)between(fmax(a.x, b.x) + reach + 1, 0, (double)r->width);
    int64_t top = (int64_t)between(fmin(a.y, b.y) - reach, 0, (double)r->height);
    int64_t bottom = (int64_t)between(fmax(a.y, b.y) + reach + 1, 0, (double)r->height);
    for (int64_t y = top; y < bottom; y++)
        for (int64_t x = left; x < right; x++) {
            double share = half + 0.5 - distance_to((Point){(double)x + 0.5, (double)y + 0.5}, a, b);
            if (share > 0)
                cover_pixel(r, x, y, fmin(share, 1));
        }
}

#define STEPS 4 /* lines that a row of pixels is cut into */

static int by_place(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The stretch of a line inside a polygon, on the pixels it touches. */
static void cover_stretch(Raster *r, int64_t y, double from, double to)
{
    from = between(from, 0, (double)r->width);
    to = between(to, 0, (double)r->width);
    for (int64_t x = (int64_t)from; x < r->width && (double)x < to; x++) {
        double share = fmin(to, (double)x + 1) - fmax(from, (double)x);
        float *at = &r->cover[y * r->width + x];
        *at = fminf(*at + (float)(share / STEPS), 1);
        r->low = y < r->low ? y : r->low;
        r->high = y > r->high ? y : r->high;
    }
}

/* Inside by the even-odd rule. crossing: (points) */
static void cover_polygon(Raster *r, const Point *point, int points, double *crossing)
{
    double top = HUGE_VAL, bottom = -HUGE_VAL;
    for (int i = 0; i < points; i++) {
        top = fmin(top, point[i].y);
        bottom = fmax(bottom, point[i].y);
    }
    int64_t first = (int64_t)between(floor(top), 0, (double)r->height);
    int64_t end = (int64_t)between(ceil(bottom), 0, (double)r->height);
    for (int64_t line = first * STEPS; line < end * STEPS; line++) {
        double y = ((double)line + 0.5) / STEPS;
        int count = 0;
        for (int i = 0; i < points; i++) {
            Point a = point[i], b = point[(i + 1) % points];
            if ((a.y <= y) != (b.y <= y))
                crossing[count++] = a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x);
        }
        qsort(crossing, (size_t)count, sizeof *crossing, by_place);
        for (int i = 0; i + 1 < count; i += 2)
            cover_stretch(r, line / STEPS, crossing[i], crossing[i + 1]);
    }
}

/* Lays a colour (#rrggbb or #rgb) over what is covered, and covers nothing any more. */
static void paint(Raster *r, const char *colour, double opacity)
{
    unsigned value = (unsigned)strtoul(colour + 1, NULL, 16), rgb[3];
    for (int c = 0; c < 3; c++)
        rgb[c] = strlen(colour) == 4 ? (value >> (8 - 4 * c) & 15) * 17 : value >> (16 - 8 * c) & 255;
    for (int64_t i = r->low * r->width; i < (r->high + 1) * r->width; i++) {
        double share = r->cover[i] * opacity;
        for (int c = 0; share > 0 && c < 3; c++) {
            double old = r->pixels[3 * i + c];
            r->pixels[3 * i + c] = (unsigned char)lround(old + share * ((double)rgb[c] - old));
        }
        r->cover[i] = 0;
    }
    r->low = r->height;
    r->high = -1;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* The value of an attribute of the tag that begins at `tag`; "" where it has none. */
static const char *attribute(const char *tag, const char *name, char value[64])
{
    const char *end = strchr(tag, '>'), *at = tag;
    size_t length = strlen(name);
    value[0] = '\0';
    while ((at = strstr(at, name)) && at < end) {
        if (at[-1] == ' ' && strncmp(at + length, "=\"", 2) == 0) {
            at += length + 2;
            size_t bytes = strcspn(at, "\"");
            bytes = bytes < 63 ? bytes : 63;
            memcpy(value, at, bytes);
            value[bytes] = '\0';
            return value;
        }
        at += length;
    }
    return value;
}

static double number(const char *tag, const char *name, double fallback)
{
    char value[64];
    return *attribute(tag, name, value) ? strtod(value, NULL) : fallback;
}

static void draw_rect(Raster *r, const char *tag)
{
    char fill[64];
    double crossing[4], s = r->scale, x = number(tag, "x", 0) * s, y = number(tag, "y", 0) * s;
    if (strcmp(attribute(tag, "width", fill), "100%") == 0)
        return; /* the white ground */
    double right = x + number(tag, "width", 0) * s, bottom = y + number(tag, "height", 0) * s;
    cover_polygon(r, (Point[]){{x, y}, {right, y}, {right, bottom}, {x, bottom}}, 4, crossing);
    paint(r, attribute(tag, "fill", fill), 1);
}

static void draw_line(Raster *r, const char *tag)
{
    char stroke[64];
    double s = r->scale;
    cover_line(r, (Point){number(tag, "x1", 0) * s, number(tag, "y1", 0) * s},
               (Point){number(tag, "x2", 0) * s, number(tag, "y2", 0) * s}, s);
    paint(r, attribute(tag, "stroke", stroke), 1);
}

static void draw_circle(Raster *r, const char *tag)
{
    char fill[64];
    Point middle = {number(tag, "cx", 0) * r->scale, number(tag, "cy", 0) * r->scale};
    cover_line(r, middle, middle, 2 * number(tag, "r", 0) * r->scale);
    paint(r, attribute(tag, "fill", fill), 1);
}

/* M, L, V, H and Z with absolute numbers, as chart.h writes them. Returns the number of points. */
static int read_path(const Raster *r, const char *d, Point *point)
{
    int points = 0;
    Point at = {0, 0};
    while (*d && *d != '"') {
        char command = *d++, *end;
        if (command == 'Z')
            continue;
        double value = strtod(d, &end) * r->scale;
        if (command == 'V')
            at.y = value;
        else
            at.x = value;
        d = end;
        if (command == 'M' || command == 'L') {
            at.y = strtod(d, &end) * r->scale;
            d = end;
        }
        point[points++] = at;
    }
    return points;
}

static LsStatus draw_path(Raster *r, const char *tag)
{
    char fill[64], stroke[64];
    const char *d = strstr(tag, " d=\"");
    size_t most = d ? strcspn(d + 4, "\"") + 1 : 1; /* a point takes a letter at least */
    Point *point = ls_alloc_array((int64_t)most, sizeof *point);
    double *crossing = ls_alloc_array((int64_t)most, sizeof *crossing);
    if (point && crossing && d) {
        int points = read_path(r, d + 4, point);
        if (strcmp(attribute(tag, "fill", fill), "none") != 0) {
            cover_polygon(r, point, points, crossing);
            paint(r, fill, number(tag, "fill-opacity", 1));
        } else {
            for (int i = 1; i < points; i++)
                cover_line(r, point[i - 1], point[i], number(tag, "stroke-width", 1) * r->scale);
            paint(r, attribute(tag, "stroke", stroke), 1);
        }
    }
    ls_free(point);
    ls_free(crossing);
    return point && crossing ? LS_OK : LS_RESOURCE;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

/* Of the font's size of 12: the width and height of a letter's unit, and of a stroke. */
#define UNIT_X 1.15
#define UNIT_Y 1.45
#define STROKE 1.15

/* The character at *at, whose entities are those of ls_xml_text; moves on. Anything but ASCII is 0. */
static unsigned next_letter(const char **at)
{
    static const struct {
        const char *name;
        char letter;
    } entities[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}};
    for (size_t i = 0; i < LS_COUNT_OF(entities); i++)
        if (strncmp(*at, entities[i].name, strlen(entities[i].name)) == 0) {
            *at += strlen(entities[i].name);
            return (unsigned char)entities[i].letter;
        }
    unsigned code = (unsigned char)*(*at)++;
    if (code < 0x80)
        return code;
    while (((unsigned char)**at & 0xC0) == 0x80)
        ++*at;
    return 0;
}

static double width_of(const char *text)
{
    double width = 0;
    while (*text != '<')
        width += ls_letter_advance(ls_letter(next_letter(&text))) * UNIT_X;
    return width;
}

/* Strokes with the baseline's beginning at (x, y); turned: from bottom to top. */
static void cover_letter(Raster *r, const char *strokes, double x, double y, bool turned)
{
    Point before = {0, 0};
    bool begun = false;
    for (; *strokes; strokes += *strokes == ' ' ? 1 : 2) {
        if (*strokes == ' ') {
            begun = false;
            continue;
        }
        double right = (strokes[0] - '0') * UNIT_X, down = (strokes[1] - '0' - LS_LETTER_TALL) * UNIT_Y;
        Point here = {(turned ? x + down : x + right) * r->scale, (turned ? y - right : y + down) * r->scale};
        bool dot = strokes[2] == '\0' || strokes[2] == ' ';
        if (begun || dot)
            cover_line(r, begun ? before : here, here, STROKE * r->scale);
        before = here;
        begun = true;
    }
}

static void draw_text(Raster *r, const char *tag)
{
    char anchor[64], fill[64];
    const char *text = strchr(tag, '>') + 1;
    bool turned = *attribute(tag, "transform", anchor) != '\0';
    double x = number(tag, "x", 0), y = number(tag, "y", 0), width = width_of(text);
    attribute(tag, "text-anchor", anchor);
    double back = strcmp(anchor, "middle") == 0 ? width / 2 : strcmp(anchor, "end") == 0 ? width : 0;
    x -= turned ? 0 : back;
    y += turned ? back : 0;
    while (*text != '<') {
        const char *strokes = ls_letter(next_letter(&text));
        double step = ls_letter_advance(strokes) * UNIT_X;
        cover_letter(r, strokes, x, y, turned);
        x += turned ? 0 : step;
        y -= turned ? step : 0;
    }
    paint(r, attribute(tag, "fill", fill), 1);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static LsStatus draw_all(Raster *r, const char *svg)
{
    for (const char *tag = svg; (tag = strchr(tag, '<')); tag++)
        if (strncmp(tag, "<rect ", 6) == 0)
            draw_rect(r, tag);
        else if (strncmp(tag, "<line ", 6) == 0)
            draw_line(r, tag);
        else if (strncmp(tag, "<circle ", 8) == 0)
            draw_circle(r, tag);
        else if (strncmp(tag, "<text ", 6) == 0)
            draw_text(r, tag);
        else if (strncmp(tag, "<path ", 6) == 0)
            LS_TRY(draw_path(r, tag));
    return LS_OK;
}

LsStatus ls_svg_png(const char *svg, double scale, FILE *out)
{
    Raster r = {.scale = scale, .high = -1};
    r.width = (int64_t)ceil(number(svg, "width", 0) * scale);
    r.height = r.low = (int64_t)ceil(number(svg, "height", 0) * scale);
    r.pixels = ls_alloc_array(r.width * r.height, 3);
    r.cover = ls_alloc_array(r.width * r.height, sizeof *r.cover);
    LsStatus status = r.pixels && r.cover ? LS_OK : LS_RESOURCE;
    if (status == LS_OK) {
        memset(r.pixels, 255, (size_t)(r.width * r.height) * 3);
        status = draw_all(&r, svg);
    }
    if (status == LS_OK)
        status = ls_png_write(out, r.width, r.height, 3, r.pixels);
    ls_free(r.pixels);
    ls_free(r.cover);
    return status;
}
