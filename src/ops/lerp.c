/* y = a + (b - a) (w + m): linear interpolation by a vector w of the model, by weights m made of the input, or by their
 * sum, as RWKV mixes a token with the one before it.
 *
 *     da = (1 - w - m) dy,   db = (w + m) dy,   dm = (b - a) dy,   dw = sum over rows of (b - a) dy */
#include "ops/row_sums.h"

enum { A, B, W, M };

enum { ALONE = 8192 }; /* elements that one thread takes */

static int64_t columns_of(const LsNode *node) { return node->in[A]->dim[node->in[A]->rank - 1]; }
static int64_t rows_of(const LsNode *node) { return node->in[A]->count / columns_of(node); }

static LsStatus infer(LsNode *node)
{
    const LsTensor *a = node->in[A], *b = node->in[B], *w = node->in[W], *m = node->in[M];
    if (a->dtype != LS_REAL || !ls_rows_same(a, b) || (m && !ls_rows_same(a, m)))
        return ls_node_fail(node, "lerp: shapes differ: %s and %s%s%s", ls_shape_text(a), ls_shape_text(b),
                            m ? ", m " : "", m ? ls_shape_text(m) : "");
    if (!w && !m)
        return ls_node_fail(node, "lerp: it needs w or m");
    if (w && (w->dtype != LS_ACC || w->rank != 1 || w->dim[0] != columns_of(node)))
        return ls_node_fail(node, "lerp: w %s must be (C), precise, for a %s", ls_shape_text(w), ls_shape_text(a));
    node->scratch_backward = w ? ls_rows_chunks(rows_of(node)) * columns_of(node) * (int64_t)sizeof(acc) : 0;
    return ls_node_output(node, LS_REAL, a->rank, a->dim) ? LS_OK : LS_RESOURCE;
}

/* w + m of up to a vector of columns. */
LS_INLINE vacc weight_at(const acc *w, const real *m, int64_t n)
{
    vacc sum = {0};
    if (w)
        sum += ls_rows_load_acc(w, n);
    return m ? sum + ls_load_upto(m, n) : sum;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t columns = columns_of(node), rows = rows_of(node);
    const real *a = node->in[A]->data, *b = node->in[B]->data, *m = node->in[M] ? node->in[M]->data : NULL;
    const acc *w = node->in[W] ? node->in[W]->data : NULL;
    real *y = node->out[0]->data;
#pragma omp parallel for schedule(static) if (rows * columns > ALONE)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0, at = r * columns; j < columns; j += LS_LANES, at += LS_LANES) {
            int64_t n = columns - j;
            vacc from = ls_load_upto(a + at, n), to = ls_load_upto(b + at, n);
            ls_store_upto(y + at, from + (to - from) * weight_at(w ? w + j : NULL, m ? m + at : NULL, n), n);
        }
    return LS_OK;
}

/* One row; sums: (C) += (b - a) dy, or NULL. */
static void backward_row(const LsNode *node, int64_t r, acc *sums)
{
    int64_t columns = columns_of(node);
    const real *a = node->in[A]->data, *b = node->in[B]->data, *m = node->in[M] ? node->in[M]->data : NULL;
    const real *dy = node->out[0]->grad;
    const acc *w = node->in[W] ? node->in[W]->data : NULL;
    for (int64_t j = 0, at = r * columns; j < columns; j += LS_LANES, at += LS_LANES) {
        int64_t n = columns - j;
        vacc g = ls_load_upto(dy + at, n), weight = weight_at(w ? w + j : NULL, m ? m + at : NULL, n);
        vacc difference = ls_load_upto(b + at, n) - ls_load_upto(a + at, n);
        ls_rows_put(node, A, at, g * (1 - weight), n);
        ls_rows_put(node, B, at, g * weight, n);
        if (m)
            ls_rows_put(node, M, at, g * difference, n);
        if (sums)
            ls_rows_add_acc(sums + j, g * difference, n);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t columns = columns_of(node), rows = rows_of(node), each = ls_rows_chunk(rows);
    acc *parts = node->in[W] && ls_wants(node, W) ? node->scratch : NULL;
#pragma omp parallel for schedule(static) if (rows * columns > ALONE)
    for (int64_t c = 0; c < ls_rows_chunks(rows); c++) {
        acc *sums = parts ? parts + c * columns : NULL;
        if (sums)
            memset(sums, 0, (size_t)columns * sizeof(acc));
        for (int64_t r = c * each; r < ls_least(rows, (c + 1) * each); r++)
            backward_row(node, r, sums);
    }
    if (parts)
        ls_rows_finish(node, W, rows, parts, columns);
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count, tensors = node->in[M] ? 3 : 2;
    *fwd = (LsCost){4 * count, (tensors + 1) * count * sizeof(real)};
    *bwd = (LsCost){9 * count, (2 * tensors + 1) * count * sizeof(real)};
}

/* ls_lerp(g, a, b, w, m): a, b: (..., C); w: (C), a parameter with LS_PRECISE, or NULL; m: (..., C) or NULL, but not
 * both NULL. -> (..., C) */
LS_BUILDER LsTensor *ls_lerp(LsGraph *g, LsTensor *a, LsTensor *b, LsTensor *w, LsTensor *m)
{
    return ls_node(g, "lerp", 4, (LsTensor *[]){a, b, w, m}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t dim[3];
        bool w, m;
    } table[] = {{{1, 1, 1}, true, false},
                 {{2, 3, 5}, true, true},
                 {{3, 7, 35}, false, true},
                 {{2, 33, 18}, true, false},
                 {{1, 3, 80}, true, true}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    const int64_t *dim = table[which].dim;
    LsTensor *a = ls_case_input(g, "a", LS_REAL, -2, 2, 3, dim), *b = ls_case_input(g, "b", LS_REAL, -2, 2, 3, dim);
    LsTensor *w = table[which].w ? ls_case_param(g, "w", LS_PRECISE, -1, 2, 1, &dim[2]) : NULL;
    ls_lerp(g, a, b, w, table[which].m ? ls_case_input(g, "m", LS_REAL, -1, 1, 3, dim) : NULL);
    return true;
}

LS_OP(lerp) = {
    .name = "lerp",
    .formula = "y = a + (b - a) (w + m)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 1 << A | 1 << B | 1 << W | 1 << M,
    .param_in = 1 << W,
    .cases = cases,
};
