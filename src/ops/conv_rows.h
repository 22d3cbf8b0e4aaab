/* The convolution of causal_conv.c on a few steps of one stream, all channels: rows of x, of g = dL/dy act'(h), and of
 * the results are given as pointers, so that what lies before the first step or after the last is the caller's choice.
 *
 * Several steps are taken together where the number of taps is known: each row is loaded once, not once a tap, and the
 * rows of the steps that come next, each on a page of its own, are fetched meanwhile. */
#ifndef LS_OPS_CONV_ROWS_H
#define LS_OPS_CONV_ROWS_H

#include "ops/activation.h"
#include "ops/op_build.h"

enum {
    CONV_ROWS = 4, /* steps together */
    CONV_MOST_TAPS = 64,
    CONV_KNOWN_TAPS = 4, /* Mamba's, which has code of its own */
};

/* Sizes, and the cut of all rows into segments of one stream's time; each of `groups` sums parameter gradients over its
 * segments. */
typedef struct ConvShape {
    /* B, T, columns of x, E, E rounded up to whole vectors, K */
    int64_t streams, steps, columns, channels, padded, taps;
    /* columns of x that are not convolved and whose gradient is zeroed here */
    int64_t clear;
    /* segments of `rows` steps a stream, of all streams, groups of them */
    int64_t cuts, rows, segments, groups;
} ConvShape;

/* h of one step, for channels j to j + LS_LANES - 1; x[k] is their row of tap k. */
LS_INLINE vacc conv_pre_activation(const vacc *x, const acc *w, const acc *bias, int64_t padded, int64_t taps,
                                   int64_t j)
{
    vacc h = ls_load_acc(bias + j);
#pragma GCC unroll 4
    for (int64_t k = 0; k < taps; k++)
        h += ls_load_acc(w + k * padded + j) * x[k];
    return h;
}

/* Rows that no hardware foresees, since each starts on another page. */
LS_INLINE void conv_fetch(const real *const *row, int64_t j, int64_t count)
{
#pragma GCC unroll 4
    for (int64_t i = 0; i < count; i++)
        __builtin_prefetch(row[i] + j);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* `rows` steps together. row: (rows + K - 1, and as many as `rows` to come); y: (rows, E) */
LS_INLINE void conv_forward_rows(const ConvShape *s, const real *const *row, const acc *w, const acc *bias, real *y,
                                 int64_t taps, int64_t rows, LsActivation kind)
{
    for (int64_t j = 0; j < s->channels; j += LS_LANES) {
        int64_t n = s->channels - j;
        vacc x[CONV_MOST_TAPS + CONV_ROWS - 1];
#pragma GCC unroll 8
        for (int64_t k = 0; k < taps + rows - 1; k++)
            x[k] = ls_load_upto(row[k] + j, n);
        conv_fetch(row + taps + rows - 1, j, rows);
#pragma GCC unroll 4
        for (int64_t i = 0; i < rows; i++) {
            vacc h = conv_pre_activation(x + i, w, bias, s->padded, taps, j);
            ls_store_upto(y + i * s->channels + j, ls_activate(kind, h), n);
        }
    }
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* `rows` steps from number t on, of which row: (rows + K - 1, and as many as `rows` to come) are the inputs and dy the
 * gradients of the results. Their g goes to the ring, which holds that of the K - 1 steps before, step i's at i mod K.
 * Their part of the sums for w and the bias is added, where sums is given; and dx gets the gradients that are complete
 * with them, those of the steps K - 1 before, where `want`. */
typedef struct ConvBack {
    const real *row[CONV_MOST_TAPS + 2 * CONV_ROWS], *dy[2 * CONV_ROWS];
    real *dx[CONV_ROWS];
    acc *ring, *sums;
    int64_t t;
    bool want, add;
} ConvBack;

/* The sums for w and the bias of LS_LANES channels, to which g: (rows) and x: (rows + K - 1) contribute. */
LS_INLINE void conv_add_sums(const ConvShape *s, acc *sums, const vacc *g, const vacc *x, int64_t taps, int64_t rows)
{
#pragma GCC unroll 5
    for (int64_t k = 0; k <= taps; k++) {
        vacc sum = ls_load_acc(sums + k * s->padded);
#pragma GCC unroll 4
        for (int64_t i = 0; i < rows; i++)
            sum += k < taps ? g[i] * x[k + i] : g[i];
        ls_store_acc(sums + k * s->padded, sum);
    }
}

/* dx of channels j to j + LS_LANES - 1 of the steps K - 1 before, from g: (K - 1 + rows). */
LS_INLINE void conv_give_inputs(const ConvShape *s, const ConvBack *r, const acc *w, const vacc *g, int64_t j,
                                int64_t taps, int64_t rows)
{
#pragma GCC unroll 4
    for (int64_t i = 0; i < rows; i++) {
        vacc v = {0};
        if (r->add)
            v = ls_load_upto(r->dx[i] + j, s->channels - j);
#pragma GCC unroll 4
        for (int64_t k = 0; k < taps; k++)
            v += ls_load_acc(w + k * s->padded) * g[taps - 1 + i - k];
        ls_store_upto(r->dx[i] + j, v, s->channels - j);
    }
}

LS_INLINE void conv_backward_rows(const ConvShape *s, const ConvBack *r, const acc *w, const acc *bias, int64_t taps,
                                  int64_t rows, LsActivation kind)
{
    for (int64_t j = 0; j < s->channels; j += LS_LANES) {
        int64_t n = s->channels - j;
        vacc x[CONV_MOST_TAPS + CONV_ROWS - 1], g[CONV_MOST_TAPS + CONV_ROWS - 1]; /* g[K - 1 + i]: of step t + i */
#pragma GCC unroll 8
        for (int64_t k = 0; k < taps + rows - 1; k++)
            x[k] = ls_load_upto(r->row[k] + j, n);
#pragma GCC unroll 4
        for (int64_t k = 0; k < taps - 1; k++)
            g[k] = ls_load_acc(r->ring + (r->t + 1 + k) % taps * s->padded + j);
        conv_fetch(r->row + taps + rows - 1, j, rows);
        conv_fetch(r->dy + rows, j, rows);
#pragma GCC unroll 4
        for (int64_t i = 0; i < rows; i++) {
            vacc v = ls_load_upto(r->dy[i] + j, n);
            if (kind != LS_NO_ACTIVATION)
                v *= ls_activate_slope(kind, conv_pre_activation(x + i, w, bias, s->padded, taps, j));
            g[taps - 1 + i] = v;
            if (i > rows - taps)
                ls_store_acc(r->ring + (r->t + i) % taps * s->padded + j, v);
        }
        if (r->sums)
            conv_add_sums(s, r->sums + j, g + taps - 1, x, taps, rows);
        if (r->want)
            conv_give_inputs(s, r, w + j, g, j, taps, rows);
    }
}

#endif
