/* Activations of layers that multiply by weights: of each piece of the product while it is in the cache, and in
 * backward together with the gradient of the bias. */
#ifndef LS_OPS_ACTIVATION_ROWS_H
#define LS_OPS_ACTIVATION_ROWS_H

#include "ops/activation.h"
#include "ops/op_build.h"

/* y = act(h), slope = act'(h) (NULL: not wanted); slope or y may be h. All: (count) */
LS_INLINE void activate_row(LsActivation kind, const real *h, real *y, real *slope, int64_t count)
{
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES) {
        vacc x = ls_load(h + j);
        ls_store(y + j, ls_activate(kind, x));
        if (slope)
            ls_store(slope + j, ls_activate_slope(kind, x));
    }
    if (j < count) {
        vacc x = ls_load_part(h + j, count - j);
        ls_store_part(y + j, ls_activate(kind, x), count - j);
        if (slope)
            ls_store_part(slope + j, ls_activate_slope(kind, x), count - j);
    }
}

/* A row of each activation, with its slope and without, and both in the library's functions, by LsActivation. */
#define ROW(kind, name)                                                                                                \
    static void name##_row(const real *h, real *y, real *slope, int64_t count)                                         \
    {                                                                                                                  \
        if (slope)                                                                                                     \
            activate_row(kind, h, y, slope, count);                                                                    \
        else                                                                                                           \
            activate_row(kind, h, y, NULL, count);                                                                     \
    }
LS_ACTIVATIONS(ROW)
#undef ROW

#define ENTRY(kind, name) [kind] = {name##_row, act_##name##_plain, act_##name##_slope_plain},
static const struct {
    void (*row)(const real *h, real *y, real *slope, int64_t count);
    double (*plain)(double x);
    double (*slope)(double x);
} ls_activations[] = {LS_ACTIVATIONS(ENTRY)};
#undef ENTRY

typedef struct Epilogue {
    LsActivation activation;
    real *h;     /* (M, N) */
    real *y;     /* (M, N), may be h */
    bool slopes; /* where h was is act'(h) then */
    int64_t stride;
} Epilogue;

/* The activation of a piece of the product, while it is still in the cache. */
__attribute__((unused)) static void ls_finish_piece(void *self, int64_t row, int64_t column, int64_t rows,
                                                    int64_t columns)
{
    const Epilogue *e = self;
    for (int64_t i = row; i < row + rows; i++) {
        real *h = e->h + i * e->stride + column;
        ls_activations[e->activation].row(h, e->y + i * e->stride + column, e->slopes ? h : NULL, columns);
    }
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Rows of one chunk of the bias gradient's sum: at most LS_REDUCE_CHUNKS chunks. */
static int64_t chunk_rows(int64_t rows)
{
    int64_t each = (rows + LS_REDUCE_CHUNKS - 1) / LS_REDUCE_CHUNKS;
    return each < 8 ? 8 : each;
}

static int64_t chunk_count(int64_t rows) { return (rows + chunk_rows(rows) - 1) / chunk_rows(rows); }

/* Bytes of the parts of that sum. */
__attribute__((unused)) static int64_t ls_bias_space(int64_t rows, int64_t columns)
{
    return chunk_count(rows) * columns * (int64_t)sizeof(acc);
}

/* One row of g: dy becomes g = dy act'(h) in place (slope NULL: stays), and is added to sum (NULL: not wanted). */
LS_INLINE void slope_row(const real *slope, real *dy, acc *sum, int64_t count)
{
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES) {
        vacc g = ls_load(dy + j);
        if (slope) {
            g *= ls_load(slope + j);
            ls_store(dy + j, g);
        }
        if (sum)
            ls_store_acc(sum + j, ls_load_acc(sum + j) + g);
    }
    if (j < count) {
        int64_t left = count - j;
        vacc g = ls_load_part(dy + j, left);
        if (slope) {
            g *= ls_load_part(slope + j, left);
            ls_store_part(dy + j, g, left);
        }
        if (sum)
            ls_store_acc_part(sum + j, ls_load_acc_part(sum + j, left) + g, left);
    }
}

/* Makes g out of dy, in place, and the bias gradient, by chunks of rows that are then summed in order.
 * dy: (M, N), slope: (M, N) or NULL, parts: (chunks, N) or NULL with dbias. */
__attribute__((unused)) static void ls_make_g(const real *slope, real *dy, int64_t m, int64_t n, acc *parts, acc *dbias,
                                              bool add)
{
    int64_t each = chunk_rows(m), chunks = chunk_count(m);
#pragma omp parallel for schedule(static)
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        acc *sum = dbias ? parts + chunk * n : NULL;
        if (sum)
            memset(sum, 0, (size_t)n * sizeof *sum);
        int64_t from = chunk * each, to = from + each < m ? from + each : m;
        for (int64_t i = from; i < to; i++)
            slope_row(slope ? slope + i * n : NULL, dy + i * n, sum, n);
    }
    if (!dbias)
        return;
    if (!add)
        memset(dbias, 0, (size_t)n * sizeof *dbias);
    for (int64_t chunk = 0; chunk < chunks; chunk++)
        for (int64_t j = 0; j < n; j++)
            dbias[j] += parts[chunk * n + j];
}

#endif
