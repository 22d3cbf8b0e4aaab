/* y_bt = x_bt + table[t + position_b], or table[position_bt]: learned absolute positions (Gehring et al. 2017; GPT-2).
 *
 *     dL/dx = dL/dy,   dL/dtable[p] = sum over b, and t, in order, of dL/dy_bt with the position p */
#include "ops/pass.h"
#include "ops/token_positions.h"

enum { COLUMNS = 64 }; /* of the table, whose gradients one thread sums */

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *table = node->in[1], *position = node->in[2];
    if (x->rank != 3 || x->dtype != LS_REAL || table->rank != 2 || table->dtype != LS_REAL ||
        table->dim[1] != x->dim[2])
        return ls_node_fail(node,
                            "position_embedding: x %s does not fit table %s: x must be (B, T, C), table (context, C)",
                            ls_shape_text(x), ls_shape_text(table));
    if (!ls_positions_match(position, x))
        return ls_node_fail(node,
                            "position_embedding: position %s does not fit x %s: it must be (B) or (B, T) of LS_I32",
                            ls_shape_text(position), ls_shape_text(x));
    if (x->dim[1] > table->dim[0])
        return ls_node_fail(node, "position_embedding: x %s is longer than table %s: at most %lld positions",
                            ls_shape_text(x), ls_shape_text(table), (long long)table->dim[0]);
    return ls_node_output(node, LS_REAL, 3, x->dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus check_positions(const LsNode *node)
{
    const LsTensor *x = node->in[0], *table = node->in[1];
    if (ls_has_token_positions(node->in[2]))
        return ls_check_token_positions(node, node->in[2]);
    const int32_t *position = node->in[2] ? node->in[2]->data : NULL;
    for (int64_t b = 0; position && b < x->dim[0]; b++)
        if (position[b] < 0 || position[b] + x->dim[1] > table->dim[0])
            return ls_fail(LS_USAGE,
                           "%s: stream %lld has seen %d tokens and gets %lld more, but the context is %lld; use a "
                           "model with a longer "
                           "context or fewer tokens",
                           node->name, (long long)b, (int)position[b], (long long)x->dim[1], (long long)table->dim[0]);
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_positions(node));
    const LsTensor *tensor = node->in[0];
    const real *x = tensor->data, *table = node->in[1]->data;
    real *y = node->out[0]->data;
    int64_t batch = tensor->dim[0], tokens = tensor->dim[1], columns = tensor->dim[2];
#pragma omp parallel for collapse(2) schedule(static) if (tensor->count > 8192)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < tokens; t++) {
            const real *row = table + ls_token_position(node->in[2], tokens, b, t) * columns;
            int64_t at = (b * tokens + t) * columns, j = 0;
            for (; j + LS_LANES <= columns; j += LS_LANES)
                ls_store(y + at + j, ls_load(x + at + j) + ls_load(row + j));
            for (; j < columns; j++)
                ls_store1(y + at + j, ls_load1(x + at + j) + ls_load1(row + j));
        }
    return LS_OK;
}

/* dtable: (context, C), every row written (or added to), also those that no token used. */
static void backward_table(const LsNode *node)
{
    const LsTensor *x = node->in[0], *table = node->in[1];
    const real *dy = node->out[0]->grad;
    const int32_t *position = node->in[2] ? node->in[2]->data : NULL;
    acc *dtable = table->grad;
    int64_t batch = x->dim[0], tokens = x->dim[1], columns = x->dim[2];
    bool add = ls_adds(node, 1);
#pragma omp parallel for schedule(static) if (x->count > 8192)
    for (int64_t p = 0; p < table->dim[0]; p++) {
        acc *to = dtable + p * columns;
        if (!add)
            memset(to, 0, (size_t)columns * sizeof *to);
        for (int64_t b = 0; b < batch; b++) {
            int64_t t = p - (position ? position[b] : 0), j = 0;
            if (t < 0 || t >= tokens)
                continue;
            const real *from = dy + (b * tokens + t) * columns;
            for (; j + LS_LANES <= columns; j += LS_LANES)
                ls_store_acc(to + j, ls_load_acc(to + j) + ls_load(from + j));
            for (; j < columns; j++)
                to[j] += ls_load1(from + j);
        }
    }
}

