/* Shared by layer_norm.c and rms_norm.c: rows of x: (R, C) brought to unit size, forward and backward; also of x =
 * a + b, the residual connection, which a norm makes along the way where it follows it (LsOp.fuses).
 *
 *     h = (x - mean) rstd       y = h scale + bias
 *
 * With g = dy scale and averages over the row:
 *
 *     dx = rstd (g - avg(g) - h avg(g h))       dscale = sum over rows of dy h       dbias = sum over rows of dy
 *
 * RMS norm is the same without mean, avg(g) and bias: `centered` false. Rows are read from memory once: the later
 * sweeps over a row find it in the first-level cache. */
#ifndef LS_OPS_NORM_H
#define LS_OPS_NORM_H

#include "ops/pass.h"

typedef struct Norm {
    double eps;
} Norm;

/* Sums over rows go by chunks of rows, a function of R alone, which are added in order. */
LS_INLINE int64_t ls_norm_chunk(int64_t rows)
{
    int64_t each = (rows + LS_REDUCE_CHUNKS - 1) / LS_REDUCE_CHUNKS;
    return each < 32 ? 32 : each;
}
LS_INLINE int64_t ls_norm_chunks(int64_t rows) { return (rows + ls_norm_chunk(rows) - 1) / ls_norm_chunk(rows); }

/* Checks x: (..., C), scale and bias: (C) LS_ACC; declares y and `statistics` results (...) of LS_ACC; asks for
 * scratch. */
LS_INLINE LsStatus ls_norm_infer(LsNode *node, int statistics)
{
    const LsTensor *x = node->in[0];
    if (x->rank < 2 || x->dtype != LS_REAL)
        return ls_node_fail(node, "%s: x %s must be (..., C) with at least two dimensions", node->op->name,
                            ls_shape_text(x));
    int64_t columns = x->dim[x->rank - 1];
    for (int i = 1; i < node->inputs; i++) {
        const LsTensor *p = node->in[i];
        if (p && (p->rank != 1 || p->dim[0] != columns))
            return ls_node_fail(node, "%s: %s %s does not fit x %s: it must be (%lld)", node->op->name,
                                i == 1 ? "scale" : "bias", ls_shape_text(p), ls_shape_text(x), (long long)columns);
        if (p && p->dtype != LS_ACC)
            return ls_node_fail(node, "%s: declare %s with LS_PRECISE", node->op->name, i == 1 ? "scale" : "bias");
    }
    if (!ls_node_output(node, LS_REAL, x->rank, x->dim))
        return LS_RESOURCE;
    for (int i = 0; i < statistics; i++)
        if (!ls_node_output(node, LS_ACC, x->rank - 1, x->dim))
            return LS_RESOURCE;
    node->scratch_backward = 2 * ls_norm_chunks(x->count / columns) * columns * (int64_t)sizeof(acc);
    return LS_OK;
}

LS_INLINE vacc ls_norm_load(const real *x, int64_t j, int64_t columns)
{
    return j + LS_LANES <= columns ? ls_load(x + j) : ls_load_part(x + j, columns - j);
}
LS_INLINE vacc ls_norm_load_acc(const acc *x, int64_t j, int64_t columns)
{
    return j + LS_LANES <= columns ? ls_load_acc(x + j) : ls_load_acc_part(x + j, columns - j);
}

/* Mean and rstd of a row. The variance is that of the differences to the mean, which does not cancel. */
LS_INLINE void ls_norm_statistics(bool centered, const real *x, int64_t columns, double eps, acc *mean, acc *rstd)
{
    enum { SUMS = 4 }; /* independent additions in flight */
    vacc sum[SUMS] = {0}, square[SUMS] = {0};
    int64_t step = SUMS * LS_LANES, whole = columns / step * step;
    for (int64_t j = 0; centered && j < whole; j += step)
#pragma GCC unroll 4
        for (int i = 0; i < SUMS; i++)
            sum[i] += ls_load(x + j + i * LS_LANES);
    for (int64_t j = whole; centered && j < columns; j += LS_LANES)
        sum[0] += ls_norm_load(x, j, columns);
    *mean = ls_hsum((sum[0] + sum[1]) + (sum[2] + sum[3])) / (acc)columns;
    for (int64_t j = 0; j < whole; j += step)
#pragma GCC unroll 4
        for (int i = 0; i < SUMS; i++) {
            vacc d = ls_load(x + j + i * LS_LANES) - *mean;
            square[i] += d * d;
        }
    acc rest = 0;
    for (int64_t j = whole; j < columns; j += LS_LANES) {
        if (j + LS_LANES <= columns) {
            vacc d = ls_load(x + j) - *mean;
            square[0] += d * d;
        } else {
            for (int64_t i = j; i < columns; i++)
                rest += (ls_load1(x + i) - *mean) * (ls_load1(x + i) - *mean);
        }
    }
    double variance = (double)(ls_hsum((square[0] + square[1]) + (square[2] + square[3])) + rest) / (double)columns;
    *rstd = (acc)(1 / sqrt(variance + eps));
}

