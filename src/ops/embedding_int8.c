/* y[b,t] = scale[v] q[v], v = ids[b,t]: rows of a table kept in 8 bits (see linear_int8), for graphs with int8_weights.
 * Forward only; ls_embedding makes it. Each element is off by half a scale at most. */
#include "ops/op_build.h"

static LsStatus infer(LsNode *node)
{
    const LsTensor *table = node->in[0], *ids = node->in[1];
    if (table->rank != 2 || table->dtype != LS_I8 || ids->dtype != LS_I32 || ids->rank < 1 || ids->rank >= LS_MAX_RANK)
        return ls_node_fail(node,
                            "embedding: a table (V, C) of 8 bits and ids, 32-bit integers of 1 to %d dimensions, are "
                            "asked for; got %s, %s",
                            LS_MAX_RANK - 1, ls_shape_text(table), ls_shape_text(ids));
    int64_t dim[LS_MAX_RANK];
    memcpy(dim, ids->dim, sizeof dim);
    dim[ids->rank] = table->dim[1];
    return ls_node_output(node, LS_REAL, ids->rank + 1, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const int8_t *table = node->in[0]->data; /* (V, C) */
    const float *scale = ls_param_row_scale(node->graph, node->in[0]);
    const int32_t *ids = node->in[1]->data;
    int64_t rows = node->in[0]->dim[0], columns = node->in[0]->dim[1], count = node->in[1]->count;
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= rows)
            return ls_fail(LS_DATA, "%s: id %d at position %lld is outside the table's 0..%lld", node->name,
                           (int)ids[i], (long long)i, (long long)(rows - 1));
#pragma omp parallel for schedule(static) if (count * columns > 16384)
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < columns; j++)
            ls_store1((real *)node->out[0]->data + i * columns + j,
                      (acc)scale[ids[i]] * (acc)table[ids[i] * columns + j]);
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double elements = (double)node->out[0]->count;
    *fwd = (LsCost){elements, elements * (1 + sizeof(real))};
    *bwd = (LsCost){0};
}

/* ls_embedding_int8(g, table, ids): table: parameter (V, C), ids: LS_I32 in 0..V-1 -> (..., C). Of graphs with
 * int8_weights only. */
LS_BUILDER LsTensor *ls_embedding_int8(LsGraph *g, LsTensor *table, LsTensor *ids)
{
    return ls_node(g, "embedding_int8", 2, (LsTensor *[]){ls_param_int8(g, table), ids}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][4] = {{1, 1, 1, 1}, {67, 5, 2, 7}, {9, 131, 3, 5}}; /* V, C, B, T */
    if (which >= (int)LS_COUNT_OF(dims))
        return false;
    const int64_t *d = dims[which];
    LsTensor *table = ls_case_param(g, "table", 0, -1, 1, 2, (int64_t[]){d[0], d[1]});
    /* a state: forward only */
    ls_embedding_int8(g, table, ls_case_state(g, "ids", LS_I32, 0, (double)d[0], 2, (int64_t[]){d[2], d[3]}));
    return true;
}

LS_OP(embedding_int8) = {
    .name = "embedding_int8",
    .formula = "y[b,t] = scale[v] q[v], v = ids[b,t]",
    .infer = infer,
    .forward = forward,
    .cost = cost,
    .param_in = 1,
    .cases = cases,
};
