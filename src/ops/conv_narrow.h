/* Convolutions with few filters, directly: a vector holds all filters of some pixels beside each other, whose number is
 * what fills it best. With 6 filters and vectors of 16, two pixels are one vector; their windows together are a window
 * that is wider by the stride, in which each pixel's weights are zero where only the other's window is. An element's
 * sum is over its window in the order of w, from the bias on: adding zeros changes no bit, so it does not depend on
 * which pixel of a vector it is, nor on threads.
 *
 * A thread copies the rows of x that it needs, widened to what sums are made of and with their zeros around, and keeps
 * the copy in its cache. dL/dx for a stride of 1 is the same with the kernel turned around. */
#ifndef LS_OPS_CONV_NARROW_H
#define LS_OPS_CONV_NARROW_H

#include "base/pieces.h"
#include "ops/conv_shape.h"

#include <omp.h>

enum {
    NARROW_VECTORS = 2,                           /* of filters, at most */
    NARROW_WIDE = 1 << 14,                        /* numbers of a row of y at most */
    NARROW_SUMS = LS_VEC_BYTES == 64 ? 28 : 12,   /* vectors that fit into registers beside what they are made of */
    NARROW_GROUPS = LS_VEC_BYTES == 64 ? 14 : 12, /* of pixels in registers at most */
    NARROW_LANES = LS_VEC_BYTES / (int)sizeof(acc)
};

typedef struct ConvNarrow {
    int64_t images, height, width, channels, filters;
    int64_t out_height, out_width;
    int64_t kernel_height, kernel_width, stride;
    int64_t top, left; /* zeros above and to the left of a picture */
    int64_t wide;      /* numbers of a row with its zeros */
    int64_t beside;    /* pixels of a vector; 0: the convolution is not for this */
    int64_t vectors;   /* that hold them */
    int64_t run;       /* numbers of a row of their window */
    int64_t step;      /* numbers of x from such pixels to the next */
    bool inside;       /* all windows are in the picture */
    bool turned;       /* the kernel is turned around, and w is (channels, KH, KW, filters) */
} ConvNarrow;

/* The most pixels for each number of vectors, and of those what takes the fewest products a pixel. */
static void narrow_choose(ConvNarrow *n)
{
    double least = 0;
    for (int64_t vectors = 1; vectors <= NARROW_VECTORS; vectors++) {
        int64_t beside = ls_least(vectors * LS_LANES / n->filters, n->out_width);
        if (beside < 1)
            continue;
        int64_t columns = n->kernel_width + (beside - 1) * n->stride;
        double products = (double)(vectors * columns) / (double)beside;
        if (n->beside && products >= least)
            continue;
        least = products;
        n->beside = beside, n->vectors = vectors;
        n->run = columns * n->channels, n->step = beside * n->stride * n->channels;
    }
}

static ConvNarrow narrow_finish(ConvNarrow n, const LsConv2d *c)
{
    int64_t columns = (n.out_width - 1) * n.stride + n.kernel_width;
    n.inside = n.top == 0 && n.left == 0 && columns <= n.width;
    n.wide = (n.inside ? n.width : columns) * n.channels;
    if (c->dilation == 1 && !conv_plain(c) && n.top >= 0 && n.left >= 0 && n.out_width * n.filters <= NARROW_WIDE)
        narrow_choose(&n);
    return n;
}

/* y of x; beside is 0 where it is not for this. */
static ConvNarrow narrow_forward_of(const LsConv2d *c)
{
    return narrow_finish((ConvNarrow){.images = c->images,
                                      .height = c->height,
                                      .width = c->width,
                                      .channels = c->channels,
                                      .filters = c->filters,
                                      .out_height = c->out_height,
                                      .out_width = c->out_width,
                                      .kernel_height = c->kernel_height,
                                      .kernel_width = c->kernel_width,
                                      .stride = c->stride,
                                      .top = c->padding,
                                      .left = c->padding},
                         c);
}

