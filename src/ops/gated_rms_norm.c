/* The gated norm of Mamba-2 (Dao and Gu 2024, section 7): v = x silu(z), y = v / sqrt(mean(v^2) + eps) scale over each
 * of G equal ranges of the columns. out[1] keeps 1 / sqrt(mean(v^2) + eps).
 *
 * With r that root's inverse, h = v r, g = dy scale and averages over a range:
 *
 *     dv = r (g - h avg(g h))   dx = dv silu(z)   dz = dv x silu'(z)   dscale = sum over rows of dy h */
#include "ops/norm.h"
#include "ops/vec_math.h"

enum { X, Z, SCALE };

typedef struct Gated {
    int64_t groups;
    double eps;
} Gated;

/* Columns of a row, of a range, and of z, whose last ones are the gate. */
typedef struct Shape {
    int64_t rows, columns, groups, range, gate_columns;
} Shape;

static Shape shape_of(const LsNode *node)
{
    Shape s = {.groups = ((const Gated *)node->attr)->groups, .columns = node->in[SCALE]->count};
    s.rows = node->in[X]->count / s.columns;
    s.range = s.columns / s.groups;
    s.gate_columns = node->in[Z]->dim[node->in[Z]->rank - 1];
    return s;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[X], *z = node->in[Z], *scale = node->in[SCALE];
    int64_t groups = ((const Gated *)node->attr)->groups, columns = x->dim[x->rank - 1], dim[LS_MAX_RANK];
    if (x->rank < 2 || x->dtype != LS_REAL || z->rank != x->rank || z->dtype != LS_REAL ||
        z->count / z->dim[z->rank - 1] != x->count / columns || z->dim[z->rank - 1] < columns)
        return ls_node_fail(node,
                            "gated_rms_norm: z %s does not fit x %s: it must have as many rows and no fewer columns",
                            ls_shape_text(z), ls_shape_text(x));
    if (scale->rank != 1 || scale->dim[0] != columns || scale->dtype != LS_ACC)
        return ls_node_fail(node, "gated_rms_norm: scale %s does not fit x %s: it must be (%lld), precise",
                            ls_shape_text(scale), ls_shape_text(x), (long long)columns);
    if (groups < 1 || columns % groups)
        return ls_node_fail(node, "gated_rms_norm: %lld groups do not divide the columns of x %s", (long long)groups,
                            ls_shape_text(x));
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = groups;
    /* dscale of each chunk of rows, and of one row v, x silu' and h */
    node->scratch_backward = ls_norm_chunks(x->count / columns) * 4 * columns * (int64_t)sizeof(acc);
    return ls_node_output(node, LS_REAL, x->rank, x->dim) && ls_node_output(node, LS_ACC, x->rank, dim) ? LS_OK
                                                                                                        : LS_RESOURCE;
}

LS_INLINE const real *gate_row(const LsNode *node, const Shape *s, int64_t row)
{
    return (const real *)node->in[Z]->data + (row + 1) * s->gate_columns - s->columns;
}

LS_INLINE void store_upto(acc *to, vacc v, int64_t left)
{
    if (left >= LS_LANES)
        ls_store_acc(to, v);
    else
        ls_store_acc_part(to, v, left);
}

