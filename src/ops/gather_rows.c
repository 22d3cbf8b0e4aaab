/* y_i = x_(at_i), rows of a sequence by their numbers; where a number is less than 0, zeros.
 *
 *     dx_t = sum over i with at_i = t of dy_i */
#include "ops/op_build.h"
#include "ops/row_places.h"

typedef struct GatherRows {
    int64_t count;
} GatherRows;

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *at = node->in[1];
    int64_t count = at ? at->dim[at->rank - 1] : ((const GatherRows *)node->attr)->count;
    if (x->dtype != LS_REAL || x->rank != 3 || (!at && (count < 1 || count > x->dim[1])))
        return ls_node_fail(node, "gather_rows: x %s must be (B, T, C) with T at least the %lld rows wanted",
                            ls_shape_text(x), (long long)count);
    LS_TRY(ls_check_places(node, x, at));
    return ls_node_output(node, LS_REAL, 3, (int64_t[]){x->dim[0], count, x->dim[2]}) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *at = node->in[1];
    int64_t count = node->out[0]->dim[1], width = x->dim[2];
    LS_TRY(ls_check_place_values(node, at, x->dim[1]));
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t i = 0; i < count; i++) {
            int64_t from = ls_place(at, b, i);
            real *y = (real *)node->out[0]->data + (b * count + i) * width;
            if (from < 0)
                memset(y, 0, (size_t)width * sizeof *y);
            else
                memcpy(y, (const real *)x->data + (b * x->dim[1] + from) * width, (size_t)width * sizeof *y);
        }
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *at = node->in[1];
    int64_t count = node->out[0]->dim[1], width = x->dim[2];
    if (!ls_adds(node, 0))
        memset(x->grad, 0, (size_t)x->count * sizeof(real));
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t i = 0; i < count; i++) {
            int64_t to = ls_place_first(at, b, i);
            const real *dy = (const real *)node->out[0]->grad + b * count * width;
            real *dx = (real *)x->grad + (b * x->dim[1] + to) * width;
            for (int64_t c = 0; to >= 0 && c < width; c++) {
                acc sum = ls_load1(dx + c);
                for (int64_t j = i; j < count; j++) /* rounded once */
                    sum += ls_place(at, b, j) == to ? ls_load1(dy + j * width + c) : 0;
                ls_store1(dx + c, sum);
            }
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double y = (double)node->out[0]->count;
    *fwd = (LsCost){0, 2 * y * sizeof(real)};
    *bwd = (LsCost){y, (3 * y + (double)node->in[0]->count) * sizeof(real)};
}

/* ls_gather_rows(g, x, at, count): x: (B, T, C); at: (B, G) of LS_I32, places in the sequence, or NULL for the first
 * `count` -> (B, G, C). A place at T or past it fails with LS_DATA. */
LS_BUILDER LsTensor *ls_gather_rows(LsGraph *g, LsTensor *x, LsTensor *at, int64_t count)
{
    return ls_node(g, "gather_rows", 2, (LsTensor *[]){x, at}, &(GatherRows){count}, sizeof(GatherRows));
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
    if (c[4])
        at = ls_case_input(g, "at", LS_I32, -1, (double)c[1], 2, (int64_t[]){c[0], c[3]});
    ls_gather_rows(g, x, at, c[3]);
    return true;
}

LS_OP(gather_rows) = {
    .name = "gather_rows",
    .formula = "y_i = x_(at_i)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 2,
    .mixes_time = true,
    .cases = cases,
};
