/* The passes of batch_norm.c over x: (R, C), each reading memory once, in vectors whatever C is: where C is small, some
 * rows one after another are taken for one of `width` elements, with every channel's numbers repeated in tables as
 * wide.
 *
 * Sums go by pieces of such rows, a function of the shape alone; the pieces' sums, in double, are added in order. */
#ifndef LS_OPS_BATCH_NORM_H
#define LS_OPS_BATCH_NORM_H

#include "ops/op_build.h"

enum {
    BATCH_WIDEST = 1024,   /* of repeated channels */
    BATCH_NARROWEST = 128, /* so many elements go through one loop at least, unless the channels are odd and many */
    BATCH_COLUMNS = 512,   /* of a block */
    BATCH_BLOCK = 128,     /* channels whose sums over the pieces are one thread's */
    BATCH_ROWS = 4,        /* summed before their sum is added to that of the piece */
    BATCH_LEAST = 4096,    /* elements of a piece, and */
    BATCH_LEAST_ROWS = 16  /* rows, beside which its sums are little */
};

typedef struct BatchShape {
    int64_t channels, rows;
    int64_t width;       /* of a row of repeated channels */
    int64_t whole, rest; /* rows of this width; elements of the last, shorter one */
    int64_t each, pieces;
} BatchShape;

LS_INLINE BatchShape ls_batch_shape(const LsTensor *x)
{
    BatchShape s = {.channels = x->dim[x->rank - 1]};
    s.rows = x->count / s.channels;
    s.width = s.channels;
    for (int64_t step = 1; step < 16 && s.width % 16 != 0; step *= 2) /* a multiple of 16, which all vectors divide */
        s.width *= 2;
    if (s.width > BATCH_WIDEST)
        s.width = s.channels;
    if (s.width < BATCH_NARROWEST)
        s.width *= BATCH_NARROWEST / s.width;
    s.whole = x->count / s.width;
    s.rest = x->count % s.width;
    int64_t least = (BATCH_LEAST + s.width - 1) / s.width;
    s.each = (s.whole + LS_REDUCE_CHUNKS - 1) / LS_REDUCE_CHUNKS;
    least = least < BATCH_LEAST_ROWS ? BATCH_LEAST_ROWS : least;
    s.each = s.each < least ? least : s.each;
    s.pieces = (s.whole + s.each - 1) / s.each;
    s.pieces = s.pieces < 1 ? 1 : s.pieces;
    return s;
}

/* Of every channel of x, in one pass over memory: sums of first and second, in double.
 * Forward: x and x^2. Backward: dy and dy (x - center). Parts: (pieces, 2, width). */
typedef struct BatchSums {
    const real *x, *dy; /* dy NULL: forward */
    const acc *center;  /* (width) */
    double *parts;
} BatchSums;

/* Four rows (stride apart, `rows` of them) of up to BATCH_COLUMNS columns are added to sum and square. The squares of
 * forward are summed in double at once: they cancel against the mean's. */
LS_INLINE void ls_batch_add_forward(const real *x, int64_t rows, int64_t stride, int64_t columns, double *restrict sum,
                                    double *restrict square)
{
    acc wide[BATCH_ROWS][BATCH_COLUMNS];
    for (int64_t r = 0; r < BATCH_ROWS; r++)
        for (int64_t j = 0; j < columns; j += LS_LANES) {
            int64_t n = columns - j;
            vacc v = r < rows ? ls_load_upto(x + r * stride + j, n) : (vacc){0};
            if (n >= LS_LANES)
                ls_store_acc(&wide[r][j], v);
            else
                ls_store_acc_part(&wide[r][j], v, n);
        }
#pragma omp simd
    for (int64_t j = 0; j < columns; j++) {
        double a = (double)wide[0][j], b = (double)wide[1][j], c = (double)wide[2][j], d = (double)wide[3][j];
        sum[j] += (a + b) + (c + d);
        square[j] += (a * a + b * b) + (c * c + d * d);
    }
}

LS_INLINE void ls_batch_add_backward(const real *x, const real *dy, const acc *center, int64_t rows, int64_t stride,
                                     int64_t columns, double *restrict sum, double *restrict product)
{
    acc first[BATCH_COLUMNS], second[BATCH_COLUMNS];
    for (int64_t j = 0; j < columns; j += LS_LANES) {
        int64_t n = columns - j;
        vacc middle = n >= LS_LANES ? ls_load_acc(center + j) : ls_load_acc_part(center + j, n), a = {0}, b = {0};
        for (int64_t r = 0; r < rows; r++) {
            vacc d = ls_load_upto(dy + r * stride + j, n);
            a += d;
            b += d * (ls_load_upto(x + r * stride + j, n) - middle);
        }
        if (n >= LS_LANES) {
            ls_store_acc(first + j, a);
            ls_store_acc(second + j, b);
        } else {
            ls_store_acc_part(first + j, a, n);
            ls_store_acc_part(second + j, b, n);
        }
    }
#pragma omp simd
    for (int64_t j = 0; j < columns; j++) {
        sum[j] += (double)first[j];
        product[j] += (double)second[j];
    }
}

