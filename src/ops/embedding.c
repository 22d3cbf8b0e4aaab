/* y[b,t] = table[ids[b,t]]: rows of a table, by number.
 *
 * Backward: dL/dtable[v] = sum of dL/dy over the places where ids = v. The places are sorted by id (a counting sort,
 * which keeps their order), so every row of the table is summed by one thread in one order: no atomics, the same bits
 * always. */
#include "ops/op_build.h"

/* Columns that one piece of the backward sums: short enough to share a small table among many threads. */
#define COLUMN_BLOCK 128

static LsStatus infer(LsNode *node)
{
    const LsTensor *table = node->in[0], *ids = node->in[1];
    if (table->rank != 2 || table->dtype != LS_REAL)
        return ls_node_fail(node, "embedding: the table must be (V, C), got %s", ls_shape_text(table));
    if (ids->dtype != LS_I32 || ids->rank < 1 || ids->rank >= LS_MAX_RANK)
        return ls_node_fail(node, "embedding: ids must be 32-bit integers of 1 to %d dimensions, got %s",
                            LS_MAX_RANK - 1, ls_shape_text(ids));
    int64_t dim[LS_MAX_RANK];
    memcpy(dim, ids->dim, sizeof dim);
    dim[ids->rank] = table->dim[1];
    node->scratch_backward = (table->dim[0] + 1 + ids->count) * (int64_t)sizeof(int32_t);
    return ls_node_output(node, LS_REAL, ids->rank + 1, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus check_ids(const LsNode *node)
{
    const int32_t *ids = node->in[1]->data;
    int64_t rows = node->in[0]->dim[0];
    for (int64_t i = 0; i < node->in[1]->count; i++)
        if (ids[i] < 0 || ids[i] >= rows)
            return ls_fail(LS_DATA, "%s: id %d at position %lld of %s is outside the table's 0..%lld", node->name,
                           (int)ids[i], (long long)i, ls_shape_text(node->in[1]), (long long)(rows - 1));
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_ids(node));
    const real *table = node->in[0]->data; /* (V, C) */
    const int32_t *ids = node->in[1]->data;
    real *y = node->out[0]->data; /* (..., C) */
    int64_t columns = node->in[0]->dim[1], count = node->in[1]->count;
#pragma omp parallel for schedule(static) if (count * columns > 16384)
    for (int64_t i = 0; i < count; i++)
        memcpy(y + i * columns, table + ids[i] * columns, (size_t)columns * sizeof *y);
    return LS_OK;
}

/* place: (count) becomes the positions ordered by id; those of id v stand from start[v] to start[v + 1].
 * start: (V + 1). */
static void sort_by_id(const int32_t *ids, int64_t count, int64_t rows, int32_t *start, int32_t *place)
{
    memset(start, 0, (size_t)(rows + 1) * sizeof *start);
    for (int64_t i = 0; i < count; i++)
        start[ids[i] + 1]++;
    for (int64_t v = 0; v < rows; v++)
        start[v + 1] += start[v];
    for (int64_t i = 0; i < count; i++)
        place[start[ids[i]]++] = (int32_t)i;
    /* start[v] has moved on to where v + 1 starts. */
    memmove(start + 1, start, (size_t)rows * sizeof *start);
    start[0] = 0;
}

/* dtable[from..to) of one row += or = the sum of dy at `places`. */
static void sum_row(acc *restrict row, const real *dy, const int32_t *place, int64_t places, int64_t columns,
                    int64_t from, int64_t to, bool add)
{
    if (!add)
        memset(row + from, 0, (size_t)(to - from) * sizeof *row);
    for (int64_t i = 0; i < places; i++) {
        const real *g = dy + place[i] * columns;
        for (int64_t j = from; j < to; j++)
            row[j] += ls_load1(g + j);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (!ls_wants(node, 0))
        return LS_OK;
    const real *dy = node->out[0]->grad; /* (..., C) */
    acc *dtable = node->in[0]->grad;     /* (V, C) */
    int64_t rows = node->in[0]->dim[0], columns = node->in[0]->dim[1], count = node->in[1]->count;
    int32_t *start = node->scratch, *place = start + rows + 1;
    sort_by_id(node->in[1]->data, count, rows, start, place);

    bool add = ls_adds(node, 0);
    int64_t blocks = (columns + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
#pragma omp parallel for collapse(2) schedule(dynamic, 16)
    for (int64_t v = 0; v < rows; v++)
        for (int64_t block = 0; block < blocks; block++) {
            int64_t from = block * COLUMN_BLOCK, to = from + COLUMN_BLOCK < columns ? from + COLUMN_BLOCK : columns;
            int64_t places = start[v + 1] - start[v];
            if (places > 0 || !add)
                sum_row(dtable + v * columns, dy, place + start[v], places, columns, from, to, add);
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double elements = (double)node->out[0]->count;
    *fwd = (LsCost){0, 2 * elements * sizeof(real)};
    *bwd = (LsCost){elements, elements * sizeof(real) + 2 * elements * sizeof(acc)};
}

/* ls_embedding(g, table, ids): table: (V, C) parameter, ids: (B, T) LS_I32 in 0..V-1 -> (B, T, C). Forward fails with
 * LS_DATA on an id outside the table. */
LS_BUILDER LsTensor *ls_embedding(LsGraph *g, LsTensor *table, LsTensor *ids)
{
    if (ls_graph_int8_weights(g) && table->role == LS_ROLE_PARAM)
        return ls_node(g, "embedding_int8", 2, (LsTensor *[]){ls_param_int8(g, table), ids}, NULL, 0);
    return ls_node(g, "embedding", 2, (LsTensor *[]){table, ids}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    /* V, C, B, T: one row; more rows than tokens; every row many times; wider than a column block */
    static const int64_t dims[][4] = {{1, 1, 1, 1}, {67, 5, 2, 7}, {3, 33, 4, 25}, {9, 131, 3, 5}};
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    const int64_t *d = dims[which];
    LsTensor *table = ls_case_param(g, "table", 0, -1, 1, 2, (int64_t[]){d[0], d[1]});
    ls_embedding(g, table, ls_case_input(g, "ids", LS_I32, 0, (double)d[0], 2, (int64_t[]){d[2], d[3]}));
    return true;
}

LS_OP(embedding) = {
    .name = "embedding",
    .formula = "y[b,t] = table[ids[b,t]]",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 1u << 1,
    .param_in = 1u << 0,
    .cases = cases,
};