/* The same of positions of each token, of which several tokens of a stream may have one: columns are shared out. */
static void backward_token_positions(const LsNode *node)
{
    const LsTensor *x = node->in[0], *table = node->in[1];
    const real *dy = node->out[0]->grad;
    const int32_t *position = node->in[2]->data;
    acc *dtable = table->grad;
    int64_t tokens = x->dim[0] * x->dim[1], columns = x->dim[2];
    if (!ls_adds(node, 1))
        memset(dtable, 0, (size_t)table->count * sizeof *dtable);
#pragma omp parallel for schedule(static) if (x->count > 8192)
    for (int64_t first = 0; first < columns; first += COLUMNS) {
        int64_t end = first + COLUMNS < columns ? first + COLUMNS : columns;
        for (int64_t n = 0; n < tokens; n++) {
            acc *to = dtable + position[n] * columns;
            const real *from = dy + n * columns;
            int64_t j = first;
            for (; j + LS_LANES <= end; j += LS_LANES)
                ls_store_acc(to + j, ls_load_acc(to + j) + ls_load(from + j));
            for (; j < end; j++)
                to[j] += ls_load1(from + j);
        }
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (ls_wants(node, 1) && ls_has_token_positions(node->in[2]))
        backward_token_positions(node);
    else if (ls_wants(node, 1))
        backward_table(node);
    ls_pass_gradient(node, 0);
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_positions(node));
    const real *x = node->in[0]->data, *table = node->in[1]->data;
    real *y = node->out[0]->data;
    int64_t tokens = node->in[0]->dim[1], columns = node->in[0]->dim[2];
    for (int64_t i = 0; i < node->in[0]->count; i++) {
        int64_t b = i / (tokens * columns), t = i / columns % tokens, j = i % columns;
        int64_t row = ls_token_position(node->in[2], tokens, b, t);
        ls_store1(y + i, ls_load1(x + i) + ls_load1(table + row * columns + j));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[0]->count, table = (double)node->in[1]->count;
    *fwd = (LsCost){count, 2 * count * sizeof(real)};
    *bwd = (LsCost){count, count * sizeof(real) + table * sizeof(acc)};
}

/* ls_position_embedding(g, x, table, position): x: (B, T, C), table: (context, C) parameter, position: (B) LS_I32
 * input, the tokens each stream has seen before, or (B, T): the position of each token, or NULL (none) -> (B, T, C). May
 * take over x's memory. Past the end of the table: LS_USAGE; positions of tokens that are not 0..T-1: LS_DATA. */
LS_BUILDER LsTensor *ls_position_embedding(LsGraph *g, LsTensor *x, LsTensor *table, LsTensor *position)
{
    return ls_node(g, "position_embedding", 3, (LsTensor *[]){x, table, position}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, c, context;
        int position; /* dimensions */
    } list[] = {{1, 1, 1, 1, 0},   {2, 5, 7, 9, 0},   {3, 4, 35, 4, 0},
                {3, 4, 18, 11, 1}, {3, 7, 18, 11, 2}, {2, 40, 150, 40, 2}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t b = list[which].b, t = list[which].t, c = list[which].c, context = list[which].context;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){b, t, c});
    LsTensor *table = ls_case_param(g, "table", 0, -1, 1, 2, (int64_t[]){context, c});
    int rank = list[which].position;
    double end = (double)(rank == 1 ? context - t + 1 : t);
    LsTensor *position = rank ? ls_case_input(g, "position", LS_I32, 0, end, rank, (int64_t[]){b, t}) : NULL;
    ls_position_embedding(g, x, table, position);
    return true;
}

LS_OP(position_embedding) = {
    .name = "position_embedding",
    .formula = "y_bt = x_bt + table[t + position_b]",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .param_in = 2,
    .saves_in = 4,
    .in_place = 1,
    .mixes_time = true,
    .cases = cases,
};