/* One range of one row: v times scale, as far as it is known, into y; then y times what the squares say. */
LS_INLINE void forward_range(const real *x, const real *z, const acc *scale, real *y, acc *rstd, int64_t columns,
                             double eps)
{
    vacc square = {0};
    for (int64_t j = 0; j < columns; j += LS_LANES) {
        vacc gate = ls_norm_load(z, j, columns), v = ls_norm_load(x, j, columns) * gate * ls_vsigmoid(gate);
        square += v * v; /* zero in the lanes past the end */
    }
    *rstd = (acc)(1 / sqrt((double)ls_hsum(square) / (double)columns + eps));
    for (int64_t j = 0; j < columns; j += LS_LANES) {
        vacc gate = ls_norm_load(z, j, columns), v = ls_norm_load(x, j, columns) * gate * ls_vsigmoid(gate);
        ls_store_upto(y + j, v * *rstd * ls_norm_load_acc(scale, j, columns), columns - j);
    }
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    const real *x = node->in[X]->data;
    const acc *scale = node->in[SCALE]->data;
    real *y = node->out[0]->data;
    acc *rstd = node->out[1]->data;
    double eps = ((const Gated *)node->attr)->eps;
#pragma omp parallel for schedule(static) if (s.rows * s.columns > 8192)
    for (int64_t r = 0; r < s.rows; r++)
        for (int64_t k = 0; k < s.groups; k++) {
            int64_t at = k * s.range;
            forward_range(x + r * s.columns + at, gate_row(node, &s, r) + at, scale + at, y + r * s.columns + at,
                          rstd + r * s.groups + k, s.range, eps);
        }
    return LS_OK;
}

/* One range of one row, from column `at` on. room: silu(z), x silu'(z), h of it; dscale: (columns). */
static void backward_range(const LsNode *node, const Shape *s, int64_t row, int64_t at, acc *room, acc *dscale)
{
    const int64_t n = s->range;
    const real *x = (const real *)node->in[X]->data + row * s->columns + at, *z = gate_row(node, s, row) + at,
               *dy = (const real *)node->out[0]->grad + row * s->columns + at;
    const acc *scale = (const acc *)node->in[SCALE]->data + at;
    const acc rstd = ((const acc *)node->out[1]->data)[row * s->groups + at / n];
    real *dx = ls_wants(node, X) ? (real *)node->in[X]->grad + row * s->columns + at : NULL;
    real *dz = ls_wants(node, Z) ? (real *)node->in[Z]->grad + (row + 1) * s->gate_columns - s->columns + at : NULL;
    acc *open = room, *slope = room + s->columns, *unit = room + 2 * s->columns;
    vacc sum = {0};
    for (int64_t j = 0; j < n; j += LS_LANES) {
        vacc gate = ls_norm_load(z, j, n), sigmoid = ls_vsigmoid(gate), in = ls_norm_load(x, j, n);
        vacc silu = gate * sigmoid, h = in * silu * rstd, d = ls_norm_load(dy, j, n);
        sum += d * ls_norm_load_acc(scale, j, n) * h;
        store_upto(open + j, silu, n - j);
        store_upto(slope + j, in * (sigmoid + silu * (1 - sigmoid)), n - j);
        store_upto(unit + j, h, n - j);
        store_upto(dscale + j, ls_norm_load_acc(dscale, j, n) + d * h, n - j);
    }
    const acc average = ls_hsum(sum) / (acc)n;
    for (int64_t j = 0; j < n; j += LS_LANES) {
        int64_t left = n - j;
        vacc dv =
            (ls_norm_load(dy, j, n) * ls_norm_load_acc(scale, j, n) - ls_norm_load_acc(unit, j, n) * average) * rstd;
        if (dx) {
            vacc d = dv * ls_norm_load_acc(open, j, n);
            ls_store_upto(dx + j, ls_adds(node, X) ? ls_load_upto(dx + j, left) + d : d, left);
        }
        if (dz) {
            vacc d = dv * ls_norm_load_acc(slope, j, n);
            ls_store_upto(dz + j, ls_adds(node, Z) ? ls_load_upto(dz + j, left) + d : d, left);
        }
    }
}

