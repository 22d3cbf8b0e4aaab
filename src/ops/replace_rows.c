/* y = x, but y_(at_i) = rows_i: some rows of a sequence by others. Where a place is named twice, the first counts; less
 * than 0: none.
 *
 *     dx = dy, but 0 in the rows replaced;  drows_i = dy_(at_i), 0 where rows_i went nowhere */
#include "ops/op_build.h"
#include "ops/row_places.h"

enum { X, ROWS, AT, INPUTS };

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[X], *rows = node->in[ROWS], *at = node->in[AT];
    if (x->dtype != LS_REAL || x->rank != 3 || rows->dtype != LS_REAL || rows->rank != 3 || rows->dim[0] != x->dim[0] ||
        rows->dim[2] != x->dim[2] || (at ? at->dim[at->rank - 1] != rows->dim[1] : rows->dim[1] > x->dim[1]))
        return ls_node_fail(node, "replace_rows: rows %s do not fit x %s: they must be (B, G, C) and (B, T, C)",
                            ls_shape_text(rows), ls_shape_text(x));
    LS_TRY(ls_check_places(node, x, at));
    return ls_node_output(node, LS_REAL, 3, x->dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[X], *rows = node->in[ROWS];
    int64_t width = x->dim[2], count = rows->dim[1];
    LS_TRY(ls_check_place_values(node, node->in[AT], x->dim[1]));
    if (node->out[0]->data != x->data)
        memcpy(node->out[0]->data, x->data, (size_t)x->count * sizeof(real));
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t i = 0; i < count; i++) {
            int64_t to = ls_place_first(node->in[AT], b, i);
            if (to >= 0)
                memcpy((real *)node->out[0]->data + (b * x->dim[1] + to) * width,
                       (const real *)rows->data + (b * count + i) * width, (size_t)width * sizeof(real));
        }
    return LS_OK;
}

/* to: (count), = or += from */
static void put_gradient(real *to, const real *from, int64_t count, bool add)
{
#pragma omp parallel for simd schedule(static) if (count > 65536)
    for (int64_t i = 0; i < count; i++)
        ls_store1(to + i, (add ? ls_load1(to + i) : 0) + ls_load1(from + i));
}

/* The rows' gradient is taken out of dL/dy, which then has none left there for x. */
static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[X], *rows = node->in[ROWS];
    int64_t width = x->dim[2], count = rows->dim[1];
    real *dy = node->out[0]->grad, *drows = ls_wants(node, ROWS) ? rows->grad : NULL;
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t i = 0; i < count; i++) {
            int64_t from = ls_place_first(node->in[AT], b, i);
            real *row = dy + (b * x->dim[1] + from) * width, *to = drows ? drows + (b * count + i) * width : NULL;
            if (from >= 0 && to)
                put_gradient(to, row, width, ls_adds(node, ROWS));
            else if (to && !ls_adds(node, ROWS))
                memset(to, 0, (size_t)width * sizeof *to);
            if (from >= 0)
                memset(row, 0, (size_t)width * sizeof *row);
        }
    if (ls_wants(node, X) && x->grad != node->out[0]->grad)
        put_gradient(x->grad, dy, x->count, ls_adds(node, X));
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double x = (double)node->in[X]->count, rows = (double)node->in[ROWS]->count;
    *fwd = (LsCost){0, 2 * (x + rows) * sizeof(real)};
    *bwd = (LsCost){x, 2 * (x + rows) * sizeof(real)};
}

/* ls_replace_rows(g, x, rows, at): x: (B, T, C); rows: (B, G, C); at: (B, G) of LS_I32, places in the sequence, or NULL
 * for the first G -> (B, T, C). A place at T or past it fails with LS_DATA. */
LS_BUILDER LsTensor *ls_replace_rows(LsGraph *g, LsTensor *x, LsTensor *rows, LsTensor *at)
{
    return ls_node(g, "replace_rows", INPUTS, (LsTensor *[]){x, rows, at}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][5] = {/* B, T, C, G, given */
                                      {1, 1, 1, 1, 0},
                                      {2, 5, 3, 2, 0},
                                      {2, 6, 5, 4, 1},
                                      {3, 9, 33, 7, 1}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *c = list[which];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, c), *at = NULL;
    LsTensor *rows = ls_case_input(g, "rows", LS_REAL, -1, 1, 3, (int64_t[]){c[0], c[3], c[2]});
    if (c[4])
        at = ls_case_input(g, "at", LS_I32, -1, (double)c[1], 2, (int64_t[]){c[0], c[3]});
    ls_replace_rows(g, x, rows, at);
    return true;
}

LS_OP(replace_rows) = {
    .name = "replace_rows",
    .formula = "y = x, y_(at_i) = rows_i",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 1u << AT,
    .mixes_time = true,
    .in_place = 1u << X,
    .cases = cases,
};