/* The whole forward of node: x, scale, bias (or none) -> y, mean where `centered`, rstd; and x = a + b before it where
 * the node before is fused. */
LS_INLINE LsStatus ls_norm_forward(const LsNode *node, bool centered)
{
    const real *a = node->fused_producer ? node->fused_producer->in[0]->data : NULL,
               *b = a ? node->fused_producer->in[1]->data : NULL;
    real *x = node->in[0]->data, *y = node->out[0]->data; /* (R, C) */
    /* (C) */
    const acc *scale = node->in[1]->data, *bias = node->inputs > 2 && node->in[2] ? node->in[2]->data : NULL;
    acc *mean = centered ? node->out[1]->data : NULL, *rstd = node->out[1 + centered]->data; /* (R) */
    int64_t columns = node->in[1]->count, rows = node->in[0]->count / columns;
    double eps = ((const Norm *)node->attr)->eps;
#pragma omp parallel for schedule(static) if (rows * columns > 8192)
    for (int64_t r = 0; r < rows; r++) {
        const real *from = x + r * columns;
        real *to = y + r * columns;
        acc center, factor;
        if (a)
            ls_sum_row(a + r * columns, b + r * columns, x + r * columns, columns);
        ls_norm_statistics(centered, from, columns, eps, &center, &factor);
        if (mean)
            mean[r] = center;
        rstd[r] = factor;
        int64_t j = 0;
        for (; j + LS_LANES <= columns; j += LS_LANES) {
            vacc h = (ls_load(from + j) - center) * factor * ls_load_acc(scale + j);
            ls_store(to + j, bias ? h + ls_load_acc(bias + j) : h);
        }
        for (; j < columns; j++)
            ls_store1(to + j, (ls_load1(from + j) - center) * factor * scale[j] + (bias ? bias[j] : 0));
    }
    return LS_OK;
}

typedef struct NormBack {
    const real *x, *dy; /* (R, C) */
    const acc *scale;   /* (C) */
    const acc *mean;    /* (R), NULL: not centered */
    const acc *rstd;    /* (R) */
    int64_t rows, columns;
    const real *plus;    /* (R, C) to add to the gradient of x, or NULL */
    real *dx, *copy;     /* (R, C) or NULL: get the gradient of x. dx, else copy, may be plus. */
    acc *dscale, *dbias; /* (C) or NULL */
    bool add_scale, add_bias;
    acc *parts; /* (chunks, 2, C): sums of dy h and of dy */
} NormBack;

