/* Pictures side by side in one, as PNG. */
#include "plot/png.h"
#include "tasks/drawings.h"

#include <jansson.h>
#include <math.h>

#define GAP 2 /* pixels between pictures, black */

typedef struct Grid {
    int64_t count, height, width, channels, across, down;
    int64_t row; /* pixels of a row of the whole */
} Grid;

static LsStatus measure(const LsDrawn *drawn, Grid *grid)
{
    *grid = (Grid){.count = drawn->samples};
    if (drawn->rank != 4 || (drawn->dim[3] != 1 && drawn->dim[3] != 3))
        return ls_fail(LS_USAGE,
                       "these samples are no pictures of 1 or 3 channels, so that they cannot be drawn as such");
    grid->height = drawn->dim[1];
    grid->width = drawn->dim[2];
    grid->channels = drawn->dim[3];
    grid->across = (int64_t)ceil(sqrt((double)(grid->count > 0 ? grid->count : 1)));
    grid->down = (grid->count + grid->across - 1) / grid->across;
    grid->row = grid->across * (grid->width + GAP) + GAP;
    return LS_OK;
}

static double number_at(const json_t *info, const char *list, int64_t c)
{
    const json_t *number = info ? json_array_get(json_object_get(info, list), (size_t)c) : NULL;
    return json_is_number(number) ? json_number_value(number) : 127.5;
}

/* pixels: (rows, grid->row, channels), black */
static void place_picture(const LsDrawn *drawn, const Grid *grid, int64_t at, unsigned char *pixels)
{
    const float *x = drawn->output + at * grid->height * grid->width * grid->channels;
    int64_t top = at / grid->across * (grid->height + GAP) + GAP, left = at % grid->across * (grid->width + GAP) + GAP;
    for (int64_t c = 0; c < grid->channels; c++) {
        double mean = number_at(drawn->info, "mean", c), deviation = number_at(drawn->info, "deviation", c);
        for (int64_t i = 0; i < grid->height * grid->width; i++) {
            double value = mean + deviation * (double)x[i * grid->channels + c];
            int64_t place = (top + i / grid->width) * grid->row + left + i % grid->width;
            pixels[place * grid->channels + c] = !(value > 0)  ? 0
                                                 : value > 255 ? 255
                                                               : (unsigned char)lround(value); /* NaN is black */
        }
    }
}

LsStatus ls_draw_grid(const LsDrawn *drawn, FILE *out)
{
    Grid grid;
    LS_TRY(measure(drawn, &grid));
    if (!out)
        return LS_OK;
    int64_t rows = grid.down * (grid.height + GAP) + GAP;
    unsigned char *pixels = ls_alloc((size_t)(rows * grid.row * grid.channels));
    if (!pixels)
        return LS_RESOURCE;
    for (int64_t i = 0; i < grid.count; i++)
        place_picture(drawn, &grid, i, pixels);
    LsStatus status = ls_png_write(out, grid.row, rows, grid.channels, pixels);
    ls_free(pixels);
    return status;
}
