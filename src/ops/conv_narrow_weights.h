/* dL/dw of convolutions with few filters, directly (conv_narrow.h): a vector holds dL/dy of some pixels beside each
 * other, and sums for some neighbouring numbers of their joint window stay in registers while a picture goes by.
 *
 * Pictures are cut into ranges that depend on their number alone, and the ranges' sums are added in order. */
#ifndef LS_OPS_CONV_NARROW_WEIGHTS_H
#define LS_OPS_CONV_NARROW_WEIGHTS_H

#include "ops/conv_narrow.h"

enum {
    NARROW_RANGES = 32,                           /* of pictures at most */
    NARROW_COLUMNS = LS_VEC_BYTES == 64 ? 14 : 12 /* of the window in registers at most */
};

static int64_t narrow_range(const ConvNarrow *n) { return ls_ceil_div(n->images, NARROW_RANGES); }

/* Sums of a range: for w, and for the bias. */
static int64_t narrow_sums_count(const ConvNarrow *n) { return narrow_weights_count(n) + narrow_lanes(n); }

/* A picture's dy, with what a last vector reads beyond. */
static int64_t narrow_gradient_count(const ConvNarrow *n)
{
    return ls_round_up(n->out_height * n->out_width * n->filters + narrow_lanes(n), LS_LANES);
}

static int64_t narrow_ranges(const ConvNarrow *n) { return ls_ceil_div(n->images, narrow_range(n)); }

/* The ranges' sums; a picture's copy and dy. */
static NarrowSpace narrow_weight_space(const ConvNarrow *n)
{
    enum { LINE = LS_ALIGN / sizeof(acc) };
    return (NarrowSpace){ls_round_up(narrow_ranges(n) * narrow_sums_count(n), LINE),
                         ls_round_up(narrow_copy_count(n, n->out_height) + narrow_gradient_count(n), LINE)};
}

static int64_t narrow_weight_bytes(const ConvNarrow *n)
{
    return n->beside ? narrow_bytes(narrow_weight_space(n), ls_threads()) : 0;
}

/* ---- Sums in registers ------------------------------------------------------------------------------------------- */

/* x: of the first row and column; what lies `step` and `row` further there belongs to the next group and row of g. */
typedef struct NarrowSums {
    const acc *x, *g;
    int64_t x_row, x_step, g_row, g_step;
    int64_t rows, groups;
    acc *to; /* (columns, lanes) += */
} NarrowSums;