/* One row: its share of dscale and dbias into part: (2, C), its dx. */
LS_INLINE void ls_norm_back_row(const NormBack *b, int64_t r, acc *part)
{
    int64_t columns = b->columns;
    const real *x = b->x + r * columns, *dy = b->dy + r * columns;
    acc mean = b->mean ? b->mean[r] : 0, rstd = b->rstd[r], *dscale = part, *dbias = part + columns;
    vacc sum_g[2] = {0}, sum_gh[2] = {0};
    int64_t j = 0;
    for (; j + 2 * LS_LANES <= columns; j += 2 * LS_LANES)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            int64_t at = j + i * LS_LANES;
            vacc d = ls_load(dy + at), h = (ls_load(x + at) - mean) * rstd, g = d * ls_load_acc(b->scale + at);
            ls_store_acc(dscale + at, ls_load_acc(dscale + at) + d * h);
            ls_store_acc(dbias + at, ls_load_acc(dbias + at) + d);
            sum_g[i] += g;
            sum_gh[i] += g * h;
        }
    for (; j < columns; j += LS_LANES) {
        int64_t n = columns - j < LS_LANES ? columns - j : LS_LANES;
        vacc d = ls_norm_load(dy, j, columns), h = (ls_norm_load(x, j, columns) - mean) * rstd;
        vacc g = d * ls_norm_load_acc(b->scale, j, columns); /* zero in the lanes past the end */
        ls_store_acc_part(dscale + j, ls_norm_load_acc(dscale, j, columns) + d * h, n);
        ls_store_acc_part(dbias + j, ls_norm_load_acc(dbias, j, columns) + d, n);
        sum_g[0] += g;
        sum_gh[0] += g * h;
    }
    if (!b->dx && !b->copy)
        return;
    acc avg_g = b->mean ? ls_hsum(sum_g[0] + sum_g[1]) / (acc)columns : 0,
        avg_gh = ls_hsum(sum_gh[0] + sum_gh[1]) / (acc)columns;
    const real *plus = b->plus ? b->plus + r * columns : NULL;
    real *dx = b->dx ? b->dx + r * columns : NULL, *copy = b->copy ? b->copy + r * columns : NULL;
    for (j = 0; j + LS_LANES <= columns; j += LS_LANES) {
        vacc h = (ls_load(x + j) - mean) * rstd,
             d = rstd * (ls_load(dy + j) * ls_load_acc(b->scale + j) - avg_g - h * avg_gh);
        if (plus)
            d = ls_load(plus + j) + d;
        if (dx)
            ls_store(dx + j, d);
        if (copy)
            ls_store(copy + j, d);
    }
    for (; j < columns; j++) {
        acc h = (ls_load1(x + j) - mean) * rstd, d = rstd * (ls_load1(dy + j) * b->scale[j] - avg_g - h * avg_gh);
        if (plus)
            d = ls_load1(plus + j) + d;
        if (dx)
            ls_store1(dx + j, d);
        if (copy)
            ls_store1(copy + j, d);
    }
}

LS_INLINE void ls_norm_back_rows(const NormBack *b)
{
    int64_t each = ls_norm_chunk(b->rows), chunks = ls_norm_chunks(b->rows), columns = b->columns;
#pragma omp parallel if (b->rows * columns > 8192)
    {
#pragma omp for schedule(static)
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            acc *part = b->parts + chunk * 2 * columns;
            memset(part, 0, (size_t)(2 * columns) * sizeof *part);
            for (int64_t r = chunk * each; r < (chunk + 1) * each && r < b->rows; r++)
                ls_norm_back_row(b, r, part);
        }
#pragma omp for schedule(static)
        for (int64_t j = 0; j < columns; j++) {
            acc scale = b->dscale && b->add_scale ? b->dscale[j] : 0, bias = b->dbias && b->add_bias ? b->dbias[j] : 0;
            for (int64_t chunk = 0; chunk < chunks; chunk++) {
                scale += b->parts[(2 * chunk) * columns + j];
                bias += b->parts[(2 * chunk + 1) * columns + j];
            }
            if (b->dscale)
                b->dscale[j] = scale;
            if (b->dbias)
                b->dbias[j] = bias;
        }
    }
}

/* The whole backward of node. Where the sum before it is fused, the gradient goes to both summands. */
LS_INLINE LsStatus ls_norm_backward(const LsNode *node, bool centered)
{
    const LsNode *sum = node->fused_producer, *taker = sum ? sum : node; /* whose in[0] gets the gradient of x */
    const LsTensor *x = node->in[0], *bias = node->inputs > 2 ? node->in[2] : NULL;
    int64_t columns = node->in[1]->count;
    ls_norm_back_rows(&(NormBack){.x = x->data,
                                  .dy = node->out[0]->grad,
                                  .scale = node->in[1]->data,
                                  .mean = centered ? node->out[1]->data : NULL,
                                  .rstd = node->out[1 + centered]->data,
                                  .rows = x->count / columns,
                                  .columns = columns,
                                  .plus = ls_adds(node, 0) ? x->grad : NULL,
                                  .dx = ls_wants(taker, 0) ? taker->in[0]->grad : NULL,
                                  .copy = sum && ls_wants(sum, 1) ? sum->in[1]->grad : NULL,
                                  .dscale = ls_wants(node, 1) ? node->in[1]->grad : NULL,
                                  .add_scale = ls_adds(node, 1),
                                  .dbias = bias && ls_wants(node, 2) ? bias->grad : NULL,
                                  .add_bias = ls_adds(node, 2),
                                  .parts = node->scratch});
    return LS_OK;
}

#endif