/* The columns of z that are no gate, unless other ops write them. */
static void clear_row(const LsNode *node, const Shape *s, int64_t row)
{
    if (ls_wants(node, Z) && !ls_adds(node, Z) && !ls_partial_grad(node, Z))
        memset((real *)node->in[Z]->grad + row * s->gate_columns, 0,
               (size_t)(s->gate_columns - s->columns) * sizeof(real));
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    int64_t each = ls_norm_chunk(s.rows), chunks = ls_norm_chunks(s.rows);
    acc *part = node->scratch; /* (chunks, 4, columns) */
#pragma omp parallel for schedule(static) if (s.rows * s.columns > 8192)
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        acc *dscale = part + chunk * 4 * s.columns;
        memset(dscale, 0, (size_t)s.columns * sizeof(acc));
        for (int64_t r = chunk * each; r < (chunk + 1) * each && r < s.rows; r++) {
            clear_row(node, &s, r);
            for (int64_t at = 0; at < s.columns; at += s.range)
                backward_range(node, &s, r, at, dscale + s.columns, dscale + at);
        }
    }
    acc *to = ls_wants(node, SCALE) ? node->in[SCALE]->grad : NULL;
    for (int64_t j = 0; to && j < s.columns; j++) {
        acc sum = ls_adds(node, SCALE) ? to[j] : 0;
        for (int64_t chunk = 0; chunk < chunks; chunk++)
            sum += part[chunk * 4 * s.columns + j];
        to[j] = sum;
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    const acc *scale = node->in[SCALE]->data;
    for (int64_t i = 0; i < s.rows * s.groups; i++) {
        int64_t row = i / s.groups, at = i % s.groups * s.range;
        const real *x = (const real *)node->in[X]->data + row * s.columns + at, *z = gate_row(node, &s, row) + at;
        double square = 0, factor;
        for (int pass = 0; pass < 2; pass++) {
            factor = 1 / sqrt(square / (double)s.range + ((const Gated *)node->attr)->eps);
            for (int64_t j = 0; j < s.range; j++) {
                double gate = (double)ls_load1(z + j), v = (double)ls_load1(x + j) * gate / (1 + exp(-gate));
                square += v * v;
                if (pass)
                    ls_store1((real *)node->out[0]->data + row * s.columns + at + j,
                              (acc)(v * factor * (double)scale[at + j]));
            }
        }
        ((acc *)node->out[1]->data)[i] = (acc)factor;
    }
    return LS_OK;
}

static bool grad_columns(const LsNode *node, int i, int64_t *first, int64_t *count)
{
    *count = node->in[SCALE]->dim[0];
    *first = i == Z ? node->in[Z]->dim[node->in[Z]->rank - 1] - *count : 0;
    return i == Z;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[X]->count;
    *fwd = (LsCost){45 * count, 3 * count * sizeof(real)};
    *bwd = (LsCost){40 * count, 5 * count * sizeof(real)};
}

/* ls_gated_rms_norm(g, x, z, scale, groups, eps): x: (..., C); z: (..., at least C), of which the last C columns are
 * the gate, so that it may be a packed result of one linear layer (the gradient of the others is zero); scale: (C), a
 * parameter with LS_PRECISE; each of `groups` equal ranges of the columns has a mean square of its own. -> (..., C) */
LS_BUILDER LsTensor *ls_gated_rms_norm(LsGraph *g, LsTensor *x, LsTensor *z, LsTensor *scale, int64_t groups,
                                       double eps)
{
    return ls_node(g, "gated_rms_norm", 3, (LsTensor *[]){x, z, scale}, &(Gated){groups, eps}, sizeof(Gated));
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][5] = {{1, 1, 4, 4, 1}, {2, 3, 6, 9, 2}, {3, 37, 17, 17, 1}, {1, 40, 51, 60, 3}};
    if (which >= (int)LS_COUNT_OF(list)) /* B, T, C, columns of z, groups */
        return false;
    const int64_t *s = list[which];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 2, 3, s);
    LsTensor *z = ls_case_input(g, "z", LS_REAL, -3, 3, 3, (int64_t[]){s[0], s[1], s[3]});
    ls_gated_rms_norm(g, x, z, ls_case_param(g, "scale", LS_PRECISE, 0.5, 1.5, 1, &s[2]), s[4], 1e-5);
    return true;
}

LS_OP(gated_rms_norm) = {
    .name = "gated_rms_norm",
    .formula = "v = x silu(z), y = v / sqrt(mean(v^2) + eps) scale",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .grad_columns = grad_columns,
    .saves_in = 1 << X | 1 << Z | 1 << SCALE,
    .saves_out = 2,
    .param_in = 1 << SCALE,
    .cases = cases,
};