/* `rows` rows from element `at` on, of `width` columns each. */
LS_INLINE void ls_batch_add_rows(const BatchSums *b, int64_t at, int64_t rows, int64_t width, double *part,
                                 int64_t part_width)
{
    for (int64_t r = 0; r < rows; r += BATCH_ROWS)
        for (int64_t j = 0; j < width; j += BATCH_COLUMNS) {
            int64_t columns = width - j < BATCH_COLUMNS ? width - j : BATCH_COLUMNS;
            int64_t from = at + r * width + j, some = rows - r < BATCH_ROWS ? rows - r : BATCH_ROWS;
            if (b->dy)
                ls_batch_add_backward(b->x + from, b->dy + from, b->center + j, some, width, columns, part + j,
                                      part + part_width + j);
            else
                ls_batch_add_forward(b->x + from, some, width, columns, part + j, part + part_width + j);
        }
}

/* The sums of channels first to before end over all pieces and repetitions, in order. part: of the first piece, either
 * of its two sums. */
LS_INLINE void ls_batch_add_pieces(const BatchShape *s, const double *part, int64_t first, int64_t end,
                                   double *restrict total)
{
    for (int64_t c = first; c < end; c++)
        total[c] = 0;
    for (int64_t piece = 0; piece < s->pieces; piece++)
        for (int64_t from = piece * 2 * s->width; from < piece * 2 * s->width + s->width; from += s->channels)
#pragma omp simd
            for (int64_t c = first; c < end; c++)
                total[c] += part[from + c];
}

/* total: (2, C) */
LS_INLINE void ls_batch_sum(const BatchShape *s, const BatchSums *b, double *total)
{
    int64_t blocks = (s->channels + BATCH_BLOCK - 1) / BATCH_BLOCK;
#pragma omp parallel if (s->rows * s->channels > 16384)
    {
#pragma omp for schedule(static)
        for (int64_t piece = 0; piece < s->pieces; piece++) {
            double *part = b->parts + piece * 2 * s->width;
            int64_t first = piece * s->each, end = first + s->each < s->whole ? first + s->each : s->whole;
            memset(part, 0, sizeof *part * (size_t)(2 * s->width));
            ls_batch_add_rows(b, first * s->width, end - first, s->width, part, s->width);
            if (piece == s->pieces - 1 && s->rest > 0)
                ls_batch_add_rows(b, s->whole * s->width, 1, s->rest, part, s->width);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < 2 * blocks; i++) {
            int64_t half = i / blocks, first = i % blocks * BATCH_BLOCK;
            int64_t end = first + BATCH_BLOCK < s->channels ? first + BATCH_BLOCK : s->channels;
            ls_batch_add_pieces(s, b->parts + half * s->width, first, end, total + half * s->channels);
        }
    }
}

/* y = (x - center) factor + shift, or backward: dx = dy factor - (x - center) slope - shift, written or added. */
typedef struct BatchMap {
    const real *x, *dy;
    real *to;
    const acc *center, *factor, *slope, *shift; /* (width) */
    bool add;
} BatchMap;

LS_INLINE void ls_batch_map_row(const BatchMap *m, int64_t at, int64_t columns)
{
    const real *x = m->x + at, *dy = m->dy ? m->dy + at : NULL;
    real *to = m->to + at;
    int64_t j = 0;
    for (; j + LS_LANES <= columns; j += LS_LANES) {
        vacc h = ls_load(x + j) - ls_load_acc(m->center + j), v;
        if (dy)
            v = ls_load(dy + j) * ls_load_acc(m->factor + j) - h * ls_load_acc(m->slope + j) -
                ls_load_acc(m->shift + j);
        else
            v = h * ls_load_acc(m->factor + j) + ls_load_acc(m->shift + j);
        ls_store(to + j, m->add ? ls_load(to + j) + v : v);
    }
    for (; j < columns; j++) {
        acc h = ls_load1(x + j) - m->center[j];
        acc v = dy ? ls_load1(dy + j) * m->factor[j] - h * m->slope[j] - m->shift[j] : h * m->factor[j] + m->shift[j];
        ls_store1(to + j, m->add ? ls_load1(to + j) + v : v);
    }
}

LS_INLINE void ls_batch_map(const BatchShape *s, const BatchMap *m)
{
#pragma omp parallel for schedule(static) if (s->rows * s->channels > 16384)
    for (int64_t r = 0; r <= s->whole; r++)
        ls_batch_map_row(m, r * s->width, r < s->whole ? s->width : s->rest);
}

/* Repeats the first C numbers of a table over its width. */
LS_INLINE void ls_batch_repeat(const BatchShape *s, acc *table)
{
    for (int64_t j = s->channels; j < s->width; j += s->channels)
        memcpy(table + j, table, sizeof *table * (size_t)s->channels);
}

#endif