LS_INLINE void narrow_add(const NarrowSums *s, const acc *x, const acc *g, const int columns, const int vectors,
                          vacc *sum)
{
    (void)s;
    vacc y[NARROW_VECTORS];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
        y[v] = ls_load_acc(g + v * LS_LANES);
#pragma GCC unroll 14
    for (int e = 0; e < columns; e++) {
        vacc a = ls_splat(x[e]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[e * vectors + v] += a * y[v];
    }
}

/* With few columns, several groups have sums of their own: a sum waits for the one before. */
LS_INLINE void narrow_sums(const NarrowSums *s, const int columns, const int vectors)
{
    const int fit = NARROW_SUMS / (columns * vectors), chains = fit < 1 ? 1 : fit < 4 ? fit : 4;
    vacc sum[4 * NARROW_SUMS];
#pragma GCC unroll 28
    for (int i = 0; i < chains * columns * vectors; i++)
        sum[i] = (vacc){0};
    for (int64_t r = 0; r < s->rows; r++) {
        const acc *x = s->x + r * s->x_row, *g = s->g + r * s->g_row;
        int64_t i = 0;
        for (; i + chains <= s->groups; i += chains)
#pragma GCC unroll 4
            for (int u = 0; u < chains; u++, x += s->x_step, g += s->g_step)
                narrow_add(s, x, g, columns, vectors, sum + u * columns * vectors);
        for (; i < s->groups; i++, x += s->x_step, g += s->g_step)
            narrow_add(s, x, g, columns, vectors, sum);
    }
#pragma GCC unroll 28
    for (int i = 0; i < columns * vectors; i++) {
        vacc all = sum[i];
#pragma GCC unroll 4
        for (int u = 1; u < chains; u++)
            all += sum[u * columns * vectors + i];
        ls_store_acc(s->to + i * LS_LANES, ls_load_acc(s->to + i * LS_LANES) + all);
    }
}

#define NARROW_SUM(columns)                                                                                            \
    static void narrow_sums_##columns##_1(const NarrowSums *s)                                                         \
    {                                                                                                                  \
        narrow_sums(s, (columns) <= NARROW_COLUMNS ? (columns) : 1, 1);                                                \
    }                                                                                                                  \
    static void narrow_sums_##columns##_2(const NarrowSums *s)                                                         \
    {                                                                                                                  \
        narrow_sums(s, (columns) <= NARROW_SUMS / 2 ? (columns) : 1, 2);                                               \
    }
NARROW_TILES(NARROW_SUM)
#undef NARROW_SUM
#define NARROW_ENTRY(columns) {narrow_sums_##columns##_1, narrow_sums_##columns##_2},
static void (*const narrow_summers[][NARROW_VECTORS])(const NarrowSums *) = {NARROW_TILES(NARROW_ENTRY)};
#undef NARROW_ENTRY

/* All rows of the window. s: of its first number, at row `first` of y. Rows that lie outside the picture add
 * nothing. */
static void narrow_add_windows(const ConvNarrow *n, NarrowSums s, int64_t first, acc *to)
{
    const int64_t most = ls_least(NARROW_COLUMNS, NARROW_SUMS / n->vectors), each = ls_even_piece(n->run, most, 1);
    const NarrowSums all = s;
    for (int64_t k = 0; k < n->kernel_height; k++) {
        int64_t begin = 0, end = all.rows;
        while (begin < end && (first + begin) * n->stride + k < n->top)
            begin++;
        while (begin < end && (first + end - 1) * n->stride + k >= n->top + n->height)
            end--;
        s.g = all.g + begin * all.g_row, s.rows = end - begin;
        for (int64_t column = 0; column < n->run && s.rows > 0; column += each) {
            s.x = all.x + begin * all.x_row + k * n->wide + column;
            s.to = to + (k * n->run + column) * narrow_lanes(n);
            narrow_summers[ls_least(each, n->run - column) - 1][n->vectors - 1](&s);
        }
    }
}

/* The pixels at the end of a row that make no whole group, of all rows: their windows end with the row; the others of
 * that group count nothing. */
static void narrow_add_rest(const ConvNarrow *n, NarrowSums s, const acc *g, acc *to)
{
    const int64_t rest = n->out_width % n->beside, first = n->out_width - n->beside, lanes = narrow_lanes(n);
    acc group[NARROW_VECTORS * NARROW_LANES] = {0};
    if (rest == 0)
        return;
    s.x += first * n->stride * n->channels;
    s.g = group, s.rows = 1, s.groups = 1;
    for (int64_t r = 0; r < n->out_height; r++, s.x += s.x_row) {
        for (int64_t i = (n->beside - rest) * n->filters; i < n->beside * n->filters && i < lanes; i++)
            group[i] = g[(r * n->out_width + first) * n->filters + i];
        narrow_add_windows(n, s, r, to);
    }
}

/* A picture's share of a range's sums. x: copied with its zeros; g: (out_height, out_width, filters) and more. */
static void narrow_add_picture(const ConvNarrow *n, const acc *x, const acc *g, acc *to)
{
    NarrowSums s = {.x = x,
                    .g = g,
                    .x_row = n->stride * n->wide,
                    .x_step = n->step,
                    .g_row = n->out_width * n->filters,
                    .g_step = n->beside * n->filters,
                    .rows = n->out_height,
                    .groups = n->out_width / n->beside};
    narrow_add_windows(n, s, 0, to);
    narrow_add_rest(n, s, g, to);
}

/* += the sum of g over a picture's pixels: as many groups as there are, two at a time, then pixel by pixel. */
LS_INLINE void narrow_bias_sums(const ConvNarrow *n, const acc *g, acc *to, const int vectors)
{
    const int64_t pixels = n->out_height * n->out_width, size = n->beside * n->filters, groups = pixels / n->beside;
    vacc sum[2 * NARROW_VECTORS] = {{0}};
    int64_t i = 0;
    for (; i + 2 <= groups; i += 2)
#pragma GCC unroll 4
        for (int v = 0; v < 2 * vectors; v++)
            sum[v] += ls_load_acc(g + (i + v / vectors) * size + v % vectors * LS_LANES);
    for (int v = 0; v < vectors; v++) {
        vacc all = ls_load_acc(to + v * LS_LANES) + sum[v] + sum[vectors + v];
        ls_store_acc(to + v * LS_LANES, i < groups ? all + ls_load_acc(g + i * size + v * LS_LANES) : all);
    }
    for (i = groups * n->beside; i < pixels; i++)
        for (int64_t o = 0; o < n->filters && o < vectors * LS_LANES; o++)
            to[o] += g[i * n->filters + o];
}

static void narrow_add_bias(const ConvNarrow *n, const acc *g, acc *to)
{
    if (n->vectors == 1)
        narrow_bias_sums(n, g, to, 1);
    else
        narrow_bias_sums(n, g, to, 2);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Number `at` of the range's sums, over all ranges in order. */
LS_INLINE acc narrow_total(const ConvNarrow *n, const acc *sums, int64_t at)
{
    acc total = 0;
    for (int64_t range = 0; range < narrow_ranges(n); range++)
        total += sums[range * narrow_sums_count(n) + at];
    return total;
}

/* The ranges' sums, in order, to dw: (filters, KH, KW, channels). The first range's take the total's place. */
static void narrow_fold(const ConvNarrow *n, acc *sums, acc *dw, bool add)
{
    const int64_t lanes = narrow_lanes(n), count = narrow_weights_count(n), run = n->kernel_width * n->channels;
#pragma omp parallel for schedule(static) if (count > 4096)
    for (int64_t at = 0; at < count; at += LS_LANES) {
        vacc total = ls_load_acc(sums + at);
        for (int64_t range = 1; range < narrow_ranges(n); range++)
            total += ls_load_acc(sums + range * narrow_sums_count(n) + at);
        ls_store_acc(sums + at, total);
    }
    for (int64_t k = 0; k < n->kernel_height; k++)
        for (int64_t p = 0; p < run; p++)
            for (int64_t o = 0; o < n->filters; o++) {
                acc total = 0;
                for (int64_t i = 0; i < n->beside; i++)
                    total += sums[(k * n->run + p + i * n->stride * n->channels) * lanes + i * n->filters + o];
                acc *to = dw + (o * n->kernel_height + k) * run + p;
                *to = add ? *to + total : total;
            }
}

/* dw and, unless it is NULL, dbias: = or +=. g: dy. scratch: `bytes` of it, at least narrow_weight_bytes. */
static void narrow_weight_gradient(const ConvNarrow *n, const real *g, const real *x, acc *dw, bool add, acc *dbias,
                                   bool add_bias, void *scratch, int64_t bytes)
{
    const NarrowSpace space = narrow_weight_space(n);
    const int64_t range = narrow_range(n), ranges = narrow_ranges(n), count = narrow_sums_count(n),
                  copy = narrow_copy_count(n, n->out_height), pixels = n->out_height * n->out_width;
    acc *sums = scratch, *own = sums + space.shared;
#pragma omp parallel num_threads(narrow_team(space, bytes))
    {
        acc *mine = own + omp_get_thread_num() * space.each, *dy = mine + copy;
        bool anew = true;
        memset(dy + pixels * n->filters, 0, (size_t)(narrow_gradient_count(n) - pixels * n->filters) * sizeof *dy);
#pragma omp for schedule(static)
        for (int64_t r = 0; r < ranges; r++) {
            acc *to = sums + r * count;
            memset(to, 0, (size_t)count * sizeof *to);
            for (int64_t image = r * range; image < ls_least((r + 1) * range, n->images); image++, anew = false) {
                const real *picture = x + image * n->height * n->width * n->channels;
                narrow_widen(g + image * pixels * n->filters, pixels * n->filters, dy);
                narrow_add_picture(n, narrow_copy(n, picture, 0, n->out_height, anew, mine), dy, to);
                if (dbias)
                    narrow_add_bias(n, dy, to + narrow_weights_count(n));
            }
        }
    }
    for (int64_t o = 0; dbias && o < n->filters; o++) {
        acc total = 0;
        for (int64_t i = 0; i < n->beside; i++)
            total += narrow_total(n, sums, narrow_weights_count(n) + i * n->filters + o);
        dbias[o] = add_bias ? dbias[o] + total : total;
    }
    narrow_fold(n, sums, dw, add);
}

#endif