/* dx of dy: likewise. */
static ConvNarrow narrow_input_of(const LsConv2d *c)
{
    return narrow_finish((ConvNarrow){.images = c->images,
                                      .height = c->out_height,
                                      .width = c->out_width,
                                      .channels = c->filters,
                                      .filters = c->channels,
                                      .out_height = c->height,
                                      .out_width = c->width,
                                      .kernel_height = c->kernel_height,
                                      .kernel_width = c->kernel_width,
                                      .stride = 1,
                                      .top = c->stride == 1 ? c->kernel_height - 1 - c->padding : -1,
                                      .left = c->kernel_width - 1 - c->padding,
                                      .turned = true},
                         c);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static int64_t narrow_lanes(const ConvNarrow *n) { return n->vectors * LS_LANES; }

/* Rows of y that are made of one copy: whole pictures, unless they are few. */
static int64_t narrow_band(const ConvNarrow *n)
{
    enum { PIECES = 32, LEAST = 4 };
    int64_t bands = ls_ceil_div(PIECES, n->images);
    return bands == 1 ? n->out_height : ls_least(n->out_height, ls_round_up(ls_ceil_div(n->out_height, bands), LEAST));
}

static int64_t narrow_copy_count(const ConvNarrow *n, int64_t rows)
{
    return ls_round_up(((rows - 1) * n->stride + n->kernel_height) * n->wide, LS_LANES);
}

static int64_t narrow_row_count(const ConvNarrow *n)
{
    return ls_round_up(n->out_width * n->filters + narrow_lanes(n), LS_LANES);
}

static int64_t narrow_weights_count(const ConvNarrow *n) { return n->kernel_height * n->run * narrow_lanes(n); }

/* Scratch memory: numbers that all threads share, and those that each has of its own. */
typedef struct NarrowSpace {
    int64_t shared, each;
} NarrowSpace;

static int64_t narrow_bytes(NarrowSpace s, int64_t threads)
{
    return (s.shared + threads * s.each) * (int64_t)sizeof(acc);
}

/* Threads of a team: not more than there is scratch memory for, should there be more now than when it was planned. */
static int narrow_team(NarrowSpace s, int64_t bytes)
{
    return (int)ls_least(ls_threads(), (bytes / (int64_t)sizeof(acc) - s.shared) / s.each);
}

/* Weights and bias as vectors want them; a copy and a row of y. */
static NarrowSpace narrow_space(const ConvNarrow *n)
{
    enum { LINE = LS_ALIGN / sizeof(acc) };
    return (NarrowSpace){ls_round_up(narrow_weights_count(n) + narrow_lanes(n), LINE),
                         ls_round_up(narrow_copy_count(n, narrow_band(n)) + narrow_row_count(n), LINE)};
}

static int64_t narrow_run_bytes(const ConvNarrow *n)
{
    return n->beside ? narrow_bytes(narrow_space(n), ls_threads()) : 0;
}

/* x: n numbers -> out */
LS_INLINE void narrow_widen(const real *x, int64_t n, acc *out)
{
#if defined(LS_BUILD_BFLOAT16)
    int64_t i = 0;
    for (; i + LS_LANES <= n; i += LS_LANES)
        ls_store_acc(out + i, ls_load(x + i));
    for (; i < n; i++)
        out[i] = ls_load1(x + i);
#else
    memcpy(out, x, (size_t)n * sizeof *out);
#endif
}

/* Rows of a picture x, of which rows `first` of y on are made, with the zeros around; those are there already where
 * `out` holds the same rows of another picture. Where nothing is to be changed x itself will do. */
static const acc *narrow_copy(const ConvNarrow *n, const real *x, int64_t first, int64_t rows, bool anew, acc *out)
{
    const int64_t tall = (rows - 1) * n->stride + n->kernel_height, side = n->left * n->channels,
                  have = ls_least(n->width * n->channels, n->wide - side), begin = first * n->stride - n->top;
#if !defined(LS_BUILD_BFLOAT16)
    if (n->inside)
        return x + begin * n->wide;
#endif
    if (anew)
        memset(out, 0, (size_t)(tall * n->wide) * sizeof *out);
    for (int64_t i = begin < 0 ? -begin : 0; i < ls_least(tall, n->height - begin); i++)
        narrow_widen(x + (begin + i) * n->width * n->channels, have, out + i * n->wide + side);
    return out;
}

/* Rows of the kernel that meet the picture at row i of y. */
typedef struct NarrowMeets {
    int64_t first, end;
} NarrowMeets;

static NarrowMeets narrow_meets(const ConvNarrow *n, int64_t i)
{
    int64_t at = i * n->stride - n->top, first = at < 0 ? -at : 0;
    int64_t end = ls_least(n->kernel_height, n->height - at);
    return (NarrowMeets){ls_least(first, n->kernel_height), end < first ? first : end};
}

/* w -> out: (KH, columns of the joint window, channels, lanes) */
static void narrow_pack(const ConvNarrow *n, const real *w, acc *out)
{
    const int64_t lanes = narrow_lanes(n), taps = n->kernel_height * n->kernel_width;
    memset(out, 0, (size_t)narrow_weights_count(n) * sizeof *out);
    for (int64_t k = 0; k < n->kernel_height; k++)
        for (int64_t l = 0; l < n->kernel_width; l++)
            for (int64_t c = 0; c < n->channels; c++)
                for (int64_t o = 0; o < n->filters; o++) {
                    int64_t tap = k * n->kernel_width + l, from = n->turned
                                                                      ? (c * taps + taps - 1 - tap) * n->filters + o
                                                                      : (o * taps + tap) * n->channels + c;
                    acc v = ls_load1(w + from);
                    for (int64_t i = 0; i < n->beside; i++)
                        out[(k * n->run + (l + i * n->stride) * n->channels + c) * lanes + i * n->filters + o] = v;
                }
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

typedef struct NarrowTile {
    const ConvNarrow *of;
    const acc *x; /* the first of the first group's window */
    NarrowMeets meets;
    const acc *w, *bias; /* packed; (lanes) */
    acc *y;              /* where its numbers go; whole vectors are written, and what is too much is written again */
} NarrowTile;

/* `groups` times `beside` pixels, one after the other. */
LS_INLINE void narrow_tile(const NarrowTile *t, const int groups, const int vectors)
{
    vacc sum[NARROW_GROUPS * NARROW_VECTORS];
    const ConvNarrow *n = t->of;
    const int64_t run = n->run, step = n->step;
    const acc *w = t->w + t->meets.first * run * vectors * LS_LANES;
#pragma GCC unroll 28
    for (int i = 0; i < groups * vectors; i++)
        sum[i] = ls_load_acc(t->bias + i % vectors * LS_LANES);
    for (int64_t k = t->meets.first; k < t->meets.end; k++) {
        const acc *x[(NARROW_GROUPS + 2) / 3];
#pragma GCC unroll 5
        for (int i = 0; i < (groups + 2) / 3; i++)
            x[i] = t->x + k * n->wide + 3 * i * step;
        for (int64_t p = 0; p < run; p++, w += vectors * LS_LANES) {
            vacc y[NARROW_VECTORS];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                y[v] = ls_load_acc(w + v * LS_LANES);
#pragma GCC unroll 14
            for (int i = 0; i < groups; i++) {
                vacc a = ls_splat(x[i / 3][i % 3 * step + p]);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++)
                    sum[i * vectors + v] += a * y[v];
            }
        }
    }
#pragma GCC unroll 14
    for (int i = 0; i < groups; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            ls_store_acc(t->y + i * n->beside * n->filters + v * LS_LANES, sum[i * vectors + v]);
}

/* (More than fit are never called for.) */
#define NARROW_TILE(groups)                                                                                            \
    static void narrow_##groups##_1(const NarrowTile *t)                                                               \
    {                                                                                                                  \
        narrow_tile(t, (groups) <= NARROW_GROUPS ? (groups) : 1, 1);                                                   \
    }                                                                                                                  \
    static void narrow_##groups##_2(const NarrowTile *t)                                                               \
    {                                                                                                                  \
        narrow_tile(t, (groups) <= NARROW_SUMS / 2 ? (groups) : 1, 2);                                                 \
    }
#define NARROW_TILES(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)
NARROW_TILES(NARROW_TILE)
#undef NARROW_TILE
#define NARROW_ENTRY(groups) {narrow_##groups##_1, narrow_##groups##_2},
static void (*const narrow_tiles[][NARROW_VECTORS])(const NarrowTile *) = {NARROW_TILES(NARROW_ENTRY)};
#undef NARROW_ENTRY

/* One row of y: (out_width, filters). x: of its first window. */
static void narrow_row(const ConvNarrow *n, NarrowTile *t, const acc *x, acc *y)
{
    const int64_t groups = n->out_width / n->beside, most = ls_least(NARROW_GROUPS, NARROW_SUMS / n->vectors),
                  each = ls_even_piece(groups, most, 1), rest = n->out_width - n->beside;
    for (int64_t i = 0, some; i < groups; i += some) {
        some = ls_least(each, groups - i);
        t->x = x + i * n->step, t->y = y + i * n->beside * n->filters;
        narrow_tiles[some - 1][n->vectors - 1](t);
    }
    if (groups * n->beside < n->out_width) { /* the last pixels, some of them again */
        t->x = x + rest * n->stride * n->channels, t->y = y + rest * n->filters;
        narrow_tiles[0][n->vectors - 1](t);
    }
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Where rows go, and what follows there: called with the number of the row's first pixel. */
typedef struct NarrowTarget {
    real *to; /* (pixels, filters) */
    bool add;
    void (*finish)(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns); /* or NULL */
    void *self;
} NarrowTarget;

static void narrow_store(const NarrowTarget *t, const acc *row, int64_t at, int64_t count)
{
    real *to = t->to + at;
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES)
        ls_store(to + j, t->add ? ls_load(to + j) + ls_load_acc(row + j) : ls_load_acc(row + j));
    for (; j < count; j++)
        ls_store1(to + j, t->add ? ls_load1(to + j) + row[j] : row[j]);
}

/* Rows of y from number `first` of all pictures' on. x: of their windows; room: for a row. */
static void narrow_rows(const ConvNarrow *n, NarrowTile *tile, const acc *x, int64_t first, int64_t rows,
                        const NarrowTarget *target, acc *room)
{
    const int64_t count = n->out_width * n->filters, beyond = narrow_lanes(n) - n->beside * n->filters;
    (void)beyond;
    for (int64_t i = 0; i < rows; i++, x += n->stride * n->wide) {
        acc *row = room;
        tile->meets = narrow_meets(n, (first + i) % n->out_height);
#if !defined(LS_BUILD_BFLOAT16)
        if (!target->add && beyond <= (rows - 1 - i) * count) /* what is written beyond it is written again */
            row = target->to + (first + i) * count;
#endif
        narrow_row(n, tile, x, row);
        if (row == room)
            narrow_store(target, row, (first + i) * count, count);
        if (target->finish)
            target->finish(target->self, (first + i) * n->out_width, 0, n->out_width, n->filters);
    }
}

/* All of y. bias: (filters) or NULL; scratch: `bytes` of it, at least narrow_run_bytes. */
static void narrow_run(const ConvNarrow *n, const real *x, const real *w, const real *bias, const NarrowTarget *target,
                       void *scratch, int64_t bytes)
{
    const NarrowSpace space = narrow_space(n);
    acc *packed = scratch, *first = packed + narrow_weights_count(n), *own = packed + space.shared;
    const int64_t band = narrow_band(n), bands = ls_ceil_div(n->out_height, band), copy = narrow_copy_count(n, band);
    narrow_pack(n, w, packed);
    for (int64_t i = 0; i < narrow_lanes(n); i++)
        first[i] = bias && i < n->beside * n->filters ? ls_load1(bias + i % n->filters) : 0;
#pragma omp parallel num_threads(narrow_team(space, bytes))
    {
        acc *mine = own + omp_get_thread_num() * space.each;
        bool anew = true;
#pragma omp for schedule(static)
        for (int64_t piece = 0; piece < n->images * bands; piece++) {
            int64_t image = piece / bands, begin = piece % bands * band, rows = ls_least(band, n->out_height - begin);
            const real *picture = x + image * n->height * n->width * n->channels;
            NarrowTile tile = {.of = n, .w = packed, .bias = first};
            narrow_rows(n, &tile, narrow_copy(n, picture, begin, rows, anew, mine), image * n->out_height + begin, rows,
                        target, mine + copy);
            anew = bands > 1;
        }
    }
}

#endif
